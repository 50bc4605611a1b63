/* The ledger of what waits behind conflicts. */
#include <stdlib.h>
#include <string.h>

#include "service/core/change_result.h"
#include "service/core/delta.h"
#include "tests/simulation/sim_judge.h"

void sim_held_note(struct sim_world *world, const struct sim_job *job, struct sim_change *change,
                   const struct change_result *result) {
    SIM_HOLDS(world, !change->is_held && (!change->is_settled || change->is_forgotten),
              "%s is held a second time", change->id);
    change->is_held = change->was_held = true;
    change->held_base = sim_oracle_base(world, job, change);
    memcpy(change->behind, result->conflict_id.data, UUID_TEXT_SIZE);
}

bool sim_held_any(const struct sim_ledger *ledger) {
    for (uint32_t i = 0; i < ledger->change_count; i++)
        if (ledger->changes[i]->is_held)
            return true;
    return false;
}

struct sim_copy sim_decided_copy(struct sim_world *world, const struct sim_job *job) {
    struct sim_copy copy = {true, job->record.deleted, job->record.version, job->record.data};
    for (size_t i = job->set.log_count; i-- > 0 && job->set.log[i].device.size > 0;) {
        const struct log_entry *entry = &job->set.log[i];
        struct slice before = SLICE_EMPTY;
        if (!entry->previous_deleted)
            SIM_HOLDS(world,
                      delta_apply(copy.document, entry->undo, &world->arena, &before) == SYNC_OK,
                      "the undo of %llu does not apply", (unsigned long long)entry->sequence);
        copy = (struct sim_copy){true, entry->previous_deleted, entry->previous_version, before};
    }
    return copy;
}

/* The change of an id that a conflict tells; it must have waited. */
static struct sim_change *held_change(struct sim_world *world, struct slice id) {
    struct sim_ledger *ledger = &world->ledger;
    uint32_t number = 0;
    for (size_t i = 1; i < id.size; i++)
        number = 10 * number + (uint32_t)(id.data[i] - '0');
    SIM_HOLDS(world, number < ledger->change_count && ledger->changes[number]->is_held,
              "a change that did not wait is let go");
    return ledger->changes[number];
}

/* None of its device and record that was made before it waits on, but one that was sent once more
 * when nothing was known of it any more. */
static void check_order(struct sim_world *world, const struct sim_change *change) {
    for (uint32_t i = 0; i < change->number; i++) {
        const struct sim_change *other = world->ledger.changes[i];
        SIM_HOLDS(world,
                  !other->is_held || other->is_forgotten || other->device != change->device ||
                      other->record != change->record,
                  "%s goes on before %s", change->id, other->id);
    }
}

/* Who waits on waits behind a conflict that is open; when some were let go, behind the one that
 * those came to. */
static void check_rest(struct sim_world *world, const struct conflict *resolved, bool is_run) {
    struct sim_ledger *ledger = &world->ledger;
    uint32_t record = sim_record_number(world, &resolved->key);
    for (uint32_t i = 0; i < ledger->change_count; i++) {
        struct sim_change *change = ledger->changes[i];
        const struct sim_conflict *holds = NULL;
        if (!change->is_held || change->record != record ||
            !slice_equal(slice_text(world->devices[change->device].id), resolved->device))
            continue;
        for (uint32_t j = 0; j < ledger->conflict_count; j++) {
            const struct sim_conflict *conflict = &ledger->conflicts[j];
            bool is_later = !holds || strcmp(conflict->id, holds->id) > 0;
            if (conflict->is_open && conflict->record == record &&
                conflict->device == change->device && is_later)
                holds = conflict;
        }
        SIM_HOLDS(world, holds, "%s waits on and nothing holds it", change->id);
        if (is_run)
            memcpy(change->behind, holds->id, UUID_TEXT_SIZE);
    }
}

/* Judges one that was let go like one that was sent then. */
static void check_released(struct sim_world *world, const struct sim_job *job,
                           struct sim_change *change, struct change_result *result,
                           uint64_t sequence) {
    struct sim_job as_sent = *job;
    struct sim_copy before = sim_ledger_image(&world->ledger, change->record, sequence);
    as_sent.upload = (struct sim_upload){.changes = {change->number}, .count = 1};
    as_sent.results = result;
    sim_oracle_check(world, &as_sent, 0, &before);
}

void sim_held_released(struct sim_world *world, struct sim_job *job, const struct write_set *set,
                       uint64_t sequence) {
    const struct conflict *resolved = &job->resolved;
    bool decides = set->log_count > 0 && set->log[0].device.size == 0;
    size_t entries = decides;
    sequence += decides;
    for (size_t i = job->held_before; i < resolved->held_count; i++) {
        struct sim_change *change = held_change(world, resolved->held[i].change_id);
        struct change_result result;
        bool is_on_client = resolved->resolution == RESOLUTION_CLIENT &&
                            slice_equal(slice_text(change->behind), resolved->id);
        SIM_HOLDS(world,
                  change_result_unpack(resolved->held[i].outcome, &world->arena, &result) ==
                      SYNC_OK,
                  "the outcome of %s does not unpack", change->id);
        check_order(world, change);
        uint64_t entry = sim_ledger_entry(world, set, change);
        change->is_held = false;
        change->is_released = true;
        if (is_on_client)
            change->held_base = resolved->resolved_version;
        sim_ledger_settle(world, change, &result, entry);
        check_released(world, job, change, &result, entry > 0 ? entry - 1 : sequence);
        sequence = entry > 0 ? entry : sequence;
        entries += entry > 0;
    }
    SIM_HOLDS(world, entries == set->log_count, "%zu entries in the log are nobody's",
              set->log_count - entries);
    check_rest(world, resolved, resolved->held_count > job->held_before);
}
