#include "service/core/change_release.h"

#include <assert.h>

#include "service/core/change_work.h"

uint64_t change_release_base(const struct conflict_hold *hold) {
    assert(hold);
    uint64_t base = UINT64_MAX;
    for (size_t i = 0; i < hold->change_count; i++)
        if (hold->changes[i].change.base_version < base)
            base = hold->changes[i].change.base_version;
    return base;
}

/* The held changes as a batch. Those made on the side that was taken are based on what that made.
 */
static enum sync_status release_batch(const struct change_release *release,
                                      const struct conflict_hold *hold, struct change_work *work,
                                      struct change_batch *batch) {
    const struct conflict *conflict = release->conflict;
    size_t count = hold->change_count;
    struct change *changes = arena_alloc(work->arena, count * sizeof *changes);
    work->times = arena_alloc(work->arena, count * sizeof *work->times);
    if (!changes || !work->times)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct held_change *held = &hold->changes[i];
        bool is_on_client = conflict->resolution == RESOLUTION_CLIENT &&
                            slice_equal(held->conflict_id, conflict->id);
        changes[i] = held->change;
        work->times[i] = held->corrected_us;
        if (is_on_client)
            changes[i].base_version = release->state->record.version;
    }
    *batch = (struct change_batch){
        .user = conflict->user, .device = conflict->device, .changes = changes, .count = count};
    return SYNC_OK;
}

/* The record as if it had been loaded after the decision. */
static enum sync_status release_view(const struct change_release *release, struct arena *arena,
                                     struct record_view *ret_view) {
    const struct write_build *build = release->build;
    const struct record_view *loaded = release->loaded;
    size_t count = build->log_count + loaded->history_count;
    struct log_entry *history = arena_alloc(arena, count * sizeof *history);
    if (!history)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < build->log_count; i++)
        history[i] = build->log[build->log_count - 1 - i];
    for (size_t i = 0; i < loaded->history_count; i++)
        history[build->log_count + i] = loaded->history[i];
    *ret_view = (struct record_view){.found = release->state->found,
                                     .record = release->state->record,
                                     .history = history,
                                     .history_count = count,
                                     .history_trimmed = loaded->history_trimmed};
    return SYNC_OK;
}

/* Applies one after the other until something holds. */
static enum sync_status release_run(struct change_work *work, struct change_record *record) {
    const struct change_batch *batch = work->batch;
    enum sync_status status = SYNC_OK;
    size_t done = 0;
    while (!status && done < batch->count && record->hold.id_count == 0) {
        const struct change *change = &batch->changes[done];
        struct change_result *result = &work->results[done++];
        *result = (struct change_result){
            .change_id = change->id, .type = change->type, .data_id = change->data_id};
        status = change_try(work, record, change, result);
    }
    conflict_hold_release(&record->hold, done);
    return status;
}

enum sync_status change_release_apply(const struct change_release *release,
                                      struct conflict_hold *hold,
                                      struct change_result **ret_results, size_t *ret_count) {
    assert(release && hold && release->conflict->resolved_us > 0);
    assert(ret_results && ret_count);
    size_t count = hold->id_count == 0 ? hold->change_count : 0;
    struct arena *arena = release->build->arena;
    struct change_batch batch = {.count = 0};
    struct record_view loaded;
    struct user_view view = {.head = release->build->head, .records = &loaded};
    struct change_record record = {.state = *release->state, .view = &loaded, .hold = *hold};
    struct change_work work = {.batch = &batch,
                               .context = release->context,
                               .view = &view,
                               .arena = arena,
                               .is_release = true,
                               .records = &record,
                               .record_count = 1};
    *ret_count = 0;
    if (count == 0)
        return SYNC_OK;
    enum sync_status status = release_batch(release, hold, &work, &batch);
    if (!status)
        status = release_view(release, arena, &loaded);
    work.own_before = arena_alloc(arena, release->build->log_max * sizeof *work.own_before);
    work.results = arena_alloc(arena, count * sizeof *work.results);
    if (!status && (!work.own_before || !work.results))
        status = SYNC_ERR_NO_MEMORY;
    if (status)
        return status;
    change_record_scan(&work, &record);
    work.build = *release->build;
    status = release_run(&work, &record);
    *release->build = work.build;
    *release->state = record.state;
    *hold = record.hold;
    *ret_results = work.results;
    *ret_count = count - record.hold.change_count;
    return status;
}
