#include <stdio.h>
#include <stdlib.h>

#include "tests/service/core/session_world.h"

/* ---- The data */

enum data_type world_type(uint32_t record) {
    return (enum data_type)(DATA_TYPE_FIRST + (int)(record % 4));
}

struct checksum world_element(uint32_t record, uint32_t value) {
    uint64_t key[2] = {record, value};
    return (struct checksum){.high = slice_hash(slice_of(key, sizeof key), 1),
                             .low = slice_hash(slice_of(key, sizeof key), 2)};
}

struct world_record world_record_at(const struct world_store *store, uint32_t record,
                                    uint64_t sequence) {
    for (uint64_t at = sequence; at > 0; at--)
        if (store->log[at].record == record)
            return (struct world_record){.exists = true,
                                         .is_deleted = store->log[at].is_deleted,
                                         .version = at,
                                         .value = store->log[at].value};
    return (struct world_record){0};
}

/* Elements are summed without a carry between the halves: it is only to be told apart. */
struct checksum world_checksum_at(const struct world_store *store, uint64_t sequence) {
    struct checksum sum = {0};
    for (uint32_t i = 0; i < WORLD_RECORDS; i++) {
        struct world_record record = world_record_at(store, i, sequence);
        struct checksum element = world_element(i, record.value);
        if (record.exists && !record.is_deleted) {
            sum.high += element.high;
            sum.low += element.low;
        }
    }
    return sum;
}

void world_commit(struct world *world, struct world_entry entry) {
    WORLD_HOLDS(world->store.head + 1 < WORLD_LOG_MAX);
    world->store.log[++world->store.head] = entry;
}

/* ---- Pages. The rank is by the value, so that a change moves a record in the order. */

static uint64_t rank_of(const struct world_record *record) {
    return record->is_deleted ? 0 : record->value % 7;
}

/* Whether the record lies behind the lap's place. */
static bool is_behind(const struct lap_cursor *lap, uint32_t index,
                      const struct world_record *record) {
    char id[8];
    if (lap->id_size == 0)
        return true;
    if (rank_of(record) != lap->rank)
        return rank_of(record) > lap->rank;
    if (world_type(index) != lap->type)
        return world_type(index) > lap->type;
    int size = snprintf(id, sizeof id, "r%02u", index);
    return slice_compare(slice_of(id, (size_t)size), slice_of(lap->id, lap->id_size)) > 0;
}

/* The next record of the lap, or WORLD_RECORDS; counts those that are left. */
static uint32_t next_of_lap(const struct world *world, const struct lap_cursor *lap,
                            data_type_set types, uint64_t *ret_left) {
    uint32_t best = WORLD_RECORDS;
    struct world_record best_record = {0};
    *ret_left = 0;
    for (uint32_t i = 0; i < WORLD_RECORDS; i++) {
        struct world_record record = world_record_at(&world->store, i, world->store.head);
        bool is_new = record.version > lap->target || record.version <= lap->from;
        if (!record.exists || is_new || !data_type_in(types, world_type(i)) ||
            (!lap->has_from && record.is_deleted) || !is_behind(lap, i, &record))
            continue;
        ++*ret_left;
        uint64_t rank = rank_of(&record), best_rank = rank_of(&best_record);
        bool is_first = best == WORLD_RECORDS || rank < best_rank ||
                        (rank == best_rank && (world_type(i) < world_type(best) ||
                                               (world_type(i) == world_type(best) && i < best)));
        if (is_first) {
            best = i;
            best_record = record;
        }
    }
    return best;
}

static void put_record(struct world *world, struct world_answer *made, uint32_t index,
                       struct lap_cursor *lap) {
    struct world_record record = world_record_at(&world->store, index, world->store.head);
    size_t at = made->answer.page.count++;
    PB(Record) *message = &made->records[at];
    travelsense__sync__v1__record__init(message);
    int size = snprintf(made->ids[at], sizeof made->ids[at], "r%02u", index);
    message->data_type = (PB(DataType))world_type(index);
    message->data_id = made->ids[at];
    message->version = (int64_t)record.version;
    message->deleted = record.is_deleted;
    if (!record.is_deleted) {
        memcpy(made->data[at], &record.value, sizeof record.value);
        message->data_presence_case = TRAVELSENSE__SYNC__V1__RECORD__DATA_PRESENCE_DATA;
        message->data = (ProtobufCBinaryData){4 + record.value % 97, made->data[at]};
    }
    made->record_list[at] = message;
    made->answer.page.bytes += message->data.len;
    lap->rank = rank_of(&record);
    lap->type = world_type(index);
    lap->id_size = (uint16_t)size;
    memset(lap->id, 0, sizeof lap->id);
    memcpy(lap->id, made->ids[at], (size_t)size);
}

