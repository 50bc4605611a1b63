/* Batches sent to a user in memory: what the tests of core/change_batch share. */
#ifndef TESTS_SERVICE_CORE_BATCH_SENDING_H
#define TESTS_SERVICE_CORE_BATCH_SENDING_H

#include "base/memory.h"
#include "service/core/change_batch.h"
#include "service/core/conflict.h"
#include "service/core/hybrid_clock.h"
#include "service/core/patch_operation.h"
#include "tests/service/core/memory_user.h"
#include "tests/service/core/test_arena.h"

static const int64_t NOW = 1764000000000000;
static struct memory_user user;

/* Bytes that only count, so that ids differ and runs are alike. */
static inline void random_fill(void *context, uint8_t *bytes, size_t size) {
    uint64_t *state = context;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)((*state = *state * 6364136223846793005 + 1442695040888963407) >> 56);
}
static uint64_t random_state;
static const struct random_source RANDOM = {random_fill, &random_state};

static inline int set_up(void **state) {
    memory_user_init(&user);
    return arena_set_up(state);
}

static inline int tear_down(void **state) {
    memory_user_done(&user);
    return arena_tear_down(state);
}

#define USER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* A change of the trip "t". Without JSON it is a deletion. */
static inline struct change change_of(const char *id, enum change_kind kind, const char *json) {
    struct change change = {.id = slice_text(id),
                            .kind = kind,
                            .type = DATA_TYPE_TRIP,
                            .data_id = SLICE("t"),
                            .device_us = NOW - 1000000};
    if (json)
        change.data = doc(json);
    change_payload_hash(&change, change.payload_hash);
    return change;
}

/* An update of the trip by operations. */
#define STEPS(id, ...)                                                                             \
    steps_of(id, (const struct patch_operation[]){__VA_ARGS__},                                    \
             sizeof((const struct patch_operation[]){__VA_ARGS__}) /                               \
                 sizeof(struct patch_operation))

static inline struct change steps_of(const char *id, const struct patch_operation *operations,
                                     size_t count) {
    struct change change = change_of(id, CHANGE_UPDATE, NULL);
    assert_int_equal(patch_operations_pack(operations, count, &arena, &change.operations), SYNC_OK);
    change_payload_hash(&change, change.payload_hash);
    return change;
}

/* How a batch is sent. */
struct sending {
    const char *device;
    uint64_t acknowledged;
    enum conflict_strategy strategy;
    int64_t clock_offset_us;
    int64_t now_us, forgotten_us;
    const struct policy_set *policies; /* NULL: the built-in ones */
};

/* Applies a batch, commits it unless nothing is to be written, and returns the results. */
static inline struct change_result *send(struct sending sending, const struct change *changes,
                                         size_t count, struct write_set *ret_set) {
    struct change_batch batch = {
        .user = SLICE("u"),
        .device = slice_text(sending.device),
        .changes = changes,
        .count = count,
        .acknowledged = sending.acknowledged,
        .forgotten_device_us =
            sending.forgotten_us == 0
                ? 0
                : hybrid_clock_at_device(sending.forgotten_us, sending.clock_offset_us)};
    struct batch_context context = {
        .now_us = sending.now_us ? sending.now_us : NOW,
        .clock_offset_us = sending.clock_offset_us,
        .forgotten_us = sending.forgotten_us,
        .random = &RANDOM,
        .policies = sending.policies ? sending.policies : policy_set_default(),
        .strategy = sending.strategy ? sending.strategy : STRATEGY_MANUAL};
    struct touched want;
    struct user_view view;
    struct write_set set;
    struct change_result *results = NULL;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    assert_int_equal(want.record_count, count);
    assert_int_equal(want.change_count, count);
    memory_user_load(&user, &want, &arena, &view);
    assert_int_equal(change_batch_apply(&view, &batch, &context, &arena, &set, &results), SYNC_OK);
    if (set.record_count + set.log_count + set.settled_count + set.row_count > 0)
        memory_user_commit(&user, &set);
    if (ret_set)
        *ret_set = set;
    return results;
}

/* Sends one change and expects its outcome. */
static inline struct change_result *send_one(struct sending sending, struct change change,
                                             enum change_outcome outcome) {
    struct change_result *result = send(sending, &change, 1, NULL);
    assert_int_equal(result->outcome, outcome);
    assert_true(slice_equal(result->change_id, change.id));
    assert_true(slice_equal(result->data_id, change.data_id));
    assert_int_equal(result->type, change.type);
    return result;
}

static const struct sending PHONE = {.device = "phone"};

/* Starts with the trip as made by the phone, version 1. */
static inline void start(const char *json) {
    send_one(PHONE, change_of("start", CHANGE_CREATE, json), OUTCOME_APPLIED);
}

static inline void expect_trip(const char *json, uint64_t version) {
    struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
    assert_non_null(record);
    assert_int_equal(record->version, version);
    assert_int_equal(record->deleted, json == NULL);
    if (json)
        assert_document(record->data, json);
}

/* The only conflict there is. */
static inline struct conflict the_conflict(const struct change_result *result) {
    struct conflict conflict;
    struct slice key;
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, result->conflict_id);
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &conflict), SYNC_OK);
    assert_int_equal(conflict_index_key(SLICE("u"), false, result->conflict_id, &arena, &key),
                     SYNC_OK);
    assert_non_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, key));
    assert_true(slice_equal(conflict.user, SLICE("u")));
    assert_int_equal(conflict.key.type, DATA_TYPE_TRIP);
    assert_true(slice_equal(conflict.key.id, SLICE("t")));
    return conflict;
}

/* What was decided without the user; it must be there, and as resolved. */
static inline struct conflict the_decision(const struct change_result *result) {
    struct conflict decided;
    struct slice key;
    assert_int_equal(result->outcome, OUTCOME_MERGED);
    assert_int_equal(result->conflict_id.size, 0);
    struct row *row = memory_user_row(&user, TABLE_CONFLICT, result->decision_id);
    assert_non_null(row);
    assert_int_equal(conflict_unpack(row->value, &arena, &decided), SYNC_OK);
    assert_int_equal(conflict_index_key(SLICE("u"), true, result->decision_id, &arena, &key),
                     SYNC_OK);
    assert_non_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, key));
    assert_true(decided.resolved_us == NOW && decided.decision_count > 0);
    assert_int_equal(decided.server.size + decided.client.size + decided.base.size, 0);
    struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
    assert_int_equal(conflict_expand(&decided, record->data, &arena), SYNC_OK);
    assert_int_equal(decided.resolved_version, result->version);
    assert_int_equal(user.head.conflicts_open, 0);
    return decided;
}

#endif
