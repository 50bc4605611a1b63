#include "service/core/policy.h"

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
    const struct policy_set policies = {RULES, sizeof RULES / sizeof *RULES};
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
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "reservationFor.departureTimeZone"),
                     FIELD_POLICY_NONE);
    assert_int_equal(find(policies, DATA_TYPE_TRIP, "tags"), FIELD_POLICY_UNION);
    assert_int_equal(find(policies, DATA_TYPE_PROFILE, "contact.email"), FIELD_POLICY_LATEST);
    assert_int_equal(find(policies, DATA_TYPE_BOOKING, "airplaneSeat"), FIELD_POLICY_NONE);
    assert_int_equal(find(policies, DATA_TYPE_TRIP, "notes"), FIELD_POLICY_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(rules_match_by_segment),
        ARENA_TEST(the_defaults_leave_the_carrier_its_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
