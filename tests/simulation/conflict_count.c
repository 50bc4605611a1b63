#include "tests/simulation/conflict_count.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/core/delta.h"
#include "tests/service/core/list_merge.h"
#include "tests/simulation/document_path.h"

enum { DELETES_FROM = FIELD_POLICY_LAST + 1, SEEN_MAX = 4096, NAME_MAX = 64 };

_Static_assert((int)DELETES_FROM + (int)DELETE_POLICY_LAST < (int)POLICY_KINDS,
               "each policy has a place");

const char *conflict_count_policy(size_t policy) {
    static char text[NAME_MAX];
    if (policy == FIELD_POLICY_NONE || policy == DELETES_FROM)
        return "strategy";
    if (policy < DELETES_FROM)
        return field_policy_name((enum field_policy)policy);
    snprintf(text, sizeof text, "delete %s",
             delete_policy_name((enum delete_policy)(policy - DELETES_FROM)));
    return text;
}

/* One change since the base, as documents. */
struct passed {
    struct slice before, after;
    bool is_own; /* the device's */
};

/* One change under the count. */
struct counting {
    struct conflict_count *count;
    const struct change *change;
    const struct change_result *result;
    struct slice server;   /* the record before the batch */
    struct slice base;     /* the record as the change was made on it */
    struct passed *passed; /* newest first */
    size_t passed_count, others;
    bool is_kept_before; /* by an earlier change of the batch, of the same record */
    struct document_path path;
    uint64_t *seen; /* hashes of what was counted in the batch */
    size_t *seen_count;
};

/* Whether this is the first of the batch. */
static bool is_first(struct counting *counting) {
    uint64_t hash = slice_hash(counting->change->data_id, (uint64_t)counting->change->type);
    for (size_t i = 0; i < counting->path.depth; i++)
        hash = slice_hash(counting->path.names[i], hash);
    for (size_t i = 0; i < *counting->seen_count; i++)
        if (counting->seen[i] == hash)
            return false;
    if (*counting->seen_count == SEEN_MAX)
        abort();
    counting->seen[(*counting->seen_count)++] = hash;
    return true;
}

/* Whether a field that nothing was kept of has all that both sides made of it. */
static bool is_joined(const struct counting *counting) {
    const struct document_path *path = &counting->path;
    struct list_merge lists = {
        .base = document_value_at(counting->base, path, path->depth),
        .ours = document_value_at(counting->server, path, path->depth),
        .theirs = document_value_at(counting->change->data, path, path->depth),
        .merged = document_value_at(counting->result->document, path, path->depth),
    };
    bool is_disputed;
    return counting->result->has_document && list_merge_is_keyed(&lists) &&
           !list_merge_keyed_fault(&lists, &is_disputed) && !is_disputed;
}

static void note(struct counting *counting, enum conflict_type type, size_t policy) {
    if (!is_first(counting))
        return;
    enum settlement settlement =
        counting->result->outcome == OUTCOME_CONFLICT ? SETTLED_WAITING : SETTLED_AUTOMATIC;
    counting->count->conflicts++;
    counting->count->automatic += settlement == SETTLED_AUTOMATIC;
    bool is_bare = settlement == SETTLED_AUTOMATIC && counting->result->decision_id.size == 0 &&
                   !counting->is_kept_before;
    bool joined = is_bare && type == CONFLICT_UPDATE_UPDATE && is_joined(counting);
    counting->count->recorded += settlement == SETTLED_AUTOMATIC && !is_bare;
    counting->count->joined += joined;
    counting->count->lost += is_bare && !joined;
    counting->count->by[type][policy][settlement]++;
}

/* The policy of the path, or of the object around it that is decided as a whole. */
static enum field_policy policy_at(const struct counting *counting) {
    for (size_t depth = 1; depth <= counting->path.depth; depth++) {
        enum field_policy policy =
            policy_find(policy_set_default(), counting->change->type, counting->path.names, depth);
        if (policy != FIELD_POLICY_NONE && policy != FIELD_POLICY_KEYED)
            return policy;
    }
    return FIELD_POLICY_NONE;
}

/* Whether others changed the field since the base, and since the device did itself. */
static bool is_others(const struct counting *counting) {
    for (size_t i = 0; i < counting->passed_count; i++) {
        const struct passed *passed = &counting->passed[i];
        if (document_differs_at(passed->before, passed->after, &counting->path))
            return !passed->is_own;
    }
    return false;
}

