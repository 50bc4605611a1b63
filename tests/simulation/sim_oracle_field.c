/* The oracle of a field: what may be there after a change, by who else touched it and its policy.
 */
#include "service/core/document_read.h"
#include "tests/service/core/list_merge.h"
#include "tests/service/core/merge_origin.h"
#include "tests/simulation/sim_oracle.h"

/* ---- Values by path */

struct slice oracle_value_at(const struct oracle *oracle, struct slice document) {
    return document_value_at(document, &oracle->path, oracle->path.depth);
}

const char *oracle_path_text(const struct oracle *oracle) {
    static char text[256];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < oracle->path.depth && size < sizeof text - 1; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, "%s%.*s", i > 0 ? "." : "",
                                 (int)oracle->path.names[i].size,
                                 (const char *)oracle->path.names[i].data);
    return text;
}

size_t oracle_field_depth(const struct oracle *oracle) {
    enum data_type type = sim_record_type(oracle->change->record);
    for (size_t depth = 1; depth < oracle->path.depth; depth++) {
        enum field_policy policy = sim_policy_of(oracle->world, type, oracle->path.names, depth);
        if (policy != FIELD_POLICY_NONE && policy != FIELD_POLICY_KEYED)
            return depth;
    }
    return oracle->path.depth;
}

/* The policy of the field that the path is, or lies in. */
static enum field_policy policy_of(const struct oracle *oracle) {
    return sim_policy_of(oracle->world, sim_record_type(oracle->change->record), oracle->path.names,
                         oracle_field_depth(oracle));
}

bool oracle_is_touched(const struct oracle *oracle) {
    const struct sim_ledger *ledger = &oracle->world->ledger;
    struct slice device = slice_text(oracle->world->devices[oracle->change->device].id);
    struct document_path field = oracle->path;
    field.depth = oracle_field_depth(oracle);
    for (uint64_t at = oracle->before.version; at > oracle->base;) {
        const struct sim_version *version = &ledger->versions[at];
        struct sim_copy was = sim_ledger_image(ledger, oracle->change->record, at - 1);
        if (!slice_equal(version->device, device) &&
            document_differs_at(version->document, was.document, &field))
            return true;
        at = version->previous;
    }
    return false;
}

bool oracle_is_others(const struct oracle *oracle) {
    return oracle_is_touched(oracle) ||
           !slice_equal(oracle_value_at(oracle, oracle->change->before),
                        oracle_value_at(oracle, oracle->before.document));
}

/* ---- Fields */

bool oracle_is_own_since(const struct oracle *oracle) {
    const struct sim_ledger *ledger = &oracle->world->ledger;
    struct slice device = slice_text(oracle->world->devices[oracle->change->device].id);
    for (uint64_t at = oracle->before.version; at > oracle->base;
         at = ledger->versions[at].previous)
        if (slice_equal(ledger->versions[at].device, device))
            return true;
    return false;
}

/* What the change was made on, as far as nothing else of the device's bears on it. */
static struct slice base_value(const struct oracle *oracle) {
    struct sim_copy base =
        sim_ledger_image(&oracle->world->ledger, oracle->change->record, oracle->base);
    return oracle_value_at(oracle, base.document);
}

bool oracle_says_so(const struct oracle *oracle, struct slice document, struct slice wanted) {
    struct list_merge list = {.base = oracle_value_at(oracle, oracle->change->before),
                              .ours = wanted,
                              .theirs = wanted,
                              .merged = oracle_value_at(oracle, document)};
    if (slice_equal(list.merged, wanted))
        return true;
    return oracle->change->operations.size > 0 && list_merge_is_keyed(&list) &&
           list_merge_has_theirs(&list);
}

/* What both sides made different is kept with both, whoever won; and a value that lost is, where
 * the user finds it. What the device had not changed is no loss. */
