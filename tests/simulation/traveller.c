#include "tests/simulation/traveller.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "service/core/change_result.h"
#include "service/core/record_put.h"
#include "service/store/store.h"
#include "tests/simulation/memory_store.h"
#include "tests/simulation/record_shape.h"

enum {
    DEVICES = 3,
    RECORDS_FIRST = 10,
    RECORDS_MAX = 32,
    QUEUE_MAX = 200,
    SPANS = 6,       /* of each device */
    SPAN_HOURS = 72, /* 1 to 72 */
    SPAN_EDITS = 40, /* 1 to 40 */
    PUT_HOURS = 12,  /* between two writes of services: up to this */
    BYTES_MAX = 1 << 28,
    CONFLICTS_MAX = 512,
};

static const int64_t WALL_US = 1764000000000000, SECOND_US = 1000000, HOUR_US = 3600000000;

/* A record as somebody holds it. */
struct holding {
    bool found, deleted;
    struct slice document;
};

/* A device of the traveller's. */
struct gadget {
    struct slice id;
    int64_t offset_us; /* its clock minus the services' */
    int64_t offline_us, online_us;
    uint64_t acknowledged;
    uint32_t spans;
    struct holding holdings[RECORDS_MAX];
    struct change queue[QUEUE_MAX];
    size_t queued;
};

struct traveller {
    struct sim_random random;
    struct random_source ids;
    struct traveller_sum *sum;
    struct arena arena; /* of all that lives as long as he does */
    struct arena work;  /* of one upload */
    struct store *store;
    struct record_key keys[RECORDS_MAX];
    const struct record_shape *shapes[RECORDS_MAX];
    struct holding holdings[RECORDS_MAX]; /* as the services have them */
    uint32_t record_count;
    struct gadget gadgets[DEVICES];
    int64_t put_us;
    uint32_t changes;
    struct slice open[CONFLICTS_MAX]; /* conflicts that wait */
    size_t open_count;
};

static void must(bool holds) {
    if (!holds)
        abort();
}

static uint32_t pick(struct traveller *traveller, uint32_t below) {
    return sim_pick(&traveller->random, below);
}

static void ids_fill(void *context, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)sim_next(context);
}

static bool lives(const struct holding *holding) {
    return holding->found && !holding->deleted;
}

/* ---- Records */

/* The n-th record: bookings are what travellers look at most. */
static enum data_type type_of(uint32_t number) {
    static const enum data_type TYPES[] = {
        DATA_TYPE_BOOKING,    DATA_TYPE_TRIP, DATA_TYPE_BOOKING, DATA_TYPE_BOOKING,
        DATA_TYPE_PREFERENCE, DATA_TYPE_TRIP, DATA_TYPE_PROFILE, DATA_TYPE_BOOKING};
    return TYPES[number % 8];
}

static uint32_t record_add(struct traveller *traveller) {
    uint32_t number = traveller->record_count++;
    char *id = arena_format(&traveller->arena, "r%u", number);
    must(id != NULL);
    traveller->keys[number] = (struct record_key){type_of(number), slice_text(id)};
    traveller->shapes[number] = record_shape_pick(&traveller->random, type_of(number));
    return number;
}

static uint32_t number_of(const struct record_key *key) {
    uint32_t number = 0;
    for (size_t i = 1; i < key->id.size; i++)
        number = number * 10 + (uint32_t)(key->id.data[i] - '0');
    must(number < RECORDS_MAX);
    return number;
}

static struct slice kept(struct traveller *traveller, struct slice bytes) {
    struct slice copy;
    must(arena_copy(&traveller->arena, bytes, &copy));
    return copy;
}

/* Commits, and notes the records as they are then. */
static void commit(struct traveller *traveller, const struct write_set *set) {
    if (set->record_count + set->log_count + set->settled_count + set->row_count == 0)
        return;
    must(store_commit_wait(traveller->store, set, NULL) == SYNC_OK);
    for (size_t i = 0; i < set->record_count; i++)
        traveller->holdings[number_of(&set->records[i].key)] =
            (struct holding){true, set->records[i].deleted, kept(traveller, set->records[i].data)};
}

/* ---- Services */

static void record_write(struct traveller *traveller, const struct record_put *put,
                         int64_t now_us) {
    struct record_put_batch batch = {.user = SLICE("u"), .puts = put, .count = 1, .now_us = now_us};
    struct touched want;
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record *records;
    must(record_put_touch(&batch, &traveller->work, &want) == SYNC_OK);
    want.user = batch.user;
    must(store_load(traveller->store, NULL, &want, &traveller->work, &view) == SYNC_OK);
    must(record_put_apply(&view, &batch, &traveller->work, &error, &set, &records) == SYNC_OK);
    commit(traveller, &set);
    arena_reset(&traveller->work);
}

