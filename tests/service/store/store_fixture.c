#include "tests/service/store/store_fixture.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/memory.h"

struct slice fixture_id(struct arena *arena, const char *prefix, uint64_t number) {
    char *text = arena_format(arena, "%s%llu", prefix, (unsigned long long)number);
    assert_non_null(text);
    return slice_text(text);
}

static void fixture_make_one(struct fixture_commit *commit, struct arena *arena,
                             const struct fixture_wish *wish, size_t i) {
    uint64_t sequence = wish->head.sequence + 1 + i;
    struct record_key key = {.type = wish->type,
                             .id = fixture_id(arena, wish->prefix, wish->first + i)};
    int64_t time_us = wish->time_us + (int64_t)i;
    struct slice change_id = fixture_id(arena, "change", sequence);
    commit->records[i] = (struct record){
        .key = key, .version = sequence, .updated_us = time_us, .deleted = wish->deleted};
    if (!wish->deleted) {
        commit->records[i].data = wish->data;
        commit->records[i].stamps = sequence % 2 == 0 ? SLICE("stamps") : SLICE_EMPTY;
        commit->records[i].element = (struct checksum){sequence, ~sequence};
    }
    commit->log[i] = (struct log_entry){.sequence = sequence,
                                        .kind = wish->deleted ? CHANGE_DELETE : CHANGE_UPDATE,
                                        .key = key,
                                        .previous_version = wish->previous_version,
                                        .previous_deleted = wish->previous_version == 0,
                                        .as_sent = wish->as_sent,
                                        .undo = SLICE("undo"),
                                        .device = SLICE("phone"),
                                        .change_id = change_id,
                                        .device_us = time_us - 5,
                                        .corrected_us = time_us - 3};
    commit->settled[i] = (struct settled){
        .device = SLICE("phone"), .change_id = change_id, .outcome = SLICE("applied")};
    memset(commit->settled[i].payload_hash, (int)sequence, PAYLOAD_HASH_SIZE);
}

void fixture_make(struct fixture_commit *commit, struct arena *arena,
                  const struct fixture_wish *wish) {
    assert_true(wish->count <= FIXTURE_CHANGES_MAX);
    for (size_t i = 0; i < wish->count; i++)
        fixture_make_one(commit, arena, wish, i);
    commit->set = (struct write_set){.user = wish->user,
                                     .expected_revision = wish->head.revision,
                                     .head = wish->head,
                                     .records = commit->records,
                                     .record_count = wish->count,
                                     .log = commit->log,
                                     .log_count = wish->count,
                                     .settled = commit->settled,
                                     .settled_count = wish->count};
    commit->set.head.sequence += wish->count;
    commit->set.head.time_us = wish->time_us + (int64_t)wish->count - 1;
    commit->set.head.record_count += (uint32_t)wish->count;
}

struct user_head fixture_head(struct store *store, struct slice user) {
    struct arena arena;
    struct user_view view;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_load(store, NULL, &(struct touched){.user = user}, &arena, &view),
                     SYNC_OK);
    arena_done(&arena);
    return view.head;
}

struct user_head fixture_commit_of(struct store *store, const struct fixture_wish *wish) {
    struct fixture_commit *commit = memory_alloc(sizeof *commit);
    struct arena arena;
    struct user_head head = {0};
    assert_non_null(commit);
    arena_init(&arena, 16 << 20);
    fixture_make(commit, &arena, wish);
    assert_int_equal(store_commit_wait(store, &commit->set, &head), SYNC_OK);
    arena_done(&arena);
    memory_free(commit);
    return head;
}
