/* Batches, their outcomes, and the conflicts they make. */
#include "base/memory.h"
#include "base/wire.h"
#include "tests/service/core/session_talk.h"

static void a_batch_as_sent_moves_the_cursor_and_brings_no_echo(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 40, 3);
    assert_int_equal(talk.asked[SESSION_APPLY]->apply.batch->n_changes, 3);
    assert_true(talk.asked[SESSION_APPLY]->apply.bytes > 0);
    talk_commit(&talk, 12); /* its own commit, told before the answer */
    assert_null(talk.asked[SESSION_PAGE]);
    talk_applied(&talk, 9, 12, true);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_int_equal(outcomes->batch_id, 40);
    assert_int_equal(outcomes->n_results, 3);
    assert_string_equal(outcomes->write_checkpoint, talk_cursor(12));
    assert_string_equal(outcomes->cursor, talk_cursor(12));
    assert_int_equal(outcomes->checksum.len, CHECKSUM_SIZE);
    assert_int_equal(outcomes->checksum.data[CHECKSUM_SIZE - 1], 12);
    assert_null(talk.asked[SESSION_PAGE]);
    assert_int_equal(talk_view(&talk).position, 12);
    talk_acknowledge_sequence(&talk, 12);
    assert_int_equal(talk_view(&talk).acknowledged, 12);
}

/* Applies a batch at position 9 and expects no cursor, and records to follow. */
static void expect_echo(uint64_t before, uint64_t after, bool as_sent) {
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, before, after, as_sent);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_string_equal(outcomes->write_checkpoint, talk_cursor(after));
    assert_string_equal(outcomes->cursor, "");
    assert_int_equal(outcomes->checksum.len, 0);
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 9);
}

static void a_merged_batch_comes_back_as_records(void **state) {
    (void)state;
    expect_echo(9, 10, false);
}

static void a_batch_behind_what_others_did_comes_back_as_records(void **state) {
    (void)state;
    expect_echo(10, 11, true);
}

static void a_batch_while_a_lap_is_under_way_gives_no_cursor(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 9, 12);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, 9, 13, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor, "");
}

static void a_batch_while_records_are_held_back_gives_no_cursor(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_commit(&talk, 10);
    talk_pause(&talk);
    talk_page(&talk, 1, 10, true);
    talk_expect_silence(&talk);
    talk_batch(&talk, 1, 1);
    talk_applied(&talk, 10, 11, true);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->cursor, "");
    talk_resume(&talk);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(RECORDS))->records->cursor, talk_cursor(10));
    assert_int_equal(talk.asked[SESSION_PAGE]->page.lap.from, 10);
}

static void batches_are_read_ahead_and_applied_one_by_one(void **state) {
    (void)state;
    struct session_settings settings = session_settings_default;
    settings.batches_in_flight_max = 2;
    talk_open(&talk, &settings, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 2);
    assert_true(talk.wants_message); /* there may be a token behind them */
    talk_batch(&talk, 3, 3);
    assert_false(talk.wants_message);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(talk.asked[SESSION_APPLY]->apply.batch->batch_id, i);
        talk_applied(&talk, 8 + (uint64_t)i, 9 + (uint64_t)i, true);
        assert_int_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->batch_id, i);
        assert_true(talk.wants_message);
    }
    assert_null(talk.asked[SESSION_APPLY]);
}

static void batches_in_flight_are_as_few_as_the_device_says(void **state) {
    (void)state;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.batches_in_flight_max = 1;
    talk_open(&talk, NULL, 0);
    talk_hello(&talk, &hello);
    talk_opened(&talk, 0);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    assert_false(talk.wants_message);
}

static void batch_numbers_grow_by_one_from_any(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, -5, 1);
    talk_batch(&talk, -4, 1);
    talk_batch(&talk, -4, 1);
    assert_true(talk.asked[SESSION_REPORT]->report.is_last);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "BATCH_OUT_OF_ORDER");
    assert_string_equal(talk.error.field, "batch.batchId");
    talk_applied(&talk, 9, 10, true); /* what was under way is answered still */
    talk_noted(&talk);
}

static void the_last_number_has_no_successor(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, INT64_MAX, 1);
    talk_batch(&talk, INT64_MIN, 1);
    talk_expect_end(&talk, SYNC_ERR_INVALID, "BATCH_OUT_OF_ORDER");
}