/* A service changes a record, withdraws it, or brings it back. */
static void services_put(struct traveller *traveller, int64_t now_us) {
    uint32_t number = sim_pick_zipf(&traveller->random, traveller->record_count);
    bool is_theirs = type_of(number) == DATA_TYPE_BOOKING || type_of(number) == DATA_TYPE_TRIP;
    if (!is_theirs && pick(traveller, 10) > 0)
        return;
    const struct holding *now = &traveller->holdings[number];
    struct record_put put = {.key = traveller->keys[number]};
    if (!lives(now)) {
        if (pick(traveller, 3) > 0)
            return;
        traveller->sum->recreates += now->found;
        put.data = record_shape_document(traveller->shapes[number], &traveller->random, 100,
                                         &traveller->work);
    } else if (pick(traveller, 33) == 0) {
        put.remove = true;
        traveller->sum->deletes++;
    } else {
        struct slice patch = record_shape_patch(traveller->shapes[number], &traveller->random,
                                                EDITOR_SERVICE, &traveller->work);
        must(document_merge_patch(now->document, patch, &traveller->work, &put.data) == SYNC_OK);
    }
    record_write(traveller, &put, now_us);
    traveller->sum->puts++;
}

/* ---- Edits */

/* What the device's own copy is after a change. */
static void holding_change(struct traveller *traveller, struct holding *holding,
                           const struct change *change) {
    holding->found = true;
    holding->deleted = change->kind == CHANGE_DELETE;
    if (change->kind == CHANGE_CREATE)
        holding->document = change->data;
    else if (change->kind == CHANGE_UPDATE)
        must(document_merge_patch(holding->document, change->data, &traveller->arena,
                                  &holding->document) == SYNC_OK);
}

static void edit(struct traveller *traveller, struct gadget *gadget, int64_t at_us) {
    uint32_t number = traveller->record_count < RECORDS_MAX && pick(traveller, 30) == 0
                          ? record_add(traveller)
                          : sim_pick_zipf(&traveller->random, traveller->record_count);
    struct holding *holding = &gadget->holdings[number];
    bool is_new = !holding->found;
    if (gadget->queued == QUEUE_MAX || (!lives(holding) && !is_new && pick(traveller, 2)))
        return;
    struct change *change = &gadget->queue[gadget->queued++];
    *change = (struct change){
        .id = slice_text(arena_format(&traveller->arena, "c%u", traveller->changes++)),
        .kind = !lives(holding)            ? CHANGE_CREATE
                : pick(traveller, 33) == 0 ? CHANGE_DELETE
                                           : CHANGE_UPDATE,
        .type = traveller->keys[number].type,
        .data_id = traveller->keys[number].id,
        .device_us = at_us + gadget->offset_us,
    };
    if (change->kind == CHANGE_CREATE)
        change->data = record_shape_document(traveller->shapes[number], &traveller->random, 100,
                                             &traveller->arena);
    else if (change->kind == CHANGE_UPDATE)
        change->data = record_shape_patch(traveller->shapes[number], &traveller->random,
                                          EDITOR_TRAVELLER, &traveller->arena);
    change_payload_hash(change, change->payload_hash);
    traveller->sum->edits++;
    traveller->sum->deletes += change->kind == CHANGE_DELETE;
    traveller->sum->recreates += change->kind == CHANGE_CREATE && !is_new;
    holding_change(traveller, holding, change);
}

/* ---- Coming online */

/* Notes what waits, and keeps what is blocked for the next time. */
static void upload_results(struct traveller *traveller, struct gadget *gadget,
                           const struct change_result *results) {
    size_t left = 0;
    for (size_t i = 0; i < gadget->queued; i++) {
        if (results[i].outcome == OUTCOME_BLOCKED)
            gadget->queue[left++] = gadget->queue[i];
        traveller->sum->blocked +=
            results[i].outcome == OUTCOME_BLOCKED || results[i].outcome == OUTCOME_HELD;
        traveller->sum->rejected += results[i].outcome == OUTCOME_REJECTED;
        if (results[i].outcome == OUTCOME_CONFLICT && traveller->open_count < CONFLICTS_MAX)
            traveller->open[traveller->open_count++] = kept(traveller, results[i].conflict_id);
    }
    gadget->queued = left;
}

