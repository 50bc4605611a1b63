/* The ledger: what was written, told by the store itself, and what became of each change. */
#include <string.h>

#include "service/core/checksum.h"
#include "service/core/delta.h"
#include "tests/simulation/sim_judge.h"

struct sim_copy sim_ledger_image(const struct sim_ledger *ledger, uint32_t record,
                                 uint64_t sequence) {
    uint64_t at = ledger->latest[record];
    while (at > sequence)
        at = ledger->versions[at].previous;
    if (at == 0)
        return (struct sim_copy){0};
    const struct sim_version *version = &ledger->versions[at];
    return (struct sim_copy){true, version->deleted, at, version->document};
}

/* ---- Versions */

/* Notes the versions that a set makes of one record, from the last back to the first; what comes
 * before the first must be what there was. */
static void record_written(struct sim_world *world, const struct write_set *set,
                           const struct record *record) {
    struct sim_ledger *ledger = &world->ledger;
    uint32_t number = sim_record_number(world, &record->key);
    struct sim_copy was = sim_ledger_image(ledger, number, UINT64_MAX);
    struct sim_copy at = {true, record->deleted, record->version, record->data};
    bool is_last = true;
    for (size_t i = set->log_count; i-- > 0;) {
        const struct log_entry *entry = &set->log[i];
        if (sim_record_number(world, &entry->key) != number)
            continue;
        SIM_HOLDS(world, !is_last || entry->sequence == record->version,
                  "record r%u has version %llu, its last entry is %llu", number,
                  (unsigned long long)record->version, (unsigned long long)entry->sequence);
        is_last = false;
        ledger->versions[entry->sequence] = (struct sim_version){
            .sequence = entry->sequence,
            .previous = entry->previous_version,
            .record = number,
            .kind = entry->kind,
            .deleted = at.deleted,
            .document = sim_keep(world, at.document),
            .device = sim_keep(world, entry->device),
            .corrected_us = entry->corrected_us,
            .commit_us = set->head.time_us,
        };
        struct slice before = SLICE_EMPTY;
        if (!entry->previous_deleted)
            SIM_HOLDS(world,
                      delta_apply(at.document, entry->undo, &world->arena, &before) == SYNC_OK,
                      "the undo of %llu does not apply", (unsigned long long)entry->sequence);
        at = (struct sim_copy){true, entry->previous_deleted, entry->previous_version, before};
    }
    if (world->options->story)
        sim_tell(world, "r%u at %llu: %s", number, (unsigned long long)record->version,
                 record->deleted ? "deleted" : sim_text(world, record->data));
    SIM_HOLDS(world, !is_last, "record r%u was written without an entry in the log", number);
    SIM_HOLDS(world, at.version == was.version, "r%u was at %llu, the log says %llu", number,
              (unsigned long long)was.version, (unsigned long long)at.version);
    SIM_HOLDS(world, at.deleted == (!was.found || was.deleted),
              "the log does not know whether r%u was there", number);
    SIM_HOLDS(world, at.deleted || slice_equal(at.document, was.document),
              "what r%u was before cannot be had back from the log", number);
    ledger->latest[number] = record->version;
}

/* The head must be what counting gives. */
static void head_check(struct sim_world *world, const struct user_head *head) {
    struct sim_copy copies[SIM_RECORDS];
    uint32_t live = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        copies[i] = sim_ledger_image(&world->ledger, i, UINT64_MAX);
        if (copies[i].found && !copies[i].deleted) {
            live++;
            bytes += copies[i].document.size;
        }
    }
    struct checksum sum = sim_copies_sum(world, copies);
    SIM_HOLDS(world, sum.high == head->checksum.high && sum.low == head->checksum.low,
              "the head's checksum is not the records'");
    SIM_HOLDS(world, live == head->record_count && bytes == head->data_bytes,
              "the head counts %u records of %llu bytes, there are %u of %llu", head->record_count,
              (unsigned long long)head->data_bytes, live, (unsigned long long)bytes);
}

/* ---- Conflicts */

void sim_ledger_forget(const struct sim_ledger *ledger, struct sim_change *change) {
    bool waits = false;
    for (uint32_t i = 0; i < ledger->conflict_count && !waits; i++)
        waits = ledger->conflicts[i].is_open && ledger->conflicts[i].change == change->number;
    change->is_forgotten = change->is_trimmed && !waits;
    change->has_waited = change->has_waited || (change->is_trimmed && waits);
}

