#include "service/core/merge.h"

#include <assert.h>

#include "service/core/merge_text.h"
#include "service/core/merge_walk.h"

static bool value_equal(const struct value *a, const struct value *b) {
    return a == b || (a && b && slice_equal(a->bytes, b->bytes));
}

static bool is_kind(const struct value *value, enum value_kind kind) {
    return value && value->kind == kind;
}

/* Writes a side as it is. */
static void write_side(struct merge_walk *walk, const struct value *side, bool *ret_present) {
    *ret_present = side != NULL;
    if (side)
        document_writer_put(&walk->writer, side->bytes);
}

/* Tells whether an undo changes the path, or something inside or around it. */
static bool undo_touches(struct slice undo, const struct slice *path, size_t path_size) {
    struct delta_field field;
    size_t position = 0;
    while (delta_next(undo, &position, &field)) {
        size_t common = field.path_size < path_size ? field.path_size : path_size, i = 0;
        while (i < common && slice_equal(field.path[i], path[i]))
            i++;
        /* A list's undo ends at the list; ids of its elements follow in our path only. */
        if (i == common)
            return true;
    }
    return false;
}

/* When the server's side of the field was changed. */
static int64_t ours_time(const struct merge_walk *walk) {
    const struct merge_input *input = walk->input;
    for (size_t i = 0; i < input->ours_log_count; i++) {
        const struct log_entry *entry = input->ours_log[i];
        if (entry->previous_deleted || undo_touches(entry->undo, walk->path, walk->path_size))
            return entry->corrected_us;
    }
    return input->ours_us;
}

/* Orders two values where an order makes sense: numbers, and text (as ISO times are). */
static bool value_compare(const struct value *a, const struct value *b, int *ret_order) {
    if (is_kind(a, VALUE_NUMBER) && is_kind(b, VALUE_NUMBER))
        *ret_order = (a->number > b->number) - (a->number < b->number);
    else if (is_kind(a, VALUE_STRING) && is_kind(b, VALUE_STRING))
        *ret_order = slice_compare(a->text, b->text);
    else
        return false;
    return true;
}

/* Notes a decision, newest last; beyond the bound only the counts go on. */
static enum sync_status note_decision(struct merge_walk *walk, struct merge_decision decision) {
    walk->undecided_count += decision.undecided;
    if (walk->decision_count == MERGE_DECISIONS_MAX)
        return SYNC_OK;
    if (walk->decision_count == walk->decision_capacity) {
        size_t capacity = walk->decision_capacity ? walk->decision_capacity * 4 : 8;
        struct merge_decision *grown = arena_alloc(walk->arena, capacity * sizeof *grown);
        if (!grown)
            return SYNC_ERR_NO_MEMORY;
        if (walk->decision_count > 0)
            memcpy(grown, walk->decisions, walk->decision_count * sizeof *grown);
        walk->decisions = grown;
        walk->decision_capacity = capacity;
    }
    decision.path = delta_path_join(walk->path, walk->path_size, walk->arena);
    if (!decision.path.data)
        return SYNC_ERR_NO_MEMORY;
    walk->decisions[walk->decision_count++] = decision;
    return SYNC_OK;
}

/* What a policy says of a field; false where it has no answer for such values. */
static bool policy_decide(const struct merge_walk *walk, enum field_policy policy,
                          const struct sides *sides, struct merge_decision *decision) {
    int order;
    if (walk->input->theirs_win)
        policy = FIELD_POLICY_CLIENT;
    switch (policy) {
    case FIELD_POLICY_CLIENT:
        decision->took_theirs = true;
        return true;
    case FIELD_POLICY_SERVER:
        return true;
    case FIELD_POLICY_LATEST:
        decision->took_theirs = walk->input->theirs_us > ours_time(walk);
        return true;
    case FIELD_POLICY_MAX:
    case FIELD_POLICY_MIN:
        if (!value_compare(sides->theirs, sides->ours, &order))
            return false;
        decision->took_theirs = policy == FIELD_POLICY_MAX ? order > 0 : order < 0;
        return true;
    case FIELD_POLICY_MANUAL:
        decision->undecided = true;
        return true;
    case FIELD_POLICY_UNION:
    case FIELD_POLICY_KEYED:
    case FIELD_POLICY_TEXT:
    case FIELD_POLICY_NONE:
        break;
    }
    return false;
}