static void make_page(struct world *world, const struct session_page_want *want,
                      struct world_answer *made) {
    struct session_answer *answer = &made->answer;
    struct world_store *store = &world->store;
    struct lap_cursor lap = want->lap;
    uint64_t left, bytes = 0;
    if (want->lap.has_from && want->lap.from < store->floor) {
        sync_error_set(&answer->error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL, "trimmed");
        return;
    }
    if (want->begins) {
        WORLD_HOLDS(lap.id_size == 0 && lap.target == 0);
        lap.target = store->head;
        lap.rank_us = (int64_t)world_pick(world, 1000);
    }
    if (want->begins || store->head == lap.target)
        world->lap_checksum = world_checksum_at(store, lap.target);
    world->lap_is_exact = (want->begins || world->lap_is_exact) && store->head == lap.target;
    uint32_t records_max = want->records_max < 6 ? want->records_max : 6, next;
    while ((next = next_of_lap(world, &lap, want->types, &left)) < WORLD_RECORDS &&
           answer->page.count < records_max && (bytes < want->bytes_max || bytes == 0)) {
        put_record(world, made, next, &lap);
        bytes = answer->page.bytes;
    }
    answer->page.ends = next == WORLD_RECORDS;
    answer->page.records = made->record_list;
    answer->page.lap = lap;
    answer->page.is_exact = world->lap_is_exact || store->head == lap.target;
    answer->page.records_left = left;
    answer->page.bytes_left = left * 50;
    answer->page.head = store->head;
    answer->page.checksum = world->lap_checksum;
}

/* ---- Batches */

/* Applies one change, or finds that it was; now and then the result is not what was sent. */
static void apply_change(struct world *world, const PB(Change) *change, struct world_answer *made,
                         size_t at) {
    uint64_t *settled = &world->store.settled[strtoul(change->id + 1, NULL, 10)];
    PB(ChangeResult) *result = &made->results[at];
    travelsense__sync__v1__change_result__init(result);
    result->change_id = change->id;
    result->duplicate = *settled > 0;
    if (!result->duplicate) {
        struct world_entry entry = {
            .record = (uint32_t)strtoul(change->data_id + 1, NULL, 10),
            .is_deleted = change->type == TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_DELETE};
        memcpy(&entry.value, change->data.data, change->data.len);
        if (world_pick(world, 10) == 0) {
            entry.value++;
            made->answer.apply.as_sent = false;
        }
        world_commit(world, entry);
        *settled = world->store.head;
    } else {
        made->answer.apply.as_sent = false;
        world->duplicates++;
    }
    result->version = (int64_t)*settled;
    if (world_pick(world, 12) == 0) {
        snprintf(made->conflict_ids[at], sizeof made->conflict_ids[at], "k%s", change->id);
        result->conflict_id = made->conflict_ids[at];
    }
    made->result_list[at] = result;
}

static void make_apply(struct world *world, const PB(SyncBatch) *batch, struct world_answer *made) {
    struct session_answer *answer = &made->answer;
    if (world_pick(world, 12) == 0) {
        sync_error_set(&answer->error, SYNC_ERR_BUSY, "BUSY", NULL, "try again");
        return;
    }
    answer->apply.as_sent = true;
    answer->apply.before = world->store.head;
    for (size_t i = 0; i < batch->n_changes; i++)
        apply_change(world, batch->changes[i], made, i);
    answer->apply.results = made->result_list;
    answer->apply.count = batch->n_changes;
    answer->apply.after = world->store.head;
    answer->apply.checksum = world_checksum_at(&world->store, world->store.head);
}

void world_make_answer(struct world *world, enum session_request_kind kind) {
    static PB(Conflict) conflict;
    const struct session_request *request = world->asked[kind];
    struct world_answer *made = &world->answers[kind];
    WORLD_HOLDS(request && !made->is_made);
    memset(made, 0, sizeof *made);
    made->is_made = true;
    made->answer.kind = kind;
    switch (kind) {
    case SESSION_OPEN:
        made->answer.open.sync_id = SLICE("sync");
        made->answer.open.epoch = WORLD_EPOCH;
        made->answer.open.head = world->store.head;
        made->answer.open.bandwidth_limit = world->bandwidth_limit;
        made->answer.open.record_count = WORLD_RECORDS;
        made->answer.open.data_bytes = WORLD_RECORDS * 50;
        break;
    case SESSION_APPLY:
        make_apply(world, request->apply.batch, made);
        break;
    case SESSION_PAGE:
        make_page(world, &request->page, made);
        break;
    case SESSION_CONFLICT:
        travelsense__sync__v1__conflict__init(&conflict);
        made->answer.conflict = world_pick(world, 4) ? &conflict : NULL;
        break;
    case SESSION_TOKEN:
        made->answer.token_expires_us = world->now.wall_us + 120 * INT64_C(1000000);
        if (world_pick(world, 8) == 0)
            sync_error_set(&made->answer.error, SYNC_ERR_UNAUTHENTICATED, "BAD", NULL, "bad");
        break;
    case SESSION_ACKNOWLEDGE:
        WORLD_HOLDS(request->acknowledged <= world->store.head);
        break;
    case SESSION_REPORT:
        WORLD_HOLDS(request->report.percent >= 0 && request->report.percent <= 100);
        break;
    case SESSION_REQUEST_KINDS:
        abort();
    }
}
