/* The oracle: what must become of a change, said field by field and apart from the core's merge. */
#include <string.h>

#include "service/core/document_read.h"
#include "tests/simulation/sim_judge.h"
#include "tests/simulation/sim_oracle.h"

/* ---- What it says */

/* A field that the change sets (or removes: `wanted` is empty). */
static void check_set(struct oracle *oracle, struct slice wanted) {
    if (oracle->change->outcome == OUTCOME_CONFLICT) {
        SIM_HOLDS(oracle->world, oracle_says_so(oracle, oracle->conflict.client, wanted),
                  "%s: the inbox has lost %s", oracle->change->id, oracle_path_text(oracle));
        return;
    }
    if (oracle->after.deleted)
        return;
    bool is_disputed =
        !oracle->is_known || oracle->change->kind == CHANGE_CREATE || oracle_is_others(oracle);
    if (is_disputed) {
        oracle_check_disputed(oracle, wanted);
        return;
    }
    SIM_HOLDS(oracle->world, oracle_says_so(oracle, oracle->after.document, wanted),
              "%s: %s was changed by nobody else, and the change is lost", oracle->change->id,
              oracle_path_text(oracle));
}

/* Steps through what the change says. */
static void check_patch(struct oracle *oracle, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        oracle->path.names[oracle->path.depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_patch(oracle, member.value.object);
        else
            check_set(oracle, member.value.kind == VALUE_NULL ? SLICE_EMPTY : member.value.bytes);
        oracle->path.depth--;
    }
}

/* Whether the change says something of the path, or of what it lies in. */
static bool is_said(const struct oracle *oracle) {
    for (size_t depth = 1; depth <= oracle->path.depth; depth++) {
        struct slice said = document_value_at(oracle->data, &oracle->path, depth);
        if (said.size == 0)
            return false;
    }
    return true;
}

/* Whether an object that it lies in came or went as a whole, by others or by the change, or is
 * decided as a whole and the change says something of it. */
static bool is_inside_new(const struct oracle *oracle) {
    size_t field = oracle_field_depth(oracle);
    if (field < oracle->path.depth &&
        document_value_at(oracle->data, &oracle->path, field).size > 0)
        return true;
    for (size_t depth = 1; depth < oracle->path.depth; depth++)
        if ((document_value_at(oracle->before.document, &oracle->path, depth).size > 0) !=
            (document_value_at(oracle->after.document, &oracle->path, depth).size > 0))
            return true;
    return false;
}

/* What the change does not speak of stays: every value of `object` is in `other` as well. */
static void check_kept(struct oracle *oracle, struct slice object, struct slice other) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        oracle->path.names[oracle->path.depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_kept(oracle, member.value.object, other);
        else if (!is_said(oracle) && !is_inside_new(oracle))
            SIM_HOLDS(oracle->world,
                      slice_equal(oracle_value_at(oracle, other), member.value.bytes),
                      "%s does not speak of %s, and it changed", oracle->change->id,
                      oracle_path_text(oracle));
        oracle->path.depth--;
    }
}

/* Whether others changed something that the change says too. */
static bool is_overlap(struct oracle *oracle, struct slice object) {
    struct member member;
    size_t position = 0;
    bool found = false;
    while (!found && document_next(object, &position, &member)) {
        oracle->path.names[oracle->path.depth++] = member.name;
        found = member.value.kind == VALUE_OBJECT && member.value.object.size > 0
                    ? is_overlap(oracle, member.value.object)
                    : oracle_is_touched(oracle);
        oracle->path.depth--;
    }
    return found;
}

/* ---- Kinds */

static void check_update(struct oracle *oracle) {
    const struct sim_change *change = oracle->change;
    struct sim_world *world = oracle->world;
    bool is_alone = oracle->is_known && oracle->others == 0;
    if (oracle->before.deleted) {
        SIM_HOLDS(world, change->outcome != OUTCOME_APPLIED && oracle->is_kept,
                  "%s updates what is deleted, and nobody can see it", change->id);
        SIM_HOLDS(world, !is_alone || change->entry == 0, "%s resurrects what its device deleted",
                  change->id);
        return;
    }
    if (is_alone) {
        SIM_HOLDS(world, change->outcome == OUTCOME_APPLIED, "%s met nobody and is outcome %d",
                  change->id, (int)change->outcome);
        SIM_HOLDS(world,
                  slice_equal(sim_change_apply(world, change, oracle->before.document),
                              oracle->after.document),
                  "%s met nobody and is not what was sent", change->id);
    }
    if (change->outcome == OUTCOME_CONFLICT && oracle->is_known)
        SIM_HOLDS(world, is_overlap(oracle, change->data),
                  "%s waits, though nobody changed the same", change->id);
    SIM_HOLDS(world, oracle->is_known || oracle->is_old || change->outcome != OUTCOME_APPLIED,
              "%s is called applied, and nobody knows on what", change->id);
    check_patch(oracle, change->data);
    /* Who takes the client's side, takes nothing away that the change does not speak of. */
    if (oracle->is_kept && !oracle->is_known)
        check_kept(oracle, oracle->before.document, oracle->conflict.client);
    if (!oracle->after.deleted) {
        check_kept(oracle, oracle->before.document, oracle->after.document);
        check_kept(oracle, oracle->after.document, oracle->before.document);
    }
}