/* What the user's strategy says of a field. */
static void strategy_decide(const struct merge_walk *walk, struct merge_decision *decision) {
    switch (walk->strategy) {
    case STRATEGY_SERVER:
        break;
    case STRATEGY_CLIENT:
        decision->took_theirs = true;
        break;
    case STRATEGY_MERGE:
        decision->took_theirs = walk->input->theirs_us > ours_time(walk);
        break;
    case STRATEGY_MANUAL:
        decision->undecided = true;
        break;
    }
}

/* Decides a field that both changed, and writes what it becomes. */
static enum sync_status decide_field(struct merge_walk *walk, enum field_policy policy,
                                     const struct sides *sides, bool *ret_present) {
    struct merge_decision decision = {.policy = policy};
    if (!policy_decide(walk, policy, sides, &decision)) {
        decision.policy = FIELD_POLICY_NONE;
        strategy_decide(walk, &decision);
    }
    walk->took_ours |= !decision.took_theirs;
    walk->took_theirs |= decision.took_theirs;
    write_side(walk, decision.took_theirs ? sides->theirs : sides->ours, ret_present);
    return note_decision(walk, decision);
}

/* Merges a text that both sides changed, word by word; where that has no answer, the strategy has.
 */
static enum sync_status merge_text_field(struct merge_walk *walk, const struct sides *sides,
                                         bool *ret_present) {
    struct merge_decision decision = {.policy = FIELD_POLICY_TEXT};
    struct merged_text merged;
    strategy_decide(walk, &decision);
    struct slice base = is_kind(sides->base, VALUE_STRING) ? sides->base->text : SLICE_EMPTY;
    enum sync_status status = merge_text(base, sides->ours->text, sides->theirs->text,
                                         decision.took_theirs, walk->arena, &merged);
    if (status)
        return status;
    if (!merged.is_merged || (merged.is_disputed && decision.undecided))
        return decide_field(walk, FIELD_POLICY_NONE, sides, ret_present);
    size_t mark = document_writer_mark(&walk->writer);
    document_writer_put(&walk->writer, merged.text);
    document_writer_wrap(&walk->writer, mark, TAG_STRING);
    *ret_present = true;
    walk->took_ours = walk->took_theirs = true;
    return note_decision(walk, (struct merge_decision){.policy = FIELD_POLICY_TEXT});
}

static enum sync_status merge_objects(struct merge_walk *walk, struct slice base, struct slice ours,
                                      struct slice theirs);

/* Merges what both hold members or elements of, and writes it as one value. */
static enum sync_status merge_nested(struct merge_walk *walk, const struct sides *sides) {
    size_t mark = document_writer_mark(&walk->writer);
    if (sides->ours->kind == VALUE_LIST)
        return merge_list_by_id(walk, sides);
    enum sync_status status =
        merge_objects(walk, is_kind(sides->base, VALUE_OBJECT) ? sides->base->object : SLICE_EMPTY,
                      sides->ours->object, sides->theirs->object);
    if (!status)
        document_writer_wrap(&walk->writer, mark, TAG_OBJECT);
    return status;
}

