#include "service/core/conflict.h"

#include "base/limits.h"
#include "service/core/checksum.h"
#include "tests/base/memory_walk.h"
#include "tests/service/core/conflict_deciding.h"
#include "tests/service/core/test_arena.h"

static const int64_t NOW = 1764000000000000;
static struct memory_user user;

static int set_up(void **state) {
    memory_user_init(&user);
    return arena_set_up(state);
}

static int tear_down(void **state) {
    memory_user_done(&user);
    return arena_tear_down(state);
}

#define USER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* Stores a record at version 1 (or a tombstone) and an open conflict about it. */
static struct conflict start(enum conflict_type type) {
    struct conflict conflict = {
        .id = SLICE("0197a0c5-7e8e-7000-8000-000000000001"),
        .user = SLICE("u"),
        .device = SLICE("phone"),
        .change_id = SLICE("c"),
        .key = {DATA_TYPE_TRIP, SLICE("t")},
        .type = type,
        .has_base = true,
        .has_client = type != CONFLICT_DELETE_UPDATE,
        .has_server = type != CONFLICT_UPDATE_DELETE,
        .base = doc("{\"a\":1}"),
        .suggested = doc("{\"a\":2}"),
        .server_version = 1,
        .detected_us = NOW,
    };
    static struct slice fields[] = {SLICE("a"), SLICE("b.c")};
    conflict.fields = fields;
    conflict.field_count = 2;
    if (conflict.has_client)
        conflict.client = doc("{\"a\":3}");
    if (conflict.has_server)
        conflict.server = doc("{\"a\":2}");
    user.records[0] = (struct record){.key = conflict.key,
                                      .version = 1,
                                      .updated_us = NOW,
                                      .deleted = !conflict.has_server,
                                      .data = conflict.server};
    user.record_count = 1;
    user.head = (struct user_head){.sequence = 1, .time_us = NOW, .conflicts_open = 1};
    if (conflict.has_server) {
        struct buffer scratch;
        buffer_init(&scratch, 1 << 20);
        assert_int_equal(
            checksum_element(&conflict.key, conflict.server, &scratch, &user.records[0].element),
            SYNC_OK);
        buffer_done(&scratch);
        user.head.checksum = user.records[0].element;
        user.head.record_count = 1;
        user.head.data_bytes = conflict.server.size;
    }
    struct row *index = &user.rows[user.row_count++];
    *index = (struct row){.table = TABLE_CONFLICT_BY_USER, .found = true};
    assert_int_equal(conflict_index_key(conflict.user, false, conflict.id, &arena, &index->key),
                     SYNC_OK);
    return conflict;
}

struct answer {
    struct write_set set;
    struct conflict conflict;
    struct record record;
    struct sync_error error;
};

/* Resolves and commits. */
static enum sync_status resolve(const struct conflict *conflict, struct resolution_request request,
                                struct answer *answer) {
    struct user_view view;
    struct batch_context context = deciding_at(NOW + 5);
    deciding_load(&user, conflict, &view);
    enum sync_status status =
        conflict_resolve(&view, conflict, &request, &context, &arena, &answer->error, &answer->set,
                         &answer->conflict, &answer->record);
    if (!status && answer->set.row_count > 0)
        memory_user_commit(&user, &answer->set);
    return status;
}