/* Whether the device deleted the record itself, or its user by the decision that let the change go:
 * it was made behind what was decided. */
static bool is_own_deletion(const struct oracle *oracle) {
    const struct sim_world *world = oracle->world;
    const struct sim_version *version = &world->ledger.versions[oracle->before.version];
    return slice_equal(version->device, slice_text(world->devices[oracle->change->device].id)) ||
           (oracle->change->is_released && version->commit_us == world->ledger.head.time_us);
}

/* A creation where there is none: a new record, as it was sent. Only where the log has lost who
 * deleted the last one, it is in dispute with that. */
static void check_create(struct oracle *oracle) {
    const struct sim_change *change = oracle->change;
    bool is_unknown = oracle->before.found && !oracle->is_known;
    if (!oracle->before.deleted) {
        check_patch(oracle, change->data);
        check_kept(oracle, oracle->before.document, oracle->after.document);
        return;
    }
    SIM_HOLDS(oracle->world, !is_unknown || oracle->is_kept || is_own_deletion(oracle),
              "%s brings back what was deleted while its device was away", change->id);
    if (is_unknown && oracle->is_kept)
        return;
    SIM_HOLDS(oracle->world,
              change->outcome == OUTCOME_APPLIED && !oracle->after.deleted &&
                  slice_equal(oracle->after.document, change->data),
              "%s creates and the record is not what was sent", change->id);
}

static void check_delete(struct oracle *oracle) {
    const struct sim_change *change = oracle->change;
    struct sim_world *world = oracle->world;
    if (oracle->before.deleted) {
        SIM_HOLDS(world, change->entry == 0, "%s deletes what is deleted", change->id);
        return;
    }
    bool is_gone = oracle->after.deleted;
    if (oracle->is_known && oracle->others == 0)
        SIM_HOLDS(world, change->outcome == OUTCOME_APPLIED && is_gone,
                  "%s met nobody and did not delete", change->id);
    if (oracle->is_known && oracle->others > 0)
        SIM_HOLDS(world, change->outcome != OUTCOME_APPLIED && oracle->is_kept,
                  "%s deletes what others changed, unseen", change->id);
    if (change->entry > 0)
        SIM_HOLDS(world, is_gone, "%s is a deletion and left something", change->id);
}

/* Reads what was stored of the conflict; it must hold both sides. */
static void inbox_read(struct oracle *oracle, const struct write_set *set, struct slice id) {
    struct sim_world *world = oracle->world;
    const struct sim_change *change = oracle->change;
    for (size_t i = 0; i < set->row_count && !oracle->is_kept; i++)
        oracle->is_kept =
            set->rows[i].table == TABLE_CONFLICT && slice_equal(set->rows[i].key, id) &&
            conflict_unpack(set->rows[i].value, &world->arena, &oracle->conflict) == SYNC_OK;
    SIM_HOLDS(world, oracle->is_kept, "%s is in no inbox", change->id);
    SIM_HOLDS(world,
              conflict_expand(&oracle->conflict,
                              oracle->after.deleted ? SLICE_EMPTY : oracle->after.document,
                              &world->arena) == SYNC_OK,
              "%s: the inbox cannot give the sides back", change->id);
    SIM_HOLDS(world, change->kind == CHANGE_DELETE || oracle->conflict.has_client,
              "%s: the inbox has no client's side", change->id);
    SIM_HOLDS(world,
              oracle->before.deleted ||
                  slice_equal(oracle->conflict.server, oracle->before.document),
              "%s: the inbox has another server's side", change->id);
    SIM_HOLDS(world, change->kind == CHANGE_CREATE || !oracle->is_known || oracle->others > 0,
              "%s is in the inbox, though nobody changed the record", change->id);
}

