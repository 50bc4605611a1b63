/* Updates that say by operations what they do. */
#include "tests/service/core/batch_sending.h"
#include "tests/service/core/patch_steps.h"

static const char TRIP[] =
    "{\"legs\":[{\"id\":\"a\",\"seat\":\"1A\"},{\"gate\":\"G\",\"id\":\"b\",\"seat\":\"2B\"}],"
    "\"name\":\"Rome\"}";
static const struct sending TABLET = {.device = "tablet", .acknowledged = 1};
static const struct sending LAPTOP = {.device = "laptop", .acknowledged = 1};

static void operations_do_what_they_say(void **state) {
    (void)state;
    start(TRIP);
    send_one(PHONE,
             STEPS("1", set("/legs/a/seat", "\"9F\""), gone("/legs/b/gate"),
                   set("/legs/c", "{\"id\":\"c\"}"), move("/name", "/title"), set("/note", "null"),
                   order("/legs", "[\"c\",\"a\"]")),
             OUTCOME_APPLIED);
    expect_trip("{\"legs\":[{\"id\":\"c\"},{\"id\":\"a\",\"seat\":\"9F\"},"
                "{\"id\":\"b\",\"seat\":\"2B\"}],\"note\":null,\"title\":\"Rome\"}",
                2);
}

static void what_others_did_meanwhile_to_other_elements_stays(void **state) {
    (void)state;
    start(TRIP);
    send_one(TABLET, STEPS("t", set("/legs/a/gate", "\"H\""), gone("/legs/b")), OUTCOME_APPLIED);
    send_one(LAPTOP, STEPS("l", set("/legs/a/seat", "\"9F\""), set("/legs/c", "{\"id\":\"c\"}")),
             OUTCOME_MERGED);
    expect_trip("{\"legs\":[{\"gate\":\"H\",\"id\":\"a\",\"seat\":\"9F\"},{\"id\":\"c\"}],"
                "\"name\":\"Rome\"}",
                3);
}