static void a_conflict_reads_back(void **state) {
    (void)state;
    static const enum conflict_type TYPES[] = {CONFLICT_UPDATE_UPDATE, CONFLICT_UPDATE_DELETE,
                                               CONFLICT_DELETE_UPDATE};
    for (size_t i = 0; i < 3; i++) {
        user.row_count = 0;
        struct conflict conflict = start(TYPES[i]), read;
        struct slice value;
        if (i == 1) {
            conflict.resolved_us = NOW + 1;
            conflict.resolution = RESOLUTION_MERGE;
            conflict.merged = doc("{\"m\":1}");
            conflict.resolved_version = 9;
            conflict.has_base = false;
            static struct conflict_decision decisions[] = {
                {SLICE("a.b"), SLICE("policy latest"), RESOLUTION_CLIENT},
                {SLICE(""), SLICE("strategy merge"), RESOLUTION_SERVER}};
            conflict.decisions = decisions;
            conflict.decision_count = 2;
        }
        assert_int_equal(conflict_pack(&conflict, &arena, &value), SYNC_OK);
        assert_int_equal(conflict_unpack(value, &arena, &read), SYNC_OK);
        assert_true(slice_equal(read.id, conflict.id) && slice_equal(read.user, conflict.user));
        assert_true(slice_equal(read.device, conflict.device));
        assert_true(slice_equal(read.change_id, conflict.change_id));
        assert_true(slice_equal(read.key.id, conflict.key.id));
        assert_int_equal(read.key.type, conflict.key.type);
        assert_int_equal(read.type, conflict.type);
        assert_int_equal(read.has_base, conflict.has_base);
        assert_int_equal(read.has_client, conflict.has_client);
        assert_int_equal(read.has_server, conflict.has_server);
        if (i == 1)
            assert_int_equal(conflict_reduce(&conflict, conflict.client, &arena), SYNC_OK);
        assert_int_equal(conflict_pack(&conflict, &arena, &value), SYNC_OK);
        assert_int_equal(conflict_unpack(value, &arena, &read), SYNC_OK);
        assert_int_equal(read.is_lean, i == 1);
        assert_int_equal(conflict_expand(&read, conflict.client, &arena), SYNC_OK);
        if (i == 1)
            conflict.suggested = conflict.merged = conflict.client; /* what the record became */
        assert_true(slice_equal(read.client, conflict.client));
        assert_true(slice_equal(read.server, conflict.server));
        assert_true(slice_equal(read.suggested, conflict.suggested));
        assert_int_equal(read.field_count, 2);
        assert_true(slice_equal(read.fields[1], SLICE("b.c")));
        assert_int_equal(read.server_version, 1);
        assert_int_equal(read.detected_us, NOW);
        assert_int_equal(read.resolved_us, conflict.resolved_us);
        assert_int_equal(read.resolution, conflict.resolution);
        assert_true(slice_equal(read.merged, conflict.merged));
        assert_int_equal(read.resolved_version, conflict.resolved_version);
        assert_int_equal(read.decision_count, i == 1 ? 2 : 0);
        for (size_t j = 0; j < read.decision_count; j++) {
            assert_true(slice_equal(read.decisions[j].field, conflict.decisions[j].field));
            assert_true(slice_equal(read.decisions[j].reason, conflict.decisions[j].reason));
            assert_int_equal(read.decisions[j].taken, conflict.decisions[j].taken);
        }
    }
}

static void damaged_conflicts_are_told(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE), read;
    struct slice value;
    assert_int_equal(conflict_pack(&conflict, &arena, &value), SYNC_OK);
    assert_int_equal(conflict_unpack(SLICE_EMPTY, &arena, &read), SYNC_ERR_CORRUPT);
    assert_int_equal(conflict_unpack(slice_first(value, value.size - 1), &arena, &read),
                     SYNC_ERR_CORRUPT);
}

/* Resolves a conflict of a type, and expects the record to be this at the version. */
static void expect_resolved(enum conflict_type type, struct resolution_request request,
                            const char *json, uint64_t version) {
    memory_user_done(&user);
    memory_user_init(&user);
    struct conflict conflict = start(type);
    struct answer answer;
    assert_int_equal(resolve(&conflict, request, &answer), SYNC_OK);
    struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
    assert_int_equal(record->version, version);
    assert_int_equal(record->deleted, json == NULL);
    if (json)
        assert_document(record->data, json);
    assert_int_equal(answer.record.version, version);
    assert_int_equal(answer.conflict.resolved_us, NOW + 5);
    assert_int_equal(answer.conflict.resolved_version, version);
    assert_int_equal(user.head.conflicts_open, 0);
    struct slice open, resolved;
    assert_int_equal(conflict_index_key(SLICE("u"), false, conflict.id, &arena, &open), SYNC_OK);
    assert_int_equal(conflict_index_key(SLICE("u"), true, conflict.id, &arena, &resolved), SYNC_OK);
    assert_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, open));
    assert_non_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, resolved));
    /* The same again changes nothing; another is refused. */
    struct answer again;
    assert_int_equal(resolve(&answer.conflict, request, &again), SYNC_OK);
    assert_int_equal(again.set.row_count + again.set.record_count + again.set.log_count, 0);
    assert_int_equal(again.record.version, version);
    struct resolution_request other = {.resolution = RESOLUTION_MERGE, .merged = doc("{\"o\":1}")};
    assert_int_equal(resolve(&answer.conflict, other, &again), SYNC_ERR_PRECONDITION);
    assert_string_equal(again.error.reason, "ALREADY_RESOLVED");
}