static void check_seen(struct oracle *oracle, const struct list_merge *sides) {
    struct slice wanted = sides->theirs, before = sides->ours;
    bool is_kept = oracle->is_kept && oracle_says_so(oracle, oracle->conflict.client, wanted);
    /* Of what the log has lost nobody knows who changed it: then all that differs counts. */
    bool is_open = !oracle->is_known || !oracle_is_own_since(oracle);
    bool is_theirs = !oracle->is_known || !slice_equal(wanted, sides->base);
    bool is_ours = !oracle->is_known || !slice_equal(before, sides->base);
    if (!is_open || !is_theirs)
        return;
    SIM_HOLDS(oracle->world, is_kept || oracle_says_so(oracle, oracle->after.document, wanted),
              "%s: %s is overwritten, and nobody can see it", oracle->change->id,
              oracle_path_text(oracle));
    SIM_HOLDS(oracle->world,
              is_kept || !is_ours || before.size == 0 ||
                  oracle_says_so(oracle, oracle->before.document, wanted),
              "%s overwrites %s, and nobody can see it", oracle->change->id,
              oracle_path_text(oracle));
}

/* The larger of two numbers or texts, or the smaller. */
static void check_extreme(struct oracle *oracle, struct slice wanted, struct slice before,
                          struct slice after, bool is_max) {
    struct value theirs, ours;
    if (wanted.size == 0 || oracle_field_depth(oracle) < oracle->path.depth ||
        !value_read(wanted, &theirs) || !value_read(before, &ours) || theirs.kind != ours.kind)
        return;
    bool is_theirs;
    if (ours.kind == VALUE_NUMBER)
        is_theirs = (theirs.number > ours.number) == is_max;
    else if (ours.kind == VALUE_STRING)
        is_theirs = (slice_compare(theirs.text, ours.text) > 0) == is_max;
    else
        return;
    SIM_HOLDS(oracle->world, slice_equal(after, is_theirs ? wanted : before),
              "%s: %s is not the %s of both", oracle->change->id, oracle_path_text(oracle),
              is_max ? "larger" : "smaller");
}

/* A scalar whose side the policy names, where nothing but the two sides bears on it. */
static void check_policy(struct oracle *oracle, struct slice wanted, struct slice before,
                         struct slice after) {
    struct slice base = base_value(oracle);
    enum field_policy policy = policy_of(oracle);
    if (slice_equal(before, base) || slice_equal(wanted, base) || before.size == 0 ||
        oracle_is_own_since(oracle))
        return;
    if (policy == FIELD_POLICY_SERVER)
        SIM_HOLDS(oracle->world, slice_equal(after, before), "%s: %s is the service's to say",
                  oracle->change->id, oracle_path_text(oracle));
    if (policy == FIELD_POLICY_CLIENT)
        SIM_HOLDS(oracle->world, oracle_says_so(oracle, oracle->after.document, wanted),
                  "%s: %s is the traveller's to say", oracle->change->id, oracle_path_text(oracle));
    if (policy == FIELD_POLICY_MAX || policy == FIELD_POLICY_MIN)
        check_extreme(oracle, wanted, before, after, policy == FIELD_POLICY_MAX);
}

/* A list that merges by its elements: each is as the side made it that changed it, and what both
 * changed is kept. */
static void check_list(struct oracle *oracle, const struct list_merge *merge, bool is_keyed) {
    bool is_disputed = false;
    const char *fault =
        is_keyed ? list_merge_keyed_fault(merge, &is_disputed) : list_merge_union_fault(merge);
    SIM_HOLDS(oracle->world, !fault, "%s: %s: %s", oracle->change->id, oracle_path_text(oracle),
              fault);
    SIM_HOLDS(oracle->world, !is_disputed || oracle->is_kept,
              "%s: an element of %s is overwritten, and nobody can see it", oracle->change->id,
              oracle_path_text(oracle));
}

/* Whether an earlier change of the device waited: what it has by that, the service decided. */
static bool is_behind_waiting(const struct oracle *oracle) {
    const struct sim_change *change = oracle->change;
    for (uint32_t i = 0; i < change->number; i++) {
        const struct sim_change *earlier = oracle->world->ledger.changes[i];
        if (earlier->device == change->device && earlier->record == change->record &&
            (earlier->was_held || earlier->outcome == OUTCOME_CONFLICT))
            return true;
    }
    return false;
}

