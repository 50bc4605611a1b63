#include "service/core/conflict_work.h"

#include <assert.h>

#include "base/limits.h"
#include "service/core/change_release.h"
#include "service/core/change_result.h"

struct record_state conflict_record(const struct user_view *view, const struct conflict *conflict) {
    const struct record_view *loaded = &view->records[0];
    struct record absent = {.key = conflict->key, .deleted = true};
    return (struct record_state){.record = loaded->found ? loaded->record : absent,
                                 .found = loaded->found};
}

static enum sync_status work_init(struct conflict_work *work, struct arena *arena) {
    const struct conflict *conflict = work->before;
    const struct row *row = conflict->device.size > 0 ? &work->view->rows[0] : NULL;
    enum sync_status status = conflict_hold_open(row, &conflict->key, arena, &work->hold);
    return status ? status
                  : write_build_init(&work->build, conflict->user, &work->view->head,
                                     1 + work->hold.change_count, arena);
}

static enum sync_status work_finish(struct conflict_work *work, struct write_set *ret_set) {
    enum sync_status status = conflict_hold_write(&work->build, &work->hold);
    return status ? status
                  : write_build_finish(&work->build, &work->state, 1, sizeof work->state, ret_set);
}

enum sync_status conflict_run(const struct user_view *view, const struct conflict *conflict,
                              const struct batch_context *context, struct arena *arena,
                              conflict_step *step, const void *request, struct write_set *ret_set,
                              struct conflict *ret_conflict, struct record *ret_record) {
    assert(view && conflict && context && context->now_us > 0);
    assert(arena && ret_set && ret_conflict && ret_record);
    struct conflict_work work = {.view = view,
                                 .before = conflict,
                                 .context = context,
                                 .state = conflict_record(view, conflict)};
    struct conflict changed = *conflict;
    struct write_set set = {.user = conflict->user, .head = view->head};
    enum sync_status status = SYNC_OK;
    if (step) {
        status = work_init(&work, arena);
        if (!status)
            status = step(&work, request, &changed);
        if (!status)
            status = work_finish(&work, &set);
        write_build_done(&work.build);
    }
    if (status)
        return status;
    *ret_set = set;
    *ret_conflict = changed;
    *ret_record = work.state.record;
    return SYNC_OK;
}

enum sync_status conflict_write(struct conflict_work *work, const struct conflict *conflict,
                                const struct conflict_target *target) {
    assert(work && conflict && target);
    struct record_state *state = &work->state;
    int64_t now_us = work->context->now_us;
    bool lives = record_state_lives(state);
    bool is_so =
        target->is_kept ||
        (target->deleted ? !lives : lives && slice_equal(state->record.data, target->document));
    if (is_so)
        return SYNC_OK;
    struct record_change change = {
        .kind = target->deleted ? CHANGE_DELETE
                : lives         ? CHANGE_UPDATE
                                : CHANGE_CREATE,
        .deleted = target->deleted,
        .document = target->document,
        .change_id = conflict->id,
        .device_us = now_us,
        .corrected_us = now_us,
        .now_us = now_us,
    };
    return write_build_change(&work->build, state, &change);
}

enum sync_status conflict_combine(const struct conflict *conflict, const struct merge_input *sides,
                                  enum conflict_strategy strategy, struct arena *arena,
                                  struct merge_result *ret_merged) {
    static const struct policy_set NO_POLICIES = {.count = 0};
    assert(conflict && sides && arena);
    struct merge_input input = {.type = conflict->key.type,
                                .base = sides->base,
                                .ours = sides->ours,
                                .theirs = sides->theirs};
    return conflict_merge(&input, &NO_POLICIES, strategy, arena, ret_merged);
}

struct slice conflict_client_base(const struct conflict *conflict) {
    assert(conflict);
    if (conflict->has_base)
        return conflict->base;
    return conflict->is_on_server ? conflict->server : SLICE_EMPTY;
}

