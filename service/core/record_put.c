#include "service/core/record_put.h"

#include <assert.h>

#include "base/sha256.h"
#include "service/core/slice_index.h"
#include "service/core/write_build.h"

/* A batch on the way. */
struct put_work {
    const struct record_put_batch *batch;
    struct write_build build;
    struct record_state *states; /* of the distinct records */
    size_t state_count;
    size_t *state_of; /* parallel to the puts */
    struct record *results;
};

enum sync_status record_put_touch(const struct record_put_batch *batch, struct arena *arena,
                                  struct touched *ret_touched) {
    assert(batch && arena);
    assert(ret_touched);
    struct record_want *wants = arena_zalloc(arena, batch->count, sizeof *wants);
    struct change_want *change = arena_zalloc(arena, 1, sizeof *change);
    if (!wants || !change)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < batch->count; i++)
        wants[i].key = batch->puts[i].key;
    change->change_id = batch->request_id;
    *ret_touched = (struct touched){
        .user = batch->user,
        .records = wants,
        .record_count = batch->count,
        .changes = change,
        .change_count = batch->request_id.size > 0,
    };
    return SYNC_OK;
}

/* A digest of what a request asks for: the same id with other puts is a mistake. */
static void put_batch_hash(const struct record_put_batch *batch,
                           uint8_t ret_hash[PAYLOAD_HASH_SIZE]) {
    struct sha256 sha;
    uint8_t digest[SHA256_SIZE];
    sha256_init(&sha);
    for (size_t i = 0; i < batch->count; i++) {
        const struct record_put *put = &batch->puts[i];
        const uint64_t numbers[] = {(uint64_t)put->key.type, put->key.id.size, put->remove,
                                    put->base_version, put->data.size};
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            uint8_t bytes[8];
            for (int b = 0; b < 8; b++)
                bytes[b] = (uint8_t)(numbers[n] >> (56 - 8 * b));
            sha256_update(&sha, slice_of(bytes, sizeof bytes));
        }
        sha256_update(&sha, put->key.id);
        sha256_update(&sha, put->data);
    }
    sha256_final(&sha, digest);
    memcpy(ret_hash, digest, PAYLOAD_HASH_SIZE);
}

/* Finds the distinct records and takes them as loaded. */
static enum sync_status states_open(struct put_work *work, const struct user_view *view) {
    const struct record_put_batch *batch = work->batch;
    struct arena *arena = work->build.arena;
    struct slice_index index;
    work->states = arena_zalloc(arena, batch->count, sizeof *work->states);
    work->state_of = arena_alloc(arena, batch->count * sizeof *work->state_of);
    work->results = arena_zalloc(arena, batch->count, sizeof *work->results);
    if (!work->states || !work->state_of || !work->results ||
        !slice_index_init(&index, arena, batch->count))
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < batch->count; i++) {
        const struct record_key *key = &batch->puts[i].key;
        uint8_t *bytes = arena_alloc(arena, 1 + key->id.size);
        if (!bytes)
            return SYNC_ERR_NO_MEMORY;
        bytes[0] = (uint8_t)key->type;
        if (key->id.size > 0)
            memcpy(bytes + 1, key->id.data, key->id.size);
        size_t number =
            slice_index_add(&index, slice_of(bytes, 1 + key->id.size), work->state_count);
        work->state_of[i] = number;
        if (number < work->state_count)
            continue;
        struct record_state *state = &work->states[work->state_count++];
        state->found = view->records[i].found;
        state->record = state->found ? view->records[i].record : (struct record){.deleted = true};
        state->record.key = *key;
    }
    return SYNC_OK;
}

/* Puts one record, unless it is already so. */
static enum sync_status put_one(struct put_work *work, size_t i, struct sync_error *error) {
    const struct record_put_batch *batch = work->batch;
    const struct record_put *put = &batch->puts[i];
    struct record_state *state = &work->states[work->state_of[i]];
    if (put->base_version > 0 && state->record.version != put->base_version) {
        enum sync_status status = sync_error_set(
            error, SYNC_ERR_PRECONDITION, "VERSION_MISMATCH", "baseVersion",
            "The record \"%.*s\" is at version %llu.", (int)put->key.id.size,
            (const char *)put->key.id.data, (unsigned long long)state->record.version);
        sync_error_prefix(error, "records[%zu]", i);
        return status;
    }
    bool lives = record_state_lives(state);
    if (put->remove ? !lives : lives && slice_equal(state->record.data, put->data))
        return SYNC_OK;
    struct record_change change = {
        .kind = put->remove ? CHANGE_DELETE
                : lives     ? CHANGE_UPDATE
                            : CHANGE_CREATE,
        .deleted = put->remove,
        .document = put->data,
        .change_id = batch->request_id,
        .device_us = batch->now_us,
        .corrected_us = batch->now_us,
        .now_us = batch->now_us,
    };
    return write_build_change(&work->build, state, &change);
}

/* Puts all, and remembers the request. */
static enum sync_status put_all(struct put_work *work, const uint8_t hash[PAYLOAD_HASH_SIZE],
                                struct sync_error *error) {
    const struct record_put_batch *batch = work->batch;
    for (size_t i = 0; i < batch->count; i++) {
        enum sync_status status = put_one(work, i, error);
        if (status)
            return status;
    }
    if (batch->request_id.size > 0) {
        struct settled settled = {.change_id = batch->request_id};
        memcpy(settled.payload_hash, hash, PAYLOAD_HASH_SIZE);
        work->build.settled[work->build.settled_count++] = settled;
    }
    return SYNC_OK;
}

enum sync_status record_put_apply(const struct user_view *view,
                                  const struct record_put_batch *batch, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct record **ret_records) {
    assert(view && batch && arena);
    assert(ret_set && ret_records);
    struct put_work work = {.batch = batch};
    struct write_set set;
    uint8_t hash[PAYLOAD_HASH_SIZE] = {0};
    bool named = batch->request_id.size > 0, known = named && view->changes[0].found;
    if (named)
        put_batch_hash(batch, hash);
    if (known && memcmp(view->changes[0].settled.payload_hash, hash, PAYLOAD_HASH_SIZE) != 0)
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "REQUEST_ID_REUSED", "requestId",
                              "Another request was made under this id before.");
    enum sync_status status =
        write_build_init(&work.build, batch->user, &view->head, batch->count + named, arena);
    if (!status)
        status = states_open(&work, view);
    if (!status && !known)
        status = put_all(&work, hash, error);
    if (!status)
        status = write_build_finish(&work.build, work.states, work.state_count, sizeof *work.states,
                                    &set);
    write_build_done(&work.build);
    if (status)
        return status;
    for (size_t i = 0; i < batch->count; i++)
        work.results[i] = work.states[work.state_of[i]].record;
    *ret_set = set;
    *ret_records = work.results;
    return SYNC_OK;
}