/* Looks at all that was decided without the traveller; `before`: the records before the batch. */
static void decisions_check(struct traveller *traveller, const struct change_batch *batch,
                            const struct change_result *results, const struct holding *before) {
    bool touched[RECORDS_MAX] = {false};
    for (size_t i = 0; i < batch->count; i++) {
        struct record_key key = {batch->changes[i].type, batch->changes[i].data_id};
        uint32_t number = number_of(&key);
        struct slice was = lives(&before[number]) ? before[number].document : SLICE_EMPTY;
        if (results[i].decision_id.size > 0 && !results[i].duplicate)
            settlement_check(&traveller->sum->settlements, traveller->store, batch->user,
                             &batch->changes[i], &results[i], touched[number] ? NULL : &was,
                             &traveller->work);
        touched[number] = true;
    }
}

static void upload(struct traveller *traveller, struct gadget *gadget, int64_t now_us) {
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = gadget->id,
                                 .changes = gadget->queue,
                                 .count = gadget->queued,
                                 .acknowledged = gadget->acknowledged};
    struct batch_context context = {.now_us = now_us,
                                    .clock_offset_us = gadget->offset_us,
                                    .random = &traveller->ids,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MERGE};
    struct touched want;
    struct user_view view;
    struct write_set set;
    struct change_result *results;
    struct holding before[RECORDS_MAX];
    if (gadget->queued == 0)
        return;
    must(change_batch_touch(&batch, &traveller->work, &want) == SYNC_OK);
    want.user = batch.user;
    must(store_load(traveller->store, NULL, &want, &traveller->work, &view) == SYNC_OK);
    must(change_batch_apply(&view, &batch, &context, &traveller->work, &set, &results) == SYNC_OK);
    conflict_count_batch(&traveller->sum->conflicts, &view, &batch, results, &traveller->work);
    memcpy(before, traveller->holdings, sizeof before);
    commit(traveller, &set);
    decisions_check(traveller, &batch, results, before);
    upload_results(traveller, gadget, results);
    traveller->sum->uploads++;
    arena_reset(&traveller->work);
}

/* Notes the conflicts that what was held has come to. */
static void held_results(struct traveller *traveller, const struct conflict *conflict) {
    for (size_t i = 0; i < conflict->held_count; i++) {
        struct change_result result;
        must(change_result_unpack(conflict->held[i].outcome, &traveller->work, &result) == SYNC_OK);
        if (result.outcome == OUTCOME_CONFLICT && traveller->open_count < CONFLICTS_MAX)
            traveller->open[traveller->open_count++] = kept(traveller, result.conflict_id);
    }
}

static void load_row(struct traveller *traveller, struct row *row) {
    struct touched want = {.user = SLICE("u"), .rows = row, .row_count = 1};
    struct user_view view;
    must(store_load(traveller->store, NULL, &want, &traveller->work, &view) == SYNC_OK);
    *row = view.rows[0];
}

/* The traveller decides a conflict: as it is suggested. */
static void resolve_one(struct traveller *traveller, struct slice conflict_id, int64_t now_us) {
    struct row row = {.table = TABLE_CONFLICT, .key = conflict_id}, hold;
    struct batch_context context = {.now_us = now_us,
                                    .random = &traveller->ids,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MERGE};
    struct touched want;
    struct user_view view;
    struct conflict conflict, after;
    struct sync_error error;
    struct write_set set;
    struct record record;
    bool holds;
    load_row(traveller, &row);
    must(conflict_unpack(row.value, &traveller->work, &conflict) == SYNC_OK);
    must(conflict_hold_row(&conflict, &traveller->work, &holds, &hold) == SYNC_OK);
    if (holds)
        load_row(traveller, &hold);
    must(conflict_touch(&conflict, holds ? &hold : NULL, &traveller->work, &want) == SYNC_OK);
    must(store_load(traveller->store, NULL, &want, &traveller->work, &view) == SYNC_OK);
    struct resolution_request request = {
        .resolution = conflict.suggested.size > 0 ? RESOLUTION_MERGE : RESOLUTION_SERVER,
        .merged = conflict.suggested};
    if (conflict_resolve(&view, &conflict, &request, &context, &traveller->work, &error, &set,
                         &after, &record) == SYNC_OK) {
        commit(traveller, &set);
        held_results(traveller, &after);
        traveller->sum->resolved++;
    }
}

static void resolve_all(struct traveller *traveller, int64_t now_us) {
    while (traveller->open_count > 0) {
        resolve_one(traveller, traveller->open[--traveller->open_count], now_us);
        arena_reset(&traveller->work);
    }
}

