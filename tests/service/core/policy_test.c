#include "service/core/policy.h"

#include "base/file.h"
#include "tests/service/core/test_arena.h"

/* The policy of a dotted path. */
static enum field_policy find(const struct policy_set *policies, enum data_type type,
                              const char *path) {
    struct slice segments[8];
    size_t count = 0;
    for (const char *at = path;; at++) {
        size_t size = strcspn(at, ".");
        segments[count++] = slice_of(at, size);
        at += size;
        if (!*at)
            break;
    }
    return policy_find(policies, type, segments, count);
}

static void rules_match_by_segment(void **state) {
    (void)state;
    static const struct policy_rule RULES[] = {
        {DATA_TYPE_TRIP, "a.b", FIELD_POLICY_SERVER},
        {DATA_TYPE_TRIP, "a.*.c", FIELD_POLICY_CLIENT},
        {DATA_TYPE_TRIP, "a.d.**", FIELD_POLICY_UNION},
        {DATA_TYPE_TRIP, "a.d.e", FIELD_POLICY_MAX},
        {DATA_TYPE_TRIP, "**", FIELD_POLICY_MIN},
        {DATA_TYPE_BOOKING, "a.**.c", FIELD_POLICY_MAX},
    };
    const struct policy_set policies = {.rules = RULES, .count = sizeof RULES / sizeof *RULES};
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.b"), FIELD_POLICY_SERVER);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.b.c"), FIELD_POLICY_CLIENT);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.x.c"), FIELD_POLICY_CLIENT);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.d.e"), FIELD_POLICY_UNION);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.d.e.f"), FIELD_POLICY_UNION);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a.d"), FIELD_POLICY_MIN);
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "a"), FIELD_POLICY_MIN);
    assert_int_equal(find(&policies, DATA_TYPE_PROFILE, "a.b"), FIELD_POLICY_NONE);
    assert_int_equal(find(&policies, DATA_TYPE_BOOKING, "a.b.c"), FIELD_POLICY_NONE);
    assert_int_equal(find(&policies, DATA_TYPE_BOOKING, "a.**.c"), FIELD_POLICY_MAX);
}

static void the_defaults_leave_the_carrier_its_fields(void **state) {
    (void)state;
    const struct policy_set *policies = policy_set_default();
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservationStatus"), FIELD_POLICY_SERVER);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservationFor.departureGate"),
                     FIELD_POLICY_SERVER);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservationFor.departureTime.@value"),
                     FIELD_POLICY_SERVER);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "totalPrice"), FIELD_POLICY_SERVER);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservationFor"), FIELD_POLICY_NONE);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservedTicket.ticketToken"),
                     FIELD_POLICY_SERVER);
    assert_int_equal(find(policies, DATA_TYPE_TRIP, "tags"), FIELD_POLICY_UNION);
    assert_int_equal(find(policies, DATA_TYPE_PROFILE, "contact.email"), FIELD_POLICY_LATEST);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "airplaneSeat"), FIELD_POLICY_CLIENT);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservedTicket.ticketedSeat.seatNumber"),
                     FIELD_POLICY_CLIENT);
    assert_int_equal(find(policies, DATA_TYPE_TRIP, "notes"), FIELD_POLICY_TEXT);
    assert_int_equal(find(policies, DATA_TYPE_PROFILE, "passport.number"), FIELD_POLICY_MANUAL);
    assert_int_equal(policies->deletes[DATA_TYPE_BOOKING], DELETE_POLICY_SERVICE);
    assert_int_equal(policies->deletes[DATA_TYPE_TRIP], DELETE_POLICY_NONE);
}

static enum sync_status parse(const char *text, struct sync_error *error,
                              struct policy_set *policies) {
    *error = (struct sync_error){0};
    return policy_set_parse(slice_text(text), &arena, error, policies);
}

static void a_file_says_policies_by_line(void **state) {
    (void)state;
    struct policy_set policies;
    struct sync_error error;
    assert_int_equal(parse("# ours\n\n"
                           "field booking seat client\r\n"
                           "\tfield  *  notes.** text # for all\n"
                           "field trip ** open\n"
                           "delete * keep\n",
                           &error, &policies),
                     SYNC_OK);
    assert_int_equal(policies.count, 6);
    assert_int_equal(find(&policies, DATA_TYPE_BOOKING, "seat"), FIELD_POLICY_CLIENT);
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++) {
        assert_int_equal(find(&policies, (enum data_type)type, "notes.a"), FIELD_POLICY_TEXT);
        assert_int_equal(policies.deletes[type], DELETE_POLICY_KEEP);
    }
    assert_int_equal(find(&policies, DATA_TYPE_TRIP, "seat"), FIELD_POLICY_NONE);
    assert_int_equal(parse("", &error, &policies), SYNC_OK);
    assert_int_equal(policies.count, 0);
}