/* What others put into a list, and the device never had, it does not take out unseen. */
static void check_unseen(struct oracle *oracle, const struct list_merge *merge) {
    const struct sim_change *change = oracle->change;
    struct list_merge had = *merge;
    had.base = oracle_value_at(oracle, change->before);
    if (change->base_version == 0 || change->is_apart || change->is_released ||
        had.merged.size == 0 || is_behind_waiting(oracle))
        return;
    SIM_HOLDS(oracle->world,
              oracle->is_kept || !list_merge_loses_ours(&had) || !list_merge_loses_ours(merge),
              "%s: an element of %s that others put there is gone", change->id,
              oracle_path_text(oracle));
}

/* A text that merges by words has those of both sides and no others. */
static void check_text(struct oracle *oracle, const struct list_merge *merge) {
    struct value ours, theirs, merged;
    bool are_texts = merge->ours.size > 0 && merge->theirs.size > 0 && merge->merged.size > 0 &&
                     value_read(merge->ours, &ours) && value_read(merge->theirs, &theirs) &&
                     value_read(merge->merged, &merged) && ours.kind == VALUE_STRING &&
                     theirs.kind == VALUE_STRING && merged.kind == VALUE_STRING;
    SIM_HOLDS(
        oracle->world, !are_texts || merge_words_have_origin(merged.text, ours.text, theirs.text),
        "%s: %s has a word that neither side wrote", oracle->change->id, oracle_path_text(oracle));
}

/* How a field that both sides changed merges: as one value, or put together from both. */
enum blend { BLEND_NONE, BLEND_TEXT, BLEND_SET, BLEND_KEYED };

static enum blend blend_of(const struct oracle *oracle, const struct list_merge *merge) {
    enum field_policy policy = policy_of(oracle);
    bool is_inside = oracle_field_depth(oracle) < oracle->path.depth;
    if (!is_inside && policy == FIELD_POLICY_TEXT)
        return BLEND_TEXT;
    bool by_id =
        policy == FIELD_POLICY_NONE || policy == FIELD_POLICY_KEYED || policy == FIELD_POLICY_UNION;
    if (!is_inside && by_id && list_merge_is_keyed(merge))
        return BLEND_KEYED;
    bool is_set = !is_inside && policy == FIELD_POLICY_UNION && list_merge_are_lists(merge);
    return is_set ? BLEND_SET : BLEND_NONE;
}

void oracle_check_disputed(struct oracle *oracle, struct slice wanted) {
    struct list_merge merge = {.base = base_value(oracle),
                               .ours = oracle_value_at(oracle, oracle->before.document),
                               .theirs = wanted,
                               .merged = oracle_value_at(oracle, oracle->after.document)};
    /* Operations say what changed in just what the device had. */
    bool is_elsewhere = oracle->change->operations.size > 0 && list_merge_is_keyed(&merge) &&
                        !slice_equal(merge.base, oracle_value_at(oracle, oracle->change->before));
    struct slice before = merge.ours, after = merge.merged;
    bool is_exact = oracle->is_known && !is_elsewhere && oracle->change->kind == CHANGE_UPDATE;
    if (oracle->change->kind == CHANGE_CREATE)
        merge.base = SLICE_EMPTY;
    enum blend blend = blend_of(oracle, &merge);
    SIM_HOLDS(oracle->world,
              blend || oracle_says_so(oracle, oracle->after.document, wanted) ||
                  slice_equal(after, before),
              "%s: %s has a value that neither side gave", oracle->change->id,
              oracle_path_text(oracle));
    if (blend != BLEND_KEYED)
        check_seen(oracle, &merge);
    if (blend == BLEND_NONE && is_exact)
        check_policy(oracle, wanted, before, after);
    if (blend == BLEND_TEXT)
        check_text(oracle, &merge);
    if (blend == BLEND_KEYED && oracle->change->kind == CHANGE_UPDATE)
        check_unseen(oracle, &merge);
    if (blend >= BLEND_SET && is_exact && !oracle_is_own_since(oracle))
        check_list(oracle, &merge, blend == BLEND_KEYED);
}