static void pull(struct traveller *traveller, struct gadget *gadget) {
    struct touched want = {.user = SLICE("u")};
    struct user_view view;
    must(store_load(traveller->store, NULL, &want, &traveller->work, &view) == SYNC_OK);
    gadget->acknowledged = view.head.sequence;
    memcpy(gadget->holdings, traveller->holdings, sizeof gadget->holdings);
    for (size_t i = 0; i < gadget->queued; i++) {
        struct record_key key = {gadget->queue[i].type, gadget->queue[i].data_id};
        struct holding *holding = &gadget->holdings[number_of(&key)];
        if (gadget->queue[i].kind != CHANGE_UPDATE || lives(holding))
            holding_change(traveller, holding, &gadget->queue[i]);
    }
    arena_reset(&traveller->work);
}

static void gadget_leave(struct traveller *traveller, struct gadget *gadget, int64_t now_us) {
    gadget->offline_us = now_us;
    gadget->online_us =
        now_us + HOUR_US * (1 + pick(traveller, SPAN_HOURS)) - SECOND_US * pick(traveller, 3600);
}

/* A span without a network ends: what was edited in it goes up, what others did comes down. */
static void gadget_return(struct traveller *traveller, struct gadget *gadget) {
    uint32_t edits = 1 + pick(traveller, SPAN_EDITS);
    int64_t step_us = (gadget->online_us - gadget->offline_us) / (edits + 1);
    for (uint32_t i = 1; i <= edits; i++)
        edit(traveller, gadget, gadget->offline_us + i * step_us);
    upload(traveller, gadget, gadget->online_us);
    if (pick(traveller, 2))
        resolve_all(traveller, gadget->online_us);
    pull(traveller, gadget);
    gadget->spans++;
    gadget_leave(traveller, gadget, gadget->online_us);
}

/* ---- Days */

/* Ten minutes either way for most, hours for some. */
static int64_t skew_pick(struct traveller *traveller) {
    uint32_t span_s = pick(traveller, 10) == 0 ? 6 * 3600 : 600;
    return ((int64_t)pick(traveller, 2 * span_s) - span_s) * SECOND_US;
}

static void traveller_begin(struct traveller *traveller) {
    static const struct slice IDS[DEVICES] = {SLICE("phone"), SLICE("tablet"), SLICE("laptop")};
    while (traveller->record_count < RECORDS_FIRST) {
        uint32_t number = record_add(traveller);
        struct record_put put = {.key = traveller->keys[number],
                                 .data = record_shape_document(traveller->shapes[number],
                                                               &traveller->random, 100,
                                                               &traveller->work)};
        record_write(traveller, &put, WALL_US);
    }
    for (size_t i = 0; i < DEVICES; i++) {
        struct gadget *gadget = &traveller->gadgets[i];
        gadget->id = IDS[i];
        gadget->offset_us = skew_pick(traveller);
        pull(traveller, gadget);
        gadget_leave(traveller, gadget, WALL_US);
    }
    traveller->put_us = WALL_US;
}

/* Whoever is next does what he does, until all devices have had their spans. */
static void traveller_go_on(struct traveller *traveller) {
    for (;;) {
        struct gadget *next = NULL;
        for (size_t i = 0; i < DEVICES; i++) {
            struct gadget *gadget = &traveller->gadgets[i];
            if (gadget->spans < SPANS && (!next || gadget->online_us < next->online_us))
                next = gadget;
        }
        if (!next)
            return;
        if (traveller->put_us < next->online_us) {
            services_put(traveller, traveller->put_us);
            traveller->put_us +=
                HOUR_US * pick(traveller, PUT_HOURS) + SECOND_US * (1 + pick(traveller, 3600));
        } else {
            gadget_return(traveller, next);
        }
    }
}

bool traveller_live(uint64_t seed, uint64_t number, struct traveller_sum *sum) {
    struct traveller *traveller = memory_zalloc(1, sizeof *traveller);
    if (!traveller)
        return false;
    traveller->random = sim_random_of(seed, number);
    traveller->ids = (struct random_source){ids_fill, &traveller->random};
    traveller->sum = sum;
    arena_init(&traveller->arena, BYTES_MAX);
    arena_init(&traveller->work, BYTES_MAX);
    bool is_open = memory_store_open(1, BYTES_MAX, &traveller->store) == SYNC_OK;
    if (is_open) {
        traveller_begin(traveller);
        traveller_go_on(traveller);
        store_close(traveller->store);
    }
    arena_done(&traveller->arena);
    arena_done(&traveller->work);
    memory_free(traveller);
    return is_open;
}
