/* Deadlines of conflicts: when they come, and what is done then. */
#include <assert.h>

#include "base/limits.h"
#include "service/core/conflict_work.h"
#include "service/core/pull.h"

void conflict_set_deadline(struct conflict *conflict, const struct policy_set *policies,
                           int64_t now_us) {
    assert(conflict && policies && now_us > 0);
    const struct deadline_policy *policy = &policies->deadlines[conflict->key.type];
    int64_t start_us;
    conflict->deadline_action = policy->action;
    conflict->resolve_by_us = 0;
    if (policy->action == DEADLINE_KEEP)
        return;
    assert(policy->span_us > 0);
    conflict->resolve_by_us = now_us + policy->span_us;
    bool starts =
        policy->before_us > 0 &&
        pull_start_time(conflict->has_server ? conflict->server : conflict->client, &start_us) &&
        start_us > now_us;
    if (!starts)
        return;
    int64_t latest_us = start_us - policy->before_us;
    if (latest_us < now_us + CONFLICT_NOTICE_US)
        latest_us = now_us + CONFLICT_NOTICE_US;
    if (latest_us < conflict->resolve_by_us)
        conflict->resolve_by_us = latest_us;
}

/* Merges what the one side made of the base into the other, where both changed the same by the
 * strategy alone. */
static enum sync_status settle_merge(const struct conflict *conflict, struct slice base,
                                     struct slice ours, struct slice theirs,
                                     enum conflict_strategy strategy, struct arena *arena,
                                     struct conflict_target *ret_target) {
    struct merge_result merged;
    struct merge_input sides = {.base = base, .ours = ours, .theirs = theirs};
    enum sync_status status = conflict_combine(conflict, &sides, strategy, arena, &merged);
    if (!status)
        *ret_target = (struct conflict_target){.document = merged.document};
    return status;
}

/* What the action makes of the record as the conflict shows it. `ret_taken`: whose the fields in
 * dispute become. */
static enum sync_status settle_target(const struct conflict *conflict, struct arena *arena,
                                      struct conflict_target *ret_target,
                                      enum resolution *ret_taken) {
    bool is_clients = conflict->deadline_action == DEADLINE_CLIENT ||
                      (conflict->deadline_action == DEADLINE_LATEST && conflict->client_is_later);
    bool is_whole = !conflict->has_client || !conflict->has_server; /* one side deleted */
    bool is_suggested = conflict->deadline_action == DEADLINE_SUGGESTED ||
                        (conflict->deadline_action == DEADLINE_LATEST && !is_whole);
    *ret_taken = RESOLUTION_SERVER;
    *ret_target = (struct conflict_target){.is_kept = true};
    if (is_clients) {
        *ret_taken = RESOLUTION_CLIENT;
        if (!is_whole)
            return settle_merge(conflict, conflict_client_base(conflict), conflict->server,
                                conflict->client, STRATEGY_CLIENT, arena, ret_target);
        *ret_target = (struct conflict_target){.deleted = !conflict->has_client,
                                               .document = conflict->client};
    } else if (is_suggested) {
        *ret_target = (struct conflict_target){.document = conflict->suggested};
        if (!conflict->has_server)
            *ret_taken = RESOLUTION_CLIENT;
    }
    return SYNC_OK;
}

/* The same for the record as it is now: what others changed since the conflict showed it stays. */
static enum sync_status settle_rebase(const struct conflict *conflict,
                                      const struct record_state *state, struct arena *arena,
                                      struct conflict_target *target) {
    bool has_moved = state->record.version != conflict->server_version;
    if (!has_moved || target->is_kept)
        return SYNC_OK;
    if (target->deleted || !conflict->has_server || !record_state_lives(state)) {
        *target = (struct conflict_target){.is_kept = true};
        return SYNC_OK;
    }
    return settle_merge(conflict, conflict->server, state->record.data, target->document,
                        STRATEGY_SERVER, arena, target);
}

/* Says of each field in dispute, or of the record, that the deadline decided it. */
static enum sync_status settle_explain(struct conflict *conflict, enum resolution taken,
                                       struct arena *arena) {
    static const struct slice WHOLE[] = {{NULL, 0}};
    bool has_fields = conflict->field_count > 0 && conflict->has_client && conflict->has_server;
    const struct slice *fields = has_fields ? conflict->fields : WHOLE;
    size_t count = has_fields ? conflict->field_count : 1;
    const char *reason =
        arena_format(arena, "deadline %s", deadline_action_name(conflict->deadline_action));
    conflict->decisions = arena_alloc(arena, count * sizeof *conflict->decisions);
    if (!reason || !conflict->decisions)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        conflict->decisions[i] = (struct conflict_decision){fields[i], slice_text(reason), taken};
    conflict->decision_count = count;
    return SYNC_OK;
}

static enum sync_status settle_do(struct conflict_work *work, const void *request,
                                  struct conflict *conflict) {
    (void)request;
    struct conflict_target target;
    enum resolution taken;
    struct arena *arena = work->build.arena;
    enum sync_status status = settle_target(conflict, arena, &target, &taken);
    if (!status)
        status = settle_rebase(conflict, &work->state, arena, &target);
    if (status)
        return status;
    if (target.document.size > CHANGE_DATA_MAX)
        target = (struct conflict_target){.is_kept = true};
    if (target.is_kept)
        taken = RESOLUTION_SERVER;
    status = settle_explain(conflict, taken, arena);
    if (!status)
        status = conflict_see(conflict, &work->state, arena);
    if (!status)
        status = conflict_write(work, conflict, &target);
    const struct record *after = &work->state.record;
    conflict->resolved_us = work->context->now_us;
    conflict->resolved_version = after->version;
    conflict->resolution = conflict_taken(conflict, after);
    if (!status)
        status = conflict_reduce(conflict, after->data, arena);
    return status ? status : conflict_close(work, conflict);
}

enum sync_status conflict_settle(const struct user_view *view, const struct conflict *conflict,
                                 const struct batch_context *context, struct arena *arena,
                                 struct write_set *ret_set, struct conflict *ret_conflict,
                                 struct record *ret_record) {
    assert(view && conflict && context);
    bool is_due = conflict->resolved_us == 0 && conflict->resolve_by_us > 0 &&
                  conflict->resolve_by_us <= context->now_us;
    return conflict_run(view, conflict, context, arena, is_due ? settle_do : NULL, NULL, ret_set,
                        ret_conflict, ret_record);
}