static void a_batch_without_changes_is_refused_alone(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 0);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_string_equal(outcomes->error->reason, "EMPTY_BATCH");
    assert_string_equal(outcomes->error->faults[0]->field, "changes");
    assert_null(talk.asked[SESSION_APPLY]);
    talk_batch(&talk, 2, 1);
    assert_non_null(talk.asked[SESSION_APPLY]);
}

static void too_many_changes_are_refused_in_their_turn(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, BATCH_CHANGES_MAX + 1);
    talk_expect_silence(&talk);
    talk_applied(&talk, 9, 10, true);
    assert_int_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->batch_id, 1);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_int_equal(outcomes->batch_id, 2);
    assert_string_equal(outcomes->error->reason, "TOO_MANY_CHANGES");
}

/* Sends a batch of one change with data of so many bytes. */
static void send_data(size_t bytes) {
    PB(Change) change, *changes[] = {&change};
    PB(SyncBatch) batch = PB_INIT(SYNC_BATCH);
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    uint8_t *data = memory_zalloc(1, bytes);
    assert_non_null(data);
    travelsense__sync__v1__change__init(&change);
    change.data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
    change.data = (ProtobufCBinaryData){bytes, data};
    batch.batch_id = 1;
    batch.changes = changes;
    batch.n_changes = 1;
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BATCH;
    request.batch = &batch;
    talk_say(&talk, &request);
    memory_free(data);
}

static void a_batch_larger_than_it_may_be_is_refused_unread(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    send_data(SYNC_BATCH_BYTES_MAX);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_string_equal(outcomes->error->reason, "BATCH_TOO_LARGE");
    assert_true(talk_view(&talk).memory_bytes < 4096);
}

static void a_batch_as_large_as_it_may_be_is_applied(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    send_data(SYNC_BATCH_BYTES_MAX - 64);
    assert_non_null(talk.asked[SESSION_APPLY]);
}

static void a_batch_that_would_swell_is_refused(void **state) {
    (void)state;
    enum { UNKNOWN_FIELDS = 1 << 17 };
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    /* One change, and fields that this service does not know: two bytes each, many more unpacked.
     */
    size_t inner = 2 * UNKNOWN_FIELDS + 2 + 2, at = 0;
    uint8_t *bytes = memory_zalloc(1, inner + 16);
    assert_non_null(bytes);
    bytes[at++] = 0x12;
    at += wire_put_varint(bytes + at, inner);
    static const uint8_t ID_AND_CHANGE[] = {0x08, 0x01, 0x12, 0x00}, UNKNOWN_FIELD[] = {0x78, 0x01};
    memcpy(bytes + at, ID_AND_CHANGE, sizeof ID_AND_CHANGE);
    at += sizeof ID_AND_CHANGE;
    for (int i = 0; i < UNKNOWN_FIELDS; i++, at += sizeof UNKNOWN_FIELD)
        memcpy(bytes + at, UNKNOWN_FIELD, sizeof UNKNOWN_FIELD);
    talk.wants_message = false;
    talk_tell(&talk,
              &(struct session_event){.kind = SESSION_RECEIVED, .bytes = slice_of(bytes, at)});
    memory_free(bytes);
    const PB(SyncOutcomes) *outcomes = talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes;
    assert_string_equal(outcomes->error->reason, "BATCH_TOO_LARGE");
    assert_int_equal(outcomes->batch_id, 1);
}

static void what_refuses_one_batch_lets_the_next_be_applied(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    PB(SyncBatchError) refusal = PB_INIT(SYNC_BATCH_ERROR);
    refusal.reason = (char *)"INVALID_CHANGES";
    struct session_answer answer = {.kind = SESSION_APPLY, .apply = {.refusal = &refusal}};
    sync_error_set(&answer.error, SYNC_ERR_INVALID, "INVALID_CHANGES", NULL, "see the faults");
    talk_answer(&talk, &answer);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->error->reason,
                        "INVALID_CHANGES");
    talk_batch(&talk, 2, 1);
    talk_fail(&talk, SESSION_APPLY, SYNC_ERR_EXHAUSTED, "QUOTA_EXCEEDED");
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->error->reason,
                        "QUOTA_EXCEEDED");
    talk_batch(&talk, 3, 1);
    talk_fail(&talk, SESSION_APPLY, SYNC_ERR_IO, "IO");
    talk_expect_end(&talk, SYNC_ERR_IO, "IO");
    talk_noted(&talk);
}