static void count_field(struct counting *counting, struct slice wanted) {
    struct slice server =
        document_value_at(counting->server, &counting->path, counting->path.depth);
    bool is_touched = is_others(counting);
    struct slice base = document_value_at(counting->base, &counting->path, counting->path.depth);
    /* What others changed and changed back is as it was. */
    is_touched = is_touched && !slice_equal(base, server);
    if (is_touched && !slice_equal(server, wanted) && !slice_equal(base, wanted))
        note(counting, CONFLICT_UPDATE_UPDATE, policy_at(counting));
}

static void count_fields(struct counting *counting, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        counting->path.names[counting->path.depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            count_fields(counting, member.value.object);
        else
            count_field(counting,
                        member.value.kind == VALUE_NULL ? SLICE_EMPTY : member.value.bytes);
        counting->path.depth--;
    }
}

/* What was changed since the base. */
static void passed_collect(struct counting *counting, const struct record_view *view,
                           const struct change_batch *batch, struct arena *arena) {
    uint64_t base =
        counting->change->base_version ? counting->change->base_version : batch->acknowledged;
    struct slice document = view->record.data;
    counting->passed = arena_zalloc(arena, view->history_count, sizeof *counting->passed);
    for (size_t i = 0; i < view->history_count && view->history[i].sequence > base; i++) {
        const struct log_entry *entry = &view->history[i];
        struct slice before = SLICE_EMPTY;
        if (!counting->passed || (!entry->previous_deleted &&
                                  delta_apply(document, entry->undo, arena, &before) != SYNC_OK))
            abort();
        bool is_own = slice_equal(entry->device, batch->device);
        counting->passed[counting->passed_count++] = (struct passed){before, document, is_own};
        counting->others += !is_own;
        document = before;
    }
    counting->base = document;
}

static void count_change(struct counting *counting, const struct record_view *view) {
    size_t deletes = DELETES_FROM + (size_t)policy_set_default()->deletes[counting->change->type];
    if (counting->others == 0)
        return;
    if (view->record.deleted && counting->change->kind == CHANGE_UPDATE)
        note(counting, CONFLICT_UPDATE_DELETE, deletes);
    else if (!view->record.deleted && counting->change->kind == CHANGE_DELETE)
        note(counting, CONFLICT_DELETE_UPDATE, deletes);
    else if (!view->record.deleted)
        count_fields(counting, counting->change->data);
}

/* The record as loaded: with the first change that names it comes its history. */
static const struct record_view *view_of(const struct user_view *view,
                                         const struct change_batch *batch, size_t change) {
    for (size_t i = 0;; i++)
        if (batch->changes[i].type == batch->changes[change].type &&
            slice_equal(batch->changes[i].data_id, batch->changes[change].data_id))
            return &view->records[i];
}

/* What earlier changes of the batch did to the record of one. */
struct earlier {
    bool is_reborn; /* deleted it or made it anew: what others did before is settled with that */
    bool is_kept;   /* were decided, and kept with both sides */
};

static struct earlier earlier_find(const struct change_batch *batch,
                                   const struct change_result *results, size_t change) {
    struct earlier earlier = {.is_reborn = false};
    for (size_t i = 0; i < change; i++) {
        if (batch->changes[i].type != batch->changes[change].type ||
            !slice_equal(batch->changes[i].data_id, batch->changes[change].data_id))
            continue;
        earlier.is_reborn |=
            batch->changes[i].kind != CHANGE_UPDATE && results[i].outcome <= OUTCOME_MERGED;
        earlier.is_kept |= results[i].decision_id.size > 0;
    }
    return earlier;
}

void conflict_count_batch(struct conflict_count *count, const struct user_view *view,
                          const struct change_batch *batch, const struct change_result *results,
                          struct arena *arena) {
    uint64_t seen[SEEN_MAX];
    size_t seen_count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct change_result *result = &results[i];
        const struct record_view *record = view_of(view, batch, i);
        if (result->duplicate || result->outcome == OUTCOME_BLOCKED ||
            result->outcome == OUTCOME_HELD)
            continue;
        count->changes++;
        struct earlier earlier = earlier_find(batch, results, i);
        if (!record->found || result->outcome == OUTCOME_REJECTED || earlier.is_reborn)
            continue;
        struct counting counting = {.count = count,
                                    .change = &batch->changes[i],
                                    .result = result,
                                    .server = record->record.data,
                                    .is_kept_before = earlier.is_kept,
                                    .seen = seen,
                                    .seen_count = &seen_count};
        passed_collect(&counting, record, batch, arena);
        count_change(&counting, record);
    }
}