/* Merges a field that both sides changed, and not to the same value. */
static enum sync_status merge_disputed(struct merge_walk *walk, const struct sides *sides,
                                       bool *ret_present) {
    enum field_policy policy =
        policy_find(walk->policies, walk->input->type, walk->path, walk->path_size);
    bool lists = is_kind(sides->ours, VALUE_LIST) && is_kind(sides->theirs, VALUE_LIST);
    bool nested = is_kind(sides->ours, VALUE_OBJECT) && is_kind(sides->theirs, VALUE_OBJECT);
    bool goes_in = policy == FIELD_POLICY_NONE || policy == FIELD_POLICY_KEYED;
    if (lists && (goes_in || policy == FIELD_POLICY_UNION)) {
        enum sync_status status = merge_list_has_ids(walk->arena, sides, &nested);
        if (status)
            return status;
        goes_in |= nested;
    }
    if (policy == FIELD_POLICY_UNION && lists && !nested) {
        *ret_present = true;
        walk->took_ours = walk->took_theirs = true;
        enum sync_status status = merge_list_union(walk, sides);
        return status ? status : note_decision(walk, (struct merge_decision){.policy = policy});
    }
    if (policy == FIELD_POLICY_TEXT && is_kind(sides->ours, VALUE_STRING) &&
        is_kind(sides->theirs, VALUE_STRING))
        return merge_text_field(walk, sides, ret_present);
    if (!nested || !goes_in)
        return decide_field(walk, policy, sides, ret_present);
    *ret_present = true;
    return merge_nested(walk, sides);
}

enum sync_status merge_walk_field(struct merge_walk *walk, const struct sides *sides,
                                  bool *ret_present) {
    assert(walk && sides && ret_present);
    if (value_equal(sides->ours, sides->theirs)) {
        write_side(walk, sides->ours, ret_present);
    } else if (value_equal(sides->base, sides->ours)) {
        walk->took_theirs = true;
        write_side(walk, sides->theirs, ret_present);
    } else if (value_equal(sides->base, sides->theirs)) {
        walk->took_ours = true;
        write_side(walk, sides->ours, ret_present);
    } else {
        return merge_disputed(walk, sides, ret_present);
    }
    return SYNC_OK;
}

/* A member as it is written; what its value is, is asked only of those in dispute. */
struct entry {
    struct slice name, value, whole;
};

/* An object's entries, taken from the last. */
struct entries {
    struct entry *items;
    size_t left;
};

static enum sync_status entries_read(struct slice object, struct arena *arena,
                                     struct entries *ret_entries) {
    const uint8_t *at = object.data, *end = slice_end(object);
    struct entry entry;
    size_t count = 0;
    while (at < end && document_read_entry(&at, end, &entry.name, &entry.value))
        count++;
    if (at < end)
        return SYNC_ERR_CORRUPT;
    struct entry *items = arena_alloc(arena, count * sizeof *items);
    if (!items)
        return SYNC_ERR_NO_MEMORY;
    at = object.data;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *begin = at;
        (void)!document_read_entry(&at, end, &items[i].name, &items[i].value);
        items[i].whole = slice_of(begin, (size_t)(at - begin));
    }
    *ret_entries = (struct entries){.items = items, .left = count};
    return SYNC_OK;
}

static const struct entry *entries_last(const struct entries *entries) {
    return entries->left > 0 ? &entries->items[entries->left - 1] : NULL;
}

/* Takes the entry of the last name that any side still has, from each side that has it. False when
 * there are no more. */
static bool entries_take(struct entries sides[3], const struct entry *ret_taken[3]) {
    const struct entry *last = NULL;
    for (int i = 0; i < 3; i++) {
        const struct entry *entry = ret_taken[i] = entries_last(&sides[i]);
        if (entry && (!last || (!slice_equal(entry->name, last->name) &&
                                document_name_compare(entry->name, last->name) > 0)))
            last = entry;
    }
    for (int i = 0; last && i < 3; i++) {
        if (ret_taken[i] && slice_equal(ret_taken[i]->name, last->name))
            sides[i].left--;
        else
            ret_taken[i] = NULL;
    }
    return last != NULL;
}

static bool entry_equal(const struct entry *a, const struct entry *b) {
    return a == b || (a && b && slice_equal(a->value, b->value));
}

/* What ours has where it has nothing: an empty value of the kind that base and theirs have, if that
 * is one that merges inside. So only what came to it from base to theirs is taken. */
static bool value_empty(const struct sides *sides, struct value *ret_value) {
    static const uint8_t BYTES[][2] = {
        [VALUE_OBJECT] = {TAG_OBJECT}, [VALUE_LIST] = {TAG_LIST}, [VALUE_STRING] = {TAG_STRING}};
    const struct value *base = sides->base, *theirs = sides->theirs;
    if (sides->ours || !base || !theirs || base->kind != theirs->kind ||
        base->kind >= sizeof BYTES / sizeof *BYTES || BYTES[base->kind][0] == 0)
        return false;
    return value_read(slice_of(BYTES[base->kind], sizeof BYTES[base->kind]), ret_value);
}