/* The number of the conflict's device, and of its change. */
static void conflict_origin(struct sim_world *world, const struct conflict *conflict,
                            struct sim_conflict *noted) {
    const struct sim_ledger *ledger = &world->ledger;
    noted->device = noted->change = 0;
    while (noted->device < SIM_DEVICES_MAX &&
           !slice_equal(conflict->device, slice_text(world->devices[noted->device].id)))
        noted->device++;
    while (noted->change < ledger->change_count &&
           !(ledger->changes[noted->change]->device == noted->device &&
             slice_equal(conflict->change_id, slice_text(ledger->changes[noted->change]->id))))
        noted->change++;
    if (noted->change == ledger->change_count)
        noted->change = SIM_CHANGES_MAX;
}

/* The place of a conflict in the ledger; behind the others: it is new. */
static uint32_t conflict_place(const struct sim_ledger *ledger, struct slice id) {
    uint32_t i = 0;
    while (i < ledger->conflict_count && !slice_equal(slice_text(ledger->conflicts[i].id), id))
        i++;
    return i;
}

/* Takes a row of a conflict that was known before, or of a new one. */
static void conflict_written(struct sim_world *world, const struct row_write *row, bool is_new) {
    struct sim_ledger *ledger = &world->ledger;
    struct conflict conflict;
    uint32_t i = conflict_place(ledger, row->key);
    if (row->table != TABLE_CONFLICT || row->remove || is_new != (i == ledger->conflict_count))
        return;
    SIM_HOLDS(world, conflict_unpack(row->value, &world->arena, &conflict) == SYNC_OK,
              "a conflict does not unpack");
    struct sim_conflict *noted = &ledger->conflicts[i];
    if (is_new) {
        SIM_HOLDS(world, i < SIM_CONFLICTS_MAX, "no room for a conflict");
        ledger->conflict_count++;
        memcpy(noted->id, conflict.id.data, UUID_TEXT_SIZE);
        noted->record = sim_record_number(world, &conflict.key);
        conflict_origin(world, &conflict, noted);
    }
    noted->is_open = conflict.resolved_us == 0;
    noted->resolved_us = conflict.resolved_us;
    noted->is_gone = false;
    if (!is_new && noted->change < SIM_CHANGES_MAX)
        sim_ledger_forget(ledger, ledger->changes[noted->change]);
}

/* Those that are known first: what is known of a change is told by them, and not by what comes of
 * it now. */
static void conflicts_written(struct sim_world *world, const struct write_set *set) {
    for (size_t i = 0; i < 2 * set->row_count; i++)
        conflict_written(world, &set->rows[i % set->row_count], i >= set->row_count);
}

static uint32_t conflicts_open(const struct sim_ledger *ledger) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < ledger->conflict_count; i++)
        count += ledger->conflicts[i].is_open;
    return count;
}

/* ---- Outcomes */

/* The entry that a change made; 0: none. */
uint64_t sim_ledger_entry(struct sim_world *world, const struct write_set *set,
                          const struct sim_change *change) {
    uint64_t found = 0;
    for (size_t i = 0; i < set->log_count; i++) {
        const struct log_entry *entry = &set->log[i];
        if (!slice_equal(entry->change_id, slice_text(change->id)) ||
            !slice_equal(entry->device, slice_text(world->devices[change->device].id)))
            continue;
        SIM_HOLDS(world, found == 0, "%s was applied twice at once", change->id);
        found = entry->sequence;
    }
    return found;
}

void sim_ledger_settle(struct sim_world *world, struct sim_change *change,
                       const struct change_result *result, uint64_t entry) {
    bool is_passing = result->outcome == OUTCOME_BLOCKED || result->outcome == OUTCOME_HELD;
    SIM_HOLDS(world, !change->is_settled || change->is_forgotten, "%s was applied a second time",
              change->id);
    SIM_HOLDS(world, entry == 0 || entry == result->version,
              "%s was told version %llu and made %llu", change->id,
              (unsigned long long)result->version, (unsigned long long)entry);
    SIM_HOLDS(world,
              entry == 0 || result->outcome == OUTCOME_APPLIED || result->outcome == OUTCOME_MERGED,
              "%s was written with outcome %d", change->id, (int)result->outcome);
    if (is_passing && change->is_forgotten)
        return; /* what became of it once still holds */
    change->earlier_outcome = change->outcome;
    change->earlier_version = change->version;
    change->is_blocked = is_passing;
    change->is_settled = !is_passing;
    change->is_forgotten = change->is_trimmed = false;
    change->settled_us = world->ledger.head.time_us;
    change->outcome = result->outcome;
    change->version = result->version;
    change->entry = entry;
    if (result->outcome == OUTCOME_CONFLICT)
        memcpy(change->conflict_id, result->conflict_id.data, UUID_TEXT_SIZE);
    static const char *const OUTCOMES[] = {"",         "applied", "merged",  "a conflict",
                                           "rejected", "blocked", "pending", "held"};
    sim_tell(world, "%s is %s at version %llu%s", change->id, OUTCOMES[result->outcome],
             (unsigned long long)result->version, entry > 0 ? "" : ", nothing is written");
    world->report->changes++;
    world->report->merged += result->outcome == OUTCOME_MERGED;
    world->report->conflicts += result->outcome == OUTCOME_CONFLICT;
}

