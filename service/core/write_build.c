#include "service/core/write_build.h"

#include <assert.h>

#include "base/limits.h"
#include "service/core/checksum.h"
#include "service/core/delta.h"
#include "service/core/field_stamps.h"
#include "service/core/hybrid_clock.h"

enum {
    JSON_BYTES_MAX = 8 * CHANGE_DATA_MAX, /* a byte of a document takes at most six of JSON */
    ROWS_FIRST = 8,
};

enum sync_status write_build_init(struct write_build *build, struct slice user,
                                  const struct user_head *head, size_t change_max,
                                  struct arena *arena) {
    assert(build && head && arena);
    *build = (struct write_build){
        .arena = arena,
        .user = user,
        .expected_revision = head->revision,
        .head = *head,
        .log_max = change_max,
    };
    buffer_init(&build->scratch, JSON_BYTES_MAX);
    build->log = arena_alloc(arena, change_max * sizeof *build->log);
    build->settled = arena_alloc(arena, change_max * sizeof *build->settled);
    return build->log && build->settled ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

void write_build_done(struct write_build *build) {
    if (build)
        buffer_done(&build->scratch);
}

/* The delta from the record after the change to the record before it. Where there was no record,
 * previous_deleted says it all. */
static enum sync_status undo_make(struct write_build *build, const struct record_state *state,
                                  const struct record_change *change, struct slice *ret_undo) {
    if (!record_state_lives(state)) {
        *ret_undo = SLICE_EMPTY;
        return SYNC_OK;
    }
    return delta_between(change->deleted ? SLICE_EMPTY : change->document, state->record.data,
                         build->arena, ret_undo);
}

/* When the record's fields changed; nothing is known of one that is new. */
static enum sync_status stamps_make(struct write_build *build, const struct record_state *state,
                                    struct slice undo, struct record *record) {
    if (record->deleted || !record_state_lives(state))
        return SYNC_OK;
    struct field_change change = {.before = &state->record,
                                  .document = record->data,
                                  .undo = undo,
                                  .version = build->head.sequence + 1,
                                  .wanted_above = build->head.log_floor};
    return field_stamps_after(&change, build->arena, &record->stamps);
}

/* Moves the head's sums from one state of a record to another. */
static void head_move(struct user_head *head, const struct record_state *old,
                      const struct record *new) {
    if (record_state_lives(old)) {
        assert(head->record_count > 0 && head->data_bytes >= old->record.data.size);
        head->checksum = checksum_subtract(head->checksum, old->record.element);
        head->record_count--;
        head->data_bytes -= old->record.data.size;
    }
    if (!new->deleted) {
        head->checksum = checksum_add(head->checksum, new->element);
        head->record_count++;
        head->data_bytes += new->data.size;
    }
}

enum sync_status write_build_change(struct write_build *build, struct record_state *state,
                                    const struct record_change *change) {
    assert(build && state && change);
    assert(build->log_count < build->log_max);
    struct record record = {.key = state->record.key, .deleted = change->deleted};
    struct slice undo;
    enum sync_status status = undo_make(build, state, change, &undo);
    if (!status && !change->deleted) {
        record.data = change->document;
        status = checksum_element(&record.key, record.data, &build->scratch, &record.element);
    }
    if (!status)
        status = stamps_make(build, state, undo, &record);
    if (status)
        return status;
    record.version = ++build->head.sequence;
    record.updated_us = hybrid_clock_next(build->head.time_us, change->now_us);
    build->head.time_us = record.updated_us;
    head_move(&build->head, state, &record);
    build->log[build->log_count++] = (struct log_entry){
        .sequence = record.version,
        .kind = change->kind,
        .key = record.key,
        .previous_version = state->found ? state->record.version : 0,
        .previous_deleted = !record_state_lives(state),
        .as_sent = change->as_sent,
        .undo = undo,
        .device = change->device,
        .change_id = change->change_id,
        .device_us = change->device_us,
        .corrected_us = change->corrected_us,
    };
    *state = (struct record_state){.record = record, .found = true, .dirty = true};
    return SYNC_OK;
}

enum sync_status write_build_row(struct write_build *build, struct row_write row) {
    assert(build);
    if (build->row_count == build->row_capacity) {
        size_t capacity = build->row_capacity ? build->row_capacity * 2 : ROWS_FIRST;
        struct row_write *rows = arena_alloc(build->arena, capacity * sizeof *rows);
        if (!rows)
            return SYNC_ERR_NO_MEMORY;
        if (build->row_count > 0)
            memcpy(rows, build->rows, build->row_count * sizeof *rows);
        build->rows = rows;
        build->row_capacity = capacity;
    }
    build->rows[build->row_count++] = row;
    return SYNC_OK;
}

enum sync_status write_build_finish(struct write_build *build, const struct record_state *states,
                                    size_t state_count, size_t state_size,
                                    struct write_set *ret_set) {
    assert(build && ret_set);
    assert(state_size >= sizeof *states);
    struct record *records = arena_alloc(build->arena, state_count * sizeof *records);
    size_t count = 0;
    if (!records)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < state_count; i++) {
        const struct record_state *state =
            (const struct record_state *)(const void *)((const uint8_t *)states + i * state_size);
        if (state->dirty)
            records[count++] = state->record;
    }
    *ret_set = (struct write_set){
        .user = build->user,
        .expected_revision = build->expected_revision,
        .head = build->head,
        .records = records,
        .record_count = count,
        .log = build->log,
        .log_count = build->log_count,
        .settled = build->settled,
        .settled_count = build->settled_count,
        .rows = build->rows,
        .row_count = build->row_count,
    };
    return SYNC_OK;
}