/* Merges a member that both sides changed, and not to the same value. */
static enum sync_status merge_disputed_entry(struct merge_walk *walk,
                                             const struct entry *const taken[3]) {
    struct value values[3];
    const struct value *found[3] = {NULL};
    struct slice name = SLICE_EMPTY;
    for (int i = 0; i < 3; i++) {
        if (!taken[i])
            continue;
        if (!value_read(taken[i]->value, &values[i]))
            return SYNC_ERR_CORRUPT;
        found[i] = &values[i];
        name = taken[i]->name;
    }
    struct sides sides = {.base = found[0], .ours = found[1], .theirs = found[2]};
    if (walk->input->theirs_win && value_empty(&sides, &values[1]))
        sides.ours = &values[1];
    size_t mark = document_writer_mark(&walk->writer);
    bool present;
    walk->path[walk->path_size++] = name;
    enum sync_status status = merge_disputed(walk, &sides, &present);
    walk->path_size--;
    if (!status && present)
        document_writer_member(&walk->writer, mark, name);
    return status;
}

static enum sync_status merge_entry(struct merge_walk *walk, const struct entry *const taken[3]) {
    const struct entry *base = taken[0], *ours = taken[1], *theirs = taken[2], *kept = ours;
    if (!entry_equal(ours, theirs)) {
        if (entry_equal(base, ours)) {
            walk->took_theirs = true;
            kept = theirs;
        } else if (entry_equal(base, theirs)) {
            walk->took_ours = true;
        } else {
            return merge_disputed_entry(walk, taken);
        }
    }
    if (kept)
        document_writer_put(&walk->writer, kept->whole);
    return SYNC_OK;
}

static enum sync_status merge_objects(struct merge_walk *walk, struct slice base, struct slice ours,
                                      struct slice theirs) {
    struct entries entries[3];
    const struct entry *taken[3];
    const struct slice objects[3] = {base, ours, theirs};
    for (int i = 0; i < 3; i++) {
        enum sync_status status = entries_read(objects[i], walk->arena, &entries[i]);
        if (status)
            return status;
    }
    assert(walk->path_size < sizeof walk->path / sizeof *walk->path);
    while (entries_take(entries, taken)) {
        enum sync_status status = merge_entry(walk, taken);
        if (status)
            return status;
    }
    return SYNC_OK;
}

/* The walk goes backwards; decisions are shown in the document's order. */
static void decisions_reverse(struct merge_walk *walk) {
    for (size_t i = 0, j = walk->decision_count; i + 1 < j; i++) {
        struct merge_decision decision = walk->decisions[--j];
        walk->decisions[j] = walk->decisions[i];
        walk->decisions[i] = decision;
    }
}

enum sync_status conflict_merge(const struct merge_input *input, const struct policy_set *policies,
                                enum conflict_strategy strategy, struct arena *arena,
                                struct merge_result *ret_result) {
    assert(input && policies && arena);
    assert(ret_result);
    struct merge_walk walk = {
        .arena = arena, .input = input, .policies = policies, .strategy = strategy};
    /* What is written comes from ours or theirs, each part once. */
    if (!document_writer_open(&walk.writer, arena, input->ours.size + input->theirs.size))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = merge_objects(&walk, input->base, input->ours, input->theirs);
    if (status)
        return status;
    decisions_reverse(&walk);
    struct slice document = document_writer_since(&walk.writer, 0);
    /* The order of a list's elements is the server's, too. */
    *ret_result = (struct merge_result){
        .document = document,
        .decisions = walk.decisions,
        .decision_count = walk.decision_count,
        .undecided_count = walk.undecided_count,
        .took_ours = walk.took_ours || !slice_equal(document, input->theirs),
        .took_theirs = walk.took_theirs,
    };
    return SYNC_OK;
}