/* Which records' changes of a device are behind a conflict that is open. */
static void held_find(const struct sim_ledger *ledger, uint32_t device, bool *held) {
    for (uint32_t i = 0; i < ledger->conflict_count; i++) {
        const struct sim_conflict *conflict = &ledger->conflicts[i];
        if (conflict->is_open && conflict->device == device)
            held[conflict->record] = true;
    }
}

/* What comes behind a change that waits, waits too; nothing else does. */
static void blocked_check(struct sim_world *world, const struct sim_change *change,
                          const struct change_result *result, bool *blocked) {
    bool is_blocked = result->outcome == OUTCOME_BLOCKED || result->outcome == OUTCOME_HELD;
    SIM_HOLDS(world, result->duplicate || is_blocked == *blocked,
              *blocked ? "%s goes before the conflict that it is behind"
                       : "%s is blocked by nothing",
              change->id);
    *blocked = *blocked || (result->outcome == OUTCOME_CONFLICT && !result->duplicate);
}

/* Takes the outcomes of an upload, in order: each change with the record as it was before it.
 * `blocked`: by record, whether something was before the upload. */
static void outcomes_written(struct sim_world *world, struct sim_job *job,
                             const struct write_set *set, uint64_t sequence, bool *blocked) {
    size_t entries = 0;
    for (size_t i = 0; i < job->upload.count; i++) {
        struct sim_change *change = world->ledger.changes[job->upload.changes[i]];
        const struct change_result *result = &job->results[i];
        uint64_t entry = sim_ledger_entry(world, set, change);
        blocked_check(world, change, result, &blocked[change->record]);
        if (result->duplicate) {
            SIM_HOLDS(world,
                      entry == 0 &&
                          (result->outcome == OUTCOME_HELD ? change->is_held : change->is_settled),
                      "%s is called a duplicate and is none", change->id);
            continue;
        }
        if (result->outcome == OUTCOME_HELD)
            sim_held_note(world, job, change, result);
        change->is_released = false;
        sim_ledger_settle(world, change, result, entry);
        struct sim_copy before =
            sim_ledger_image(&world->ledger, change->record, entry > 0 ? entry - 1 : sequence);
        sequence = entry > 0 ? entry : sequence;
        entries += entry > 0;
        if (result->outcome != OUTCOME_BLOCKED && result->outcome != OUTCOME_HELD)
            sim_oracle_check(world, job, i, &before);
    }
    SIM_HOLDS(world, entries == set->log_count, "%zu entries in the log are nobody's",
              set->log_count - entries);
}