/* What waits is open; what was decided without the user is not, and says why. */
static void check_inbox(struct oracle *oracle, const struct sim_job *job, size_t index) {
    const struct change_result *result = &job->results[index];
    bool waits = result->outcome == OUTCOME_CONFLICT;
    SIM_HOLDS(oracle->world, waits == (result->conflict_id.size > 0),
              "%s waits without a conflict, or the reverse", oracle->change->id);
    if (result->conflict_id.size + result->decision_id.size == 0)
        return;
    inbox_read(oracle, &job->set, waits ? result->conflict_id : result->decision_id);
    SIM_HOLDS(oracle->world,
              waits == (oracle->conflict.resolved_us == 0) &&
                  waits == (oracle->conflict.decision_count == 0),
              "%s waits and is decided", oracle->change->id);
}

/* Whether operations may lead nowhere: made on what the device's own changes were to make of the
 * record, and they were merged to something else, or on what nobody knows any more; and lead
 * nowhere in the record as it is, either. */
static bool goes_astray(const struct oracle *oracle) {
    struct sim_copy base =
        sim_ledger_image(&oracle->world->ledger, oracle->change->record, oracle->base);
    bool is_astray = !oracle->is_known || oracle_is_own_since(oracle) ||
                     !sim_change_applies(oracle->world, oracle->change, base.document);
    return is_astray && !sim_change_applies(oracle->world, oracle->change, oracle->before.document);
}

static void check_rejected(const struct oracle *oracle, const struct change_result *result) {
    bool is_absent = !oracle->before.found && strcmp(result->reason, "NOT_FOUND") == 0;
    bool is_gone = oracle->before.deleted && strcmp(result->reason, "GONE") == 0;
    bool is_astray = oracle->change->operations.size > 0 && goes_astray(oracle) &&
                     strcmp(result->reason, "PATH_NOT_FOUND") == 0;
    SIM_HOLDS(oracle->world, is_absent || is_gone || is_astray, "%s is rejected: %s",
              oracle->change->id, result->reason);
}

/* Whether the log still has all that became of the record since the base. */
static bool base_is_known(const struct oracle *oracle, uint64_t log_floor) {
    const struct sim_version *versions = oracle->world->ledger.versions;
    for (uint64_t at = oracle->before.version; at > oracle->base; at = versions[at].previous)
        if (at <= log_floor)
            return false;
    return true;
}

static uint32_t others_since(const struct oracle *oracle) {
    const struct sim_ledger *ledger = &oracle->world->ledger;
    struct slice device = slice_text(oracle->world->devices[oracle->change->device].id);
    uint32_t count = 0;
    for (uint64_t at = oracle->before.version; at > oracle->base;
         at = ledger->versions[at].previous)
        count += !slice_equal(ledger->versions[at].device, device);
    return count;
}

void sim_oracle_check(struct sim_world *world, const struct sim_job *job, size_t index,
                      const struct sim_copy *before) {
    const struct sim_change *change = world->ledger.changes[job->upload.changes[index]];
    struct oracle oracle = {.world = world, .change = change, .before = *before};
    oracle.base = change->is_released ? change->held_base : sim_oracle_base(world, job, change);
    oracle.is_known = base_is_known(&oracle, job->before.log_floor);
    oracle.is_old = sim_old_is(world, job, index);
    oracle.is_known = oracle.is_known && !oracle.is_old;
    oracle.data = change->data;
    oracle.others = others_since(&oracle);
    bool is_whole = oracle.is_old ? sim_old_is_whole(world, job, change)
                                  : change->outcome == OUTCOME_APPLIED && oracle.is_known &&
                                        oracle.others == 0 && !change->is_released;
    world->ledger.versions[change->entry].is_whole = is_whole && change->entry > 0;
    oracle.after = change->entry > 0
                       ? sim_ledger_image(&world->ledger, change->record, change->entry)
                       : *before;
    oracle.before.deleted = oracle.before.deleted || !oracle.before.found;
    oracle.after.deleted = oracle.after.deleted || !oracle.after.found;
    if (change->outcome == OUTCOME_REJECTED) {
        check_rejected(&oracle, &job->results[index]);
        return;
    }
    check_inbox(&oracle, job, index);
    if (oracle.is_old)
        sim_old_check(world, job, index,
                      &(struct sim_old){&oracle.before, &oracle.after,
                                        oracle.is_kept ? &oracle.conflict : NULL});
    if (change->kind == CHANGE_UPDATE)
        check_update(&oracle);
    else if (change->kind == CHANGE_CREATE)
        check_create(&oracle);
    else
        check_delete(&oracle);
}