enum sync_status conflict_see(struct conflict *conflict, const struct record_state *state,
                              struct arena *arena) {
    assert(conflict && state && arena);
    bool lives = record_state_lives(state);
    if (conflict->is_on_server && conflict->has_server && lives &&
        state->record.version != conflict->server_version) {
        struct merge_result merged;
        struct merge_input sides = {
            .base = conflict->server, .ours = state->record.data, .theirs = conflict->client};
        enum sync_status status =
            conflict_combine(conflict, &sides, STRATEGY_CLIENT, arena, &merged);
        if (status)
            return status;
        if (merged.document.size <= CHANGE_DATA_MAX)
            conflict->client = merged.document;
    }
    conflict->has_server = lives;
    conflict->server = lives ? state->record.data : SLICE_EMPTY;
    conflict->server_version = state->record.version;
    return SYNC_OK;
}

/* Keeps what became of the changes that were held, and the data of those that were rejected. */
static enum sync_status close_explain(struct conflict *conflict,
                                      const struct change_result *results,
                                      const struct held_change *changes, size_t count,
                                      struct arena *arena) {
    struct conflict_held *held = arena_alloc(arena, (conflict->held_count + count) * sizeof *held);
    enum sync_status status = held ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    if (!status && conflict->held_count > 0)
        memcpy(held, conflict->held, conflict->held_count * sizeof *held);
    for (size_t i = 0; !status && i < count; i++) {
        const struct change *change = &changes[i].change;
        bool is_lost = results[i].outcome == OUTCOME_REJECTED;
        struct conflict_held *one = &held[conflict->held_count + i];
        *one = (struct conflict_held){.change_id = change->id, .kind = change->kind};
        if (is_lost) {
            one->data = change->data;
            one->operations = change->operations;
        }
        status = change_result_pack(&results[i], arena, &one->outcome);
    }
    if (status)
        return status;
    conflict->held = held;
    conflict->held_count += count;
    return SYNC_OK;
}

/* Applies what the conflict held, if nothing else holds it. */
static enum sync_status close_release(struct conflict_work *work, struct conflict *conflict) {
    struct arena *arena = work->build.arena;
    struct change_release release = {.conflict = conflict,
                                     .context = work->context,
                                     .loaded = &work->view->records[0],
                                     .build = &work->build,
                                     .state = &work->state};
    struct change_result *results = NULL;
    size_t size = work->hold.change_count * sizeof(struct held_change), count;
    struct held_change *changes = arena_alloc(arena, size);
    if (!changes)
        return SYNC_ERR_NO_MEMORY;
    if (size > 0)
        memcpy(changes, work->hold.changes, size);
    enum sync_status status = change_release_apply(&release, &work->hold, &results, &count);
    return !status && count > 0 ? close_explain(conflict, results, changes, count, arena) : status;
}

enum sync_status conflict_close(struct conflict_work *work, struct conflict *conflict) {
    assert(work && conflict);
    assert(conflict->resolved_us > 0);
    struct user_head *head = &work->build.head;
    head->conflicts_open -= head->conflicts_open > 0;
    conflict_hold_end(&work->hold, conflict->id);
    enum sync_status status = close_release(work, conflict);
    if (!status)
        status = conflict_move(&work->build, conflict);
    conflict->resolve_by_us = 0;
    conflict->deadline_action = DEADLINE_KEEP;
    return status;
}

enum resolution conflict_taken(const struct conflict *conflict, const struct record *record) {
    bool is_server = conflict->has_server == !record->deleted &&
                     (record->deleted || slice_equal(record->data, conflict->server));
    bool is_client = conflict->has_client == !record->deleted &&
                     (record->deleted || slice_equal(record->data, conflict->client));
    return is_server ? RESOLUTION_SERVER : is_client ? RESOLUTION_CLIENT : RESOLUTION_MERGE;
}