void sim_ledger_written(void *context, const struct write_set *set, const struct user_head *head) {
    struct sim_world *world = context;
    struct sim_ledger *ledger = &world->ledger;
    uint64_t sequence = ledger->head.sequence;
    bool held[SIM_RECORDS] = {false};
    if (set->any_revision || set->user.size == 0) {
        SIM_HOLDS(world, set->record_count + set->log_count == 0, "records without a head");
        return;
    }
    SIM_HOLDS(world, head->sequence == sequence + set->log_count, "the sequence has a gap");
    SIM_HOLDS(world, head->sequence < SIM_VERSIONS_MAX, "too many versions for the ledger");
    SIM_HOLDS(world, head->time_us >= ledger->head.time_us, "the user's time went back");
    for (size_t i = 0; i < set->log_count; i++)
        SIM_HOLDS(world, set->log[i].sequence == sequence + 1 + i, "the log has a gap");
    size_t noted = 0;
    for (size_t i = 0; i < set->record_count; i++)
        record_written(world, set, &set->records[i]);
    for (uint64_t at = sequence + 1; at <= head->sequence; at++)
        noted += ledger->versions[at].sequence == at;
    SIM_HOLDS(world, noted == set->log_count, "the log names records that were not written");
    ledger->head = *head;
    head_check(world, head);
    if (world->at && world->at->kind == JOB_UPLOAD)
        held_find(ledger, world->at->device, held);
    conflicts_written(world, set);
    SIM_HOLDS(world, conflicts_open(ledger) == head->conflicts_open,
              "the head counts %u open conflicts, there are %u", head->conflicts_open,
              conflicts_open(ledger));
    if (world->at && world->at->kind == JOB_UPLOAD)
        outcomes_written(world, world->at, set, sequence, held);
    if (world->at && world->at->kind == JOB_RESOLVE)
        sim_held_released(world, world->at, set, sequence);
    SIM_HOLDS(world, sim_held_any(ledger) == (head->held_bytes > 0),
              "the head counts %llu bytes that are held", (unsigned long long)head->held_bytes);
    sim_stream_committed(world);
}

void sim_ledger_check_result(struct sim_world *world, const struct sim_result *result) {
    const struct sim_change *change = world->ledger.changes[result->change];
    if (result->outcome == OUTCOME_BLOCKED)
        return;
    if (result->outcome == OUTCOME_HELD) {
        SIM_HOLDS(world, change->was_held, "%s is told to be held and never was", change->id);
        return;
    }
    SIM_HOLDS(world, change->is_settled, "%s is acknowledged and not durable", change->id);
    bool is_now = change->outcome == result->outcome && change->version == result->version;
    bool is_earlier =
        change->earlier_outcome == result->outcome && change->earlier_version == result->version;
    /* What waits for longer than its outcome is kept, perhaps since its decision was taken back, is
     * told so, with the version that the record has by then. */
    bool is_waiting = change->has_waited && result->outcome == OUTCOME_CONFLICT &&
                      result->version >= change->earlier_version;
    SIM_HOLDS(world, is_now || is_earlier || is_waiting,
              "%s is now told outcome %d at %llu, was told %d at %llu", change->id,
              (int)result->outcome, (unsigned long long)result->version, (int)change->outcome,
              (unsigned long long)change->version);
}

/* ---- The store */

struct store_check {
    struct sim_world *world;
    uint64_t next; /* sequence of the log */
    uint32_t records;
};

static bool store_visit(void *context, const struct scan_item *item) {
    struct store_check *check = context;
    struct sim_world *world = check->world;
    if (item->entry) {
        uint64_t sequence = item->entry->sequence;
        SIM_HOLDS(world, sequence == check->next, "the store's log has a gap");
        check->next++;
        return true;
    }
    uint32_t number = sim_record_number(world, &item->record->key);
    struct sim_copy image = sim_ledger_image(&world->ledger, number, UINT64_MAX);
    SIM_HOLDS(world,
              image.found && image.version == item->record->version &&
                  image.deleted == item->record->deleted &&
                  slice_equal(image.document, item->record->data),
              "the store holds another r%u than was written", number);
    check->records++;
    return true;
}

void sim_ledger_check_store(struct sim_world *world) {
    struct store_check check = {.world = world};
    struct touched want = {.user = SIM_USER};
    struct user_view view;
    uint32_t known = 0;
    for (uint32_t i = 0; i < SIM_RECORDS; i++)
        known += world->ledger.latest[i] > 0;
    SIM_HOLDS(world, store_load(world->store, NULL, &want, &world->arena, &view) == SYNC_OK,
              "the store does not load");
    SIM_HOLDS(world, view.head.sequence == world->ledger.head.sequence,
              "the store stands at %llu, %llu was durable", (unsigned long long)view.head.sequence,
              (unsigned long long)world->ledger.head.sequence);
    check.next = view.head.log_floor + 1;
    struct scan scan = {.kind = SCAN_LOG, .user = SIM_USER, .after = view.head.log_floor};
    store_scan(world->store, NULL, &scan, store_visit, &check);
    SIM_HOLDS(world, check.next == view.head.sequence + 1, "the store's log has lost its end");
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++) {
        scan = (struct scan){.kind = SCAN_RECORDS, .user = SIM_USER, .type = (enum data_type)type};
        store_scan(world->store, NULL, &scan, store_visit, &check);
    }
    SIM_HOLDS(world, check.records == known, "the store holds %u records of %u", check.records,
              known);
}