static void a_fault_in_a_file_is_named_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *named;
    } CASES[] = {
        {"field booking seat", "line 1"},
        {"\n\nfield booking seat client now", "line 3"},
        {"fields booking seat client", "field TYPE PATH POLICY"},
        {"field plane seat client", "\"plane\""},
        {"field booking seat mine", "\"mine\""},
        {"field booking a..b client", "\"a..b\""},
        {"field booking .a client", "\".a\""},
        {"field booking a. client", "\"a.\""},
        {"field booking a.**.b client", "\"a.**.b\""},
        {"field booking a client\nfield * a server", "line 2"},
        {"delete booking union", "\"union\""},
        {"delete booking keep\ndelete * server", "already"},
        {"delete booking", "line 1"},
        {"deadline booking", "line 1"},
        {"deadline plane keep", "\"plane\""},
        {"deadline booking never 3d", "\"never\""},
        {"deadline booking keep 3d", "\"keep\""},
        {"deadline booking client", "\"client\""},
        {"deadline booking client 3d before", "line 1"},
        {"deadline booking client 3d after 1d", "\"client\""},
        {"deadline booking client 3", "\"3\""},
        {"deadline booking client d", "\"d\""},
        {"deadline booking client 0d", "\"0d\""},
        {"deadline booking client -1d", "\"-1d\""},
        {"deadline booking client 3651d", "\"3651d\""},
        {"deadline booking client 99999999999999999999s", "99999s\""},
        {"deadline booking client 3d before 1y", "\"1y\""},
        {"deadline booking keep\ndeadline * keep", "line 2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct policy_set policies = {.count = 77};
        struct sync_error error;
        assert_int_equal(parse(CASES[i].text, &error, &policies), SYNC_ERR_INVALID);
        assert_non_null(strstr(error.message, CASES[i].named));
        assert_int_equal(policies.count, 77);
    }
}

static void deadlines_are_read_by_type(void **state) {
    (void)state;
    static const int64_t HOUR_US = INT64_C(3600000000);
    struct policy_set policies;
    struct sync_error error;
    assert_int_equal(parse("deadline booking suggested 14d before 36h\n"
                           "deadline trip latest 90m\n"
                           "deadline profile keep # for ever\n",
                           &error, &policies),
                     SYNC_OK);
    const struct deadline_policy *deadlines = policies.deadlines;
    assert_int_equal(deadlines[DATA_TYPE_BOOKING].action, DEADLINE_SUGGESTED);
    assert_int_equal(deadlines[DATA_TYPE_BOOKING].span_us, 14 * 24 * HOUR_US);
    assert_int_equal(deadlines[DATA_TYPE_BOOKING].before_us, 36 * HOUR_US);
    assert_int_equal(deadlines[DATA_TYPE_TRIP].action, DEADLINE_LATEST);
    assert_int_equal(deadlines[DATA_TYPE_TRIP].span_us, HOUR_US * 3 / 2);
    assert_int_equal(deadlines[DATA_TYPE_TRIP].before_us, 0);
    assert_int_equal(deadlines[DATA_TYPE_PROFILE].action, DEADLINE_KEEP);
    assert_int_equal(deadlines[DATA_TYPE_PREFERENCE].action, DEADLINE_KEEP);
    assert_int_equal(parse("deadline * server 3650d", &error, &policies), SYNC_OK);
    assert_int_equal(policies.deadlines[DATA_TYPE_PROFILE].span_us, 3650 * 24 * HOUR_US);
}

static void a_file_has_bounds(void **state) {
    (void)state;
    struct policy_set policies;
    struct sync_error error;
    struct buffer text;
    buffer_init(&text, 2 * POLICY_FILE_MAX);
    for (int i = 0; i <= POLICY_RULES_MAX; i++)
        buffer_append_format(&text, "field trip f%d min\n", i);
    assert_int_equal(policy_set_parse(buffer_slice(&text), &arena, &error, &policies),
                     SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, "line 1001"));
    while (text.size <= POLICY_FILE_MAX)
        buffer_append_byte(&text, '#');
    assert_int_equal(policy_set_parse(buffer_slice(&text), &arena, &error, &policies),
                     SYNC_ERR_TOO_LARGE);
    buffer_done(&text);
}

/* The file in docs/, for operators to start from, says what is built in. */
static void the_documented_file_is_the_default(void **state) {
    (void)state;
    const struct policy_set *built_in = policy_set_default();
    struct policy_set policies;
    struct sync_error error = {0};
    struct buffer text;
    buffer_init(&text, POLICY_FILE_MAX);
    assert_int_equal(file_read(&(struct file_wish){.path = "docs/policies.conf",
                                                   .what = "file",
                                                   .reason = "FILE",
                                                   .size_max = POLICY_FILE_MAX},
                               &text, &error),
                     SYNC_OK);
    assert_int_equal(policy_set_parse(buffer_slice(&text), &arena, &error, &policies), SYNC_OK);
    assert_int_equal(policies.count, built_in->count);
    for (size_t i = 0; i < policies.count; i++) {
        assert_int_equal(policies.rules[i].type, built_in->rules[i].type);
        assert_string_equal(policies.rules[i].path, built_in->rules[i].path);
        assert_int_equal(policies.rules[i].policy, built_in->rules[i].policy);
    }
    assert_memory_equal(policies.deletes, built_in->deletes, sizeof policies.deletes);
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++) {
        assert_int_equal(policies.deadlines[type].action, built_in->deadlines[type].action);
        assert_int_equal(policies.deadlines[type].span_us, built_in->deadlines[type].span_us);
        assert_int_equal(policies.deadlines[type].before_us, built_in->deadlines[type].before_us);
    }
    buffer_done(&text);
}

static void the_parts_of_a_contact_are_decided_one_by_one(void **state) {
    (void)state;
    const struct policy_set *policies = policy_set_default();
    assert_int_equal(find(policies, DATA_TYPE_PROFILE, "contact"), FIELD_POLICY_NONE);
    assert_int_equal(find(policies, DATA_TYPE_PROFILE, "contact.phone"), FIELD_POLICY_LATEST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(rules_match_by_segment),
        ARENA_TEST(the_defaults_leave_the_carrier_its_fields),
        ARENA_TEST(a_file_says_policies_by_line),
        ARENA_TEST(a_fault_in_a_file_is_named_with_its_line),
        ARENA_TEST(deadlines_are_read_by_type),
        ARENA_TEST(a_file_has_bounds),
        ARENA_TEST(the_documented_file_is_the_default),
        ARENA_TEST(the_parts_of_a_contact_are_decided_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