static void the_clock_is_measured_anew_with_each_batch(void **state) {
    (void)state;
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    PB(SyncBatch) batch = PB_INIT(SYNC_BATCH);
    PB(Change) change, *changes[] = {&change};
    Google__Protobuf__Timestamp sent_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BATCH;
    request.batch = &batch;
    travelsense__sync__v1__change__init(&change);
    batch.changes = changes;
    batch.n_changes = 1;
    batch.sent_at = &sent_at;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    static const struct {
        int64_t seconds, offset_us;
    } CASES[] = {{3600, 3600000000}, {1, 0}, {-5, -5000000}};
    for (int i = 0; i < 3; i++) {
        batch.batch_id = i;
        sent_at.seconds = TALK_WALL_US / 1000000 + CASES[i].seconds;
        talk_say(&talk, &request);
        assert_int_equal(talk.asked[SESSION_APPLY]->apply.clock_offset_us, CASES[i].offset_us);
        talk_applied(&talk, 9, 9, false);
        talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    }
    batch.sent_at = NULL; /* as measured last */
    batch.batch_id = 3;
    talk_say(&talk, &request);
    assert_int_equal(talk.asked[SESSION_APPLY]->apply.clock_offset_us, -5000000);
    talk_applied(&talk, 9, 9, false);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    batch.sent_at = &sent_at;
    sent_at.nanos = 1000000000;
    batch.batch_id = 4;
    talk_say(&talk, &request);
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(OUTCOMES))->outcomes->error->faults[0]->field,
                        "sentAt");
}

static void a_batch_is_judged_by_what_was_held_when_it_was_sent(void **state) {
    (void)state;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 1);
    talk_batch(&talk, 2, 1);
    talk_applied(&talk, 9, 10, true);
    talk_acknowledge_sequence(&talk, 10);
    talk_batch(&talk, 3, 1);
    assert_int_equal(talk.asked[SESSION_APPLY]->apply.acknowledged, 9);
    talk_applied(&talk, 10, 11, true);
    assert_int_equal(talk.asked[SESSION_APPLY]->apply.acknowledged, 10);
}

/* Answers the batch with these conflicts, "" for a change without one. */
static void apply_with_conflicts(const char *const *ids, size_t count, bool duplicate) {
    static PB(ChangeResult) results[BATCH_CHANGES_MAX], *pointers[BATCH_CHANGES_MAX];
    for (size_t i = 0; i < count; i++) {
        travelsense__sync__v1__change_result__init(&results[i]);
        results[i].conflict_id = (char *)ids[i];
        results[i].duplicate = duplicate;
        pointers[i] = &results[i];
    }
    talk_answer(&talk,
                &(struct session_answer){
                    .kind = SESSION_APPLY,
                    .apply = {.results = pointers, .count = count, .before = 9, .after = 9}});
}

static void a_conflict_that_is_told_again_is_sent_again_and_counted_once(void **state) {
    (void)state;
    static const char *const IDS[] = {"k1"};
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    for (int i = 0; i < 2; i++) {
        talk_batch(&talk, i, 1);
        apply_with_conflicts(IDS, 1, i == 1);
        assert_true(slice_equal(talk.asked[SESSION_CONFLICT]->conflict_id, SLICE("k1")));
        talk_answer(&talk, &(struct session_answer){.kind = SESSION_CONFLICT});
    }
    talk_bye(&talk);
    assert_int_equal(talk.asked[SESSION_REPORT]->report.conflicts, 1);
}

static void batches_wait_for_the_conflicts_of_those_before(void **state) {
    (void)state;
    static const char *ids[BATCH_CHANGES_MAX];
    for (size_t i = 0; i < BATCH_CHANGES_MAX; i++)
        ids[i] = "k";
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    for (int i = 0; i < 3; i++)
        talk_batch(&talk, i, BATCH_CHANGES_MAX);
    apply_with_conflicts(ids, BATCH_CHANGES_MAX, false);
    /* One is being fetched; the others allow a batch more, and that one none. */
    apply_with_conflicts(ids, BATCH_CHANGES_MAX, false);
    assert_null(talk.asked[SESSION_APPLY]);
    for (int i = 0; i < BATCH_CHANGES_MAX; i++)
        talk_answer(&talk, &(struct session_answer){.kind = SESSION_CONFLICT});
    assert_non_null(talk.asked[SESSION_APPLY]);
}