static void each_resolution_of_each_type_does_what_it_says(void **state) {
    (void)state;
    const struct resolution_request client = {.resolution = RESOLUTION_CLIENT};
    const struct resolution_request server = {.resolution = RESOLUTION_SERVER};
    const struct resolution_request merge = {.resolution = RESOLUTION_MERGE,
                                             .merged = doc("{\"a\":4}")};
    expect_resolved(CONFLICT_UPDATE_UPDATE, client, "{\"a\":3}", 2);
    expect_resolved(CONFLICT_UPDATE_UPDATE, server, "{\"a\":2}", 1);
    expect_resolved(CONFLICT_UPDATE_UPDATE, merge, "{\"a\":4}", 2);
    expect_resolved(CONFLICT_UPDATE_DELETE, client, "{\"a\":3}", 2);
    expect_resolved(CONFLICT_UPDATE_DELETE, server, NULL, 1);
    expect_resolved(CONFLICT_UPDATE_DELETE, merge, "{\"a\":4}", 2);
    expect_resolved(CONFLICT_DELETE_UPDATE, client, NULL, 2);
    expect_resolved(CONFLICT_DELETE_UPDATE, server, "{\"a\":2}", 1);
    expect_resolved(CONFLICT_DELETE_UPDATE, merge, "{\"a\":4}", 2);
}

static void a_resolution_is_a_change_without_device(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
    struct answer answer;
    assert_int_equal(
        resolve(&conflict, (struct resolution_request){.resolution = RESOLUTION_CLIENT}, &answer),
        SYNC_OK);
    assert_int_equal(user.log_count, 1);
    assert_int_equal(user.log[0].device.size, 0);
    assert_int_equal(user.log[0].kind, CHANGE_UPDATE);
    assert_int_equal(user.log[0].previous_version, 1);
    assert_true(slice_equal(user.log[0].change_id, conflict.id));
}

static void a_record_that_moved_on_is_guarded(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
    struct answer answer;
    struct resolution_request request = {.resolution = RESOLUTION_CLIENT, .expected_version = 7};
    assert_int_equal(resolve(&conflict, request, &answer), SYNC_ERR_PRECONDITION);
    assert_string_equal(answer.error.reason, "VERSION_MISMATCH");
    assert_string_equal(answer.error.field, "baseVersion");
    request.expected_version = 1;
    assert_int_equal(resolve(&conflict, request, &answer), SYNC_OK);
}

static void a_record_that_moved_on_unseen_is_shown_and_not_overwritten(void **state) {
    (void)state;
    static const enum resolution HOW[] = {RESOLUTION_CLIENT, RESOLUTION_MERGE};
    for (size_t i = 0; i < 2; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
        conflict.server = doc("{\"a\":1}"); /* as it was before */
        struct answer answer, again;
        struct resolution_request request = {.resolution = HOW[i], .merged = doc("{\"m\":1}")};
        struct record *record = memory_user_find(&user, DATA_TYPE_TRIP, "t");
        record->version = user.head.sequence = 2;
        assert_int_equal(resolve(&conflict, request, &answer), SYNC_OK);
        assert_int_equal(answer.conflict.resolved_us, 0);
        assert_int_equal(answer.conflict.server_version, 2);
        assert_document(answer.conflict.server, "{\"a\":2}");
        assert_int_equal(answer.set.log_count, 0);
        assert_int_equal(user.head.conflicts_open, 1);
        assert_int_equal(resolve(&answer.conflict, request, &again), SYNC_OK);
        assert_true(again.conflict.resolved_us != 0);
        assert_int_equal(again.record.version, 3);
    }
}

/* Takes a resolution back and commits. */
static enum sync_status undo(const struct conflict *conflict, struct answer *answer) {
    struct user_view view;
    deciding_load(&user, conflict, &view);
    enum sync_status status = conflict_undo(&view, conflict, NOW + 9, &arena, &answer->error,
                                            &answer->set, &answer->conflict, &answer->record);
    if (!status && answer->set.row_count > 0)
        memory_user_commit(&user, &answer->set);
    return status;
}