static void they_apply_to_what_the_device_had(void **state) {
    (void)state;
    start(TRIP);
    send_one(TABLET, STEPS("t", gone("/legs/b"), move("/name", "/title")), OUTCOME_APPLIED);
    struct change_result *result =
        send_one(LAPTOP, STEPS("l", set("/legs/b/seat", "\"9F\"")), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_document(conflict.client, "{\"legs\":[{\"id\":\"a\",\"seat\":\"1A\"},"
                                     "{\"gate\":\"G\",\"id\":\"b\",\"seat\":\"9F\"}],"
                                     "\"name\":\"Rome\"}");
    assert_int_equal(conflict.field_count, 1);
    assert_true(slice_equal(conflict.fields[0], SLICE("legs.b")));
}

static void one_that_leads_nowhere_rejects_the_change_and_is_named(void **state) {
    (void)state;
    start(TRIP);
    struct change_result *result =
        send_one(PHONE, STEPS("1", set("/name", "\"Oslo\""), set("/legs/z/seat", "\"1A\"")),
                 OUTCOME_REJECTED);
    assert_string_equal(result->reason, "PATH_NOT_FOUND");
    assert_true(slice_equal(result->field, SLICE("operations[1].path")));
    assert_true(slice_starts_with(result->message, SLICE("The operation's path leads")));
    expect_trip(TRIP, 1);
    result = send_one(PHONE, STEPS("2", move("/x", "/y")), OUTCOME_REJECTED);
    assert_true(slice_equal(result->field, SLICE("operations[0].moveFrom")));
}

static void what_becomes_too_deep_or_too_large_is_rejected(void **state) {
    (void)state;
    enum { HALF = CHANGE_DATA_MAX / 2 + 100 };
    start("{\"o\":{\"o\":{}}}");
    char *half = arena_zalloc(&arena, 1, HALF + 3), *deep = arena_zalloc(&arena, 1, 256);
    memset(half, 'x', HALF);
    half[0] = half[HALF - 1] = '"';
    struct change_result *result =
        send_one(PHONE, STEPS("1", set("/a", half), set("/b", half)), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "TOO_LARGE");
    assert_true(slice_equal(result->field, SLICE("operations")));
    for (size_t i = 0; i < DOCUMENT_DEPTH_MAX - 1; i++) {
        deep[i] = '[';
        deep[2 * (DOCUMENT_DEPTH_MAX - 1) - 1 - i] = ']';
    }
    result = send_one(PHONE, STEPS("2", set("/o/o/deep", deep)), OUTCOME_REJECTED);
    assert_true(slice_equal(result->field, SLICE("operations")));
    assert_true(slice_starts_with(result->message, SLICE("The record's o.o.deep")));
    expect_trip("{\"o\":{\"o\":{}}}", 1);
}

static void sent_again_they_change_nothing_and_others_of_the_id_are_rejected(void **state) {
    (void)state;
    start(TRIP);
    struct change change = STEPS("1", move("/name", "/title"));
    send_one(PHONE, change, OUTCOME_APPLIED);
    assert_true(send_one(PHONE, change, OUTCOME_APPLIED)->duplicate);
    struct change_result *result =
        send_one(PHONE, STEPS("1", move("/name", "/label")), OUTCOME_REJECTED);
    assert_string_equal(result->reason, "CHANGE_ID_REUSED");
    /* Data of the same bytes are another change. */
    struct change data = change_of("1", CHANGE_UPDATE, NULL);
    data.data = change.operations;
    change_payload_hash(&data, data.payload_hash);
    assert_memory_not_equal(data.payload_hash, change.payload_hash, PAYLOAD_HASH_SIZE);
}

/* The tablet's log is gone, and what the laptop had nobody knows. */
static void trim_behind_the_tablet(void) {
    start(TRIP);
    send_one(TABLET, change_of("t", CHANGE_UPDATE, "{\"name\":\"Oslo\"}"), OUTCOME_APPLIED);
    memory_user_trim(&user, 2);
}

static void behind_the_trimmed_log_what_they_set_and_remove_is_in_dispute(void **state) {
    (void)state;
    trim_behind_the_tablet();
    struct change_result *result =
        send_one(LAPTOP,
                 STEPS("l", set("/legs/a/seat", "\"9F\""), gone("/legs/b/gate"),
                       set("/legs/c", "{\"id\":\"c\"}")),
                 OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_document(conflict.client, "{\"legs\":[{\"id\":\"a\",\"seat\":\"9F\"},"
                                     "{\"id\":\"b\",\"seat\":\"2B\"},{\"id\":\"c\"}],"
                                     "\"name\":\"Oslo\"}");
    assert_int_equal(conflict.field_count, 2);
    assert_true(slice_equal(conflict.fields[0], SLICE("legs.b.gate")) ||
                slice_equal(conflict.fields[1], SLICE("legs.b.gate")));
}

static void behind_the_trimmed_log_an_element_goes_if_the_client_wins(void **state) {
    (void)state;
    trim_behind_the_tablet();
    struct sending sending = LAPTOP;
    sending.strategy = STRATEGY_CLIENT;
    struct change_result *result =
        send_one(sending, STEPS("l", gone("/legs/b"), gone("/legs/a/seat")), OUTCOME_MERGED);
    expect_trip("{\"legs\":[{\"id\":\"a\"}],\"name\":\"Oslo\"}", 3);
    assert_int_equal(the_decision(result).field_count, 2);
}

static void of_a_deleted_record_they_are_kept_with_what_it_was(void **state) {
    (void)state;
    start(TRIP);
    send_one(TABLET, change_of("t", CHANGE_DELETE, NULL), OUTCOME_APPLIED);
    struct change_result *result =
        send_one(LAPTOP, STEPS("l", set("/legs/a/seat", "\"9F\"")), OUTCOME_CONFLICT);
    struct conflict conflict = the_conflict(result);
    assert_int_equal(conflict.type, CONFLICT_UPDATE_DELETE);
    assert_document(conflict.client, "{\"legs\":[{\"id\":\"a\",\"seat\":\"9F\"},"
                                     "{\"gate\":\"G\",\"id\":\"b\",\"seat\":\"2B\"}],"
                                     "\"name\":\"Rome\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(operations_do_what_they_say),
        USER_TEST(what_others_did_meanwhile_to_other_elements_stays),
        USER_TEST(they_apply_to_what_the_device_had),
        USER_TEST(one_that_leads_nowhere_rejects_the_change_and_is_named),
        USER_TEST(what_becomes_too_deep_or_too_large_is_rejected),
        USER_TEST(sent_again_they_change_nothing_and_others_of_the_id_are_rejected),
        USER_TEST(behind_the_trimmed_log_what_they_set_and_remove_is_in_dispute),
        USER_TEST(behind_the_trimmed_log_an_element_goes_if_the_client_wins),
        USER_TEST(of_a_deleted_record_they_are_kept_with_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