static void batches_wait_for_the_outcomes_of_those_before(void **state) {
    (void)state;
    enum { RESULT_BYTES = 1100 };
    static char text[RESULT_BYTES + 1];
    static const char *ids[BATCH_CHANGES_MAX];
    memset(text, 'k', RESULT_BYTES);
    for (size_t i = 0; i < BATCH_CHANGES_MAX; i++)
        ids[i] = text;
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk.holds = true;
    for (int i = 0; i < 5; i++)
        talk_batch(&talk, i, 1);
    talk_applied(&talk, 9, 10, true); /* goes to the transport */
    apply_with_conflicts(ids, 900, false);
    assert_non_null(talk.asked[SESSION_APPLY]); /* not a MiB yet */
    talk_applied(&talk, 10, 11, true);
    apply_with_conflicts(ids, 60, false);
    assert_null(talk.asked[SESSION_APPLY]);
}

static void conflicts_are_fetched_one_by_one_and_sent(void **state) {
    (void)state;
    static const char *const IDS[] = {"k1", "", "k2", "k3"};
    PB(Conflict) conflict;
    travelsense__sync__v1__conflict__init(&conflict);
    talk_open(&talk, NULL, 0);
    talk_begin_complete(&talk, true, 9);
    talk_batch(&talk, 1, 4);
    apply_with_conflicts(IDS, 4, false);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    assert_true(slice_equal(talk.asked[SESSION_CONFLICT]->conflict_id, SLICE("k1")));
    conflict.conflict_id = (char *)"k1";
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_CONFLICT, .conflict = &conflict});
    assert_string_equal(talk_take(&talk, TALK_MESSAGE(CONFLICT))->conflict->conflict_id, "k1");
    assert_true(slice_equal(talk.asked[SESSION_CONFLICT]->conflict_id, SLICE("k2")));
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_CONFLICT}); /* it is gone */
    talk_expect_silence(&talk);
    assert_true(slice_equal(talk.asked[SESSION_CONFLICT]->conflict_id, SLICE("k3")));
    talk_fail(&talk, SESSION_CONFLICT, SYNC_ERR_NOT_FOUND, "NOT_FOUND");
    talk_expect_silence(&talk);
    assert_null(talk.asked[SESSION_CONFLICT]);
    assert_true(talk_view(&talk).memory_bytes <= 2048);
}

static void complete_waits_for_the_conflicts(void **state) {
    (void)state;
    static const char *const IDS[] = {"k1"};
    talk_open(&talk, NULL, 0);
    talk_begin(&talk, true, 9, 9);
    talk_batch(&talk, 1, 1);
    apply_with_conflicts(IDS, 1, false);
    talk_page(&talk, 0, 9, true);
    talk_take(&talk, TALK_MESSAGE(OUTCOMES));
    talk_expect_silence(&talk);
    talk_answer(&talk, &(struct session_answer){.kind = SESSION_CONFLICT});
    talk_take(&talk, TALK_MESSAGE(COMPLETE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TALK_TEST(a_batch_as_sent_moves_the_cursor_and_brings_no_echo),
        TALK_TEST(a_merged_batch_comes_back_as_records),
        TALK_TEST(a_batch_behind_what_others_did_comes_back_as_records),
        TALK_TEST(a_batch_while_a_lap_is_under_way_gives_no_cursor),
        TALK_TEST(a_batch_while_records_are_held_back_gives_no_cursor),
        TALK_TEST(batches_are_read_ahead_and_applied_one_by_one),
        TALK_TEST(batches_in_flight_are_as_few_as_the_device_says),
        TALK_TEST(batch_numbers_grow_by_one_from_any),
        TALK_TEST(the_last_number_has_no_successor),
        TALK_TEST(a_batch_without_changes_is_refused_alone),
        TALK_TEST(too_many_changes_are_refused_in_their_turn),
        TALK_TEST(a_batch_larger_than_it_may_be_is_refused_unread),
        TALK_TEST(a_batch_as_large_as_it_may_be_is_applied),
        TALK_TEST(a_batch_that_would_swell_is_refused),
        TALK_TEST(what_refuses_one_batch_lets_the_next_be_applied),
        TALK_TEST(the_clock_is_measured_anew_with_each_batch),
        TALK_TEST(a_batch_is_judged_by_what_was_held_when_it_was_sent),
        TALK_TEST(a_conflict_that_is_told_again_is_sent_again_and_counted_once),
        TALK_TEST(batches_wait_for_the_conflicts_of_those_before),
        TALK_TEST(batches_wait_for_the_outcomes_of_those_before),
        TALK_TEST(conflicts_are_fetched_one_by_one_and_sent),
        TALK_TEST(complete_waits_for_the_conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