static void a_resolution_can_be_taken_back(void **state) {
    (void)state;
    static const enum conflict_type TYPES[] = {CONFLICT_UPDATE_UPDATE, CONFLICT_UPDATE_DELETE,
                                               CONFLICT_DELETE_UPDATE};
    static const enum resolution HOW[] = {RESOLUTION_CLIENT, RESOLUTION_SERVER, RESOLUTION_MERGE};
    for (size_t i = 0; i < 9; i++) {
        memory_user_done(&user);
        memory_user_init(&user);
        struct conflict conflict = start(TYPES[i % 3]);
        struct checksum before = user.head.checksum;
        struct answer resolved, undone, again;
        assert_int_equal(resolve(&conflict,
                                 (struct resolution_request){.resolution = HOW[i / 3],
                                                             .merged = doc("{\"m\":1}")},
                                 &resolved),
                         SYNC_OK);
        assert_int_equal(undo(&resolved.conflict, &undone), SYNC_OK);
        assert_int_equal(undone.conflict.resolved_us, 0);
        assert_int_equal(undone.conflict.server_version, undone.record.version);
        assert_int_equal(undone.record.deleted, !conflict.has_server);
        if (conflict.has_server)
            assert_document(undone.record.data, "{\"a\":2}");
        assert_memory_equal(&user.head.checksum, &before, sizeof before);
        assert_int_equal(user.head.conflicts_open, 1);
        struct slice open, closed;
        assert_int_equal(conflict_index_key(SLICE("u"), false, conflict.id, &arena, &open),
                         SYNC_OK);
        assert_int_equal(conflict_index_key(SLICE("u"), true, conflict.id, &arena, &closed),
                         SYNC_OK);
        assert_non_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, open));
        assert_null(memory_user_row(&user, TABLE_CONFLICT_BY_USER, closed));
        /* Once more changes nothing; and it can be resolved again, otherwise. */
        assert_int_equal(undo(&undone.conflict, &again), SYNC_OK);
        assert_int_equal(again.set.row_count + again.set.log_count, 0);
        assert_int_equal(resolve(&undone.conflict,
                                 (struct resolution_request){.resolution = HOW[(i / 3 + 1) % 3],
                                                             .merged = doc("{\"m\":2}")},
                                 &again),
                         SYNC_OK);
        assert_true(again.conflict.resolved_us != 0);
    }
}

static void what_changed_since_in_no_known_way_is_not_undone(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
    struct answer resolved, undone;
    assert_int_equal(
        resolve(&conflict, (struct resolution_request){.resolution = RESOLUTION_CLIENT}, &resolved),
        SYNC_OK);
    memory_user_find(&user, DATA_TYPE_TRIP, "t")->version = ++user.head.sequence;
    assert_int_equal(undo(&resolved.conflict, &undone), SYNC_ERR_PRECONDITION);
    assert_string_equal(undone.error.reason, "RESOLVED_LONG_AGO");
    memory_user_find(&user, DATA_TYPE_TRIP, "t")->version = resolved.record.version;
    user.head.conflicts_open = USER_CONFLICTS_OPEN_MAX;
    assert_int_equal(undo(&resolved.conflict, &undone), SYNC_ERR_EXHAUSTED);
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
    struct resolution_request request = {.resolution = RESOLUTION_CLIENT};
    struct batch_context context = deciding_at(NOW);
    struct user_view view;
    deciding_load(&user, &conflict, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct answer answer;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            conflict_resolve(&view, &conflict, &request, &context, &small, &answer.error,
                             &answer.set, &answer.conflict, &answer.record);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
}

static void refused_memory_takes_nothing_back(void **state) {
    (void)state;
    struct conflict conflict = start(CONFLICT_UPDATE_UPDATE);
    struct answer resolved, answer;
    struct user_view view;
    assert_int_equal(
        resolve(&conflict, (struct resolution_request){.resolution = RESOLUTION_CLIENT}, &resolved),
        SYNC_OK);
    deciding_load(&user, &resolved.conflict, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            conflict_undo(&view, &resolved.conflict, NOW + 9, &small, &answer.error, &answer.set,
                          &answer.conflict, &answer.record);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
    for (struct arena_walk walk = {0};
         arena_walk_next(&walk);) { /* each place that asks the arena */
        enum sync_status status =
            conflict_undo(&view, &resolved.conflict, NOW + 9, &walk.arena, &answer.error,
                          &answer.set, &answer.conflict, &answer.record);
        arena_walk_end(&walk, status);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(a_conflict_reads_back),
        USER_TEST(damaged_conflicts_are_told),
        USER_TEST(each_resolution_of_each_type_does_what_it_says),
        USER_TEST(a_resolution_is_a_change_without_device),
        USER_TEST(a_record_that_moved_on_is_guarded),
        USER_TEST(a_record_that_moved_on_unseen_is_shown_and_not_overwritten),
        USER_TEST(a_resolution_can_be_taken_back),
        USER_TEST(what_changed_since_in_no_known_way_is_not_undone),
        USER_TEST(refused_memory_is_told),
        USER_TEST(refused_memory_takes_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
