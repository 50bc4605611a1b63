#include "service/core/change_batch.h"

#include <assert.h>

#include "base/sha256.h"
#include "service/core/change_result.h"
#include "service/core/change_work.h"
#include "service/core/conflict_hold.h"
#include "service/core/hybrid_clock.h"

enum { HASHED_OPERATIONS = 0x80 /* beside the kind: what is hashed is not data */ };

/* A record's key as bytes: the type, then the id. */
static bool key_bytes(struct arena *arena, enum data_type type, struct slice id,
                      struct slice *ret_key) {
    uint8_t *key = arena_alloc(arena, 1 + id.size);
    if (!key)
        return false;
    key[0] = (uint8_t)type;
    if (id.size > 0)
        memcpy(key + 1, id.data, id.size);
    *ret_key = slice_of(key, 1 + id.size);
    return true;
}

enum sync_status change_records_number(const struct change_batch *batch, struct arena *arena,
                                       size_t **ret_record_of, size_t *ret_record_count) {
    struct slice_index index;
    size_t *record_of = arena_alloc(arena, batch->count * sizeof *record_of);
    size_t count = 0;
    if (!record_of || !slice_index_init(&index, arena, batch->count))
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < batch->count; i++) {
        struct slice key;
        if (!key_bytes(arena, batch->changes[i].type, batch->changes[i].data_id, &key))
            return SYNC_ERR_NO_MEMORY;
        record_of[i] = slice_index_add(&index, key, count);
        count += record_of[i] == count;
    }
    *ret_record_of = record_of;
    *ret_record_count = count;
    return SYNC_OK;
}

/* The record wants of a batch. Only the first change of a record asks for its history, after the
 * lowest base of them all; or, unless one says its base or creates the record, no further than to
 * where the device knew it last. */
static void fill_wants(const struct change_batch *batch, const size_t *record_of,
                       struct record_want **first_of, struct record_want *wants) {
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];
        bool is_old = change->device_us < batch->forgotten_device_us;
        uint64_t base = change->base_version > 0 ? change->base_version
                        : is_old                 ? 0
                                                 : batch->acknowledged;
        struct record_want *first = first_of[record_of[i]];
        wants[i] = (struct record_want){.key = {change->type, change->data_id}};
        if (!first) {
            first = first_of[record_of[i]] = &wants[i];
            first->history = true;
            first->history_after = base;
            first->history_of = batch->device;
        }
        if (base < first->history_after)
            first->history_after = base;
        if (change->kind == CHANGE_CREATE || change->base_version > 0)
            first->history_of = SLICE_EMPTY;
    }
}

/* The rows of what is held back: of the distinct records, in the order of their numbers. */
static enum sync_status fill_holds(const struct change_batch *batch, const size_t *record_of,
                                   struct arena *arena, struct row *rows) {
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; !status && i < batch->count; i++) {
        struct row *row = &rows[record_of[i]];
        struct record_key key = {batch->changes[i].type, batch->changes[i].data_id};
        if (row->key.size > 0)
            continue;
        *row = (struct row){.table = TABLE_CONFLICT_HOLD, .if_conflicts = true};
        status = conflict_hold_key(batch->user, batch->device, &key, arena, &row->key);
    }
    return status;
}

enum sync_status change_batch_touch(const struct change_batch *batch, struct arena *arena,
                                    struct touched *ret_touched) {
    assert(batch && arena);
    assert(ret_touched);
    size_t *record_of, record_count;
    enum sync_status status = change_records_number(batch, arena, &record_of, &record_count);
    if (status)
        return status;
    struct record_want *wants = arena_alloc(arena, batch->count * sizeof *wants);
    struct change_want *changes = arena_alloc(arena, batch->count * sizeof *changes);
    struct record_want **first_of = arena_zalloc(arena, record_count, sizeof *first_of);
    struct row *holds = arena_zalloc(arena, record_count, sizeof *holds);
    if (!wants || !changes || !first_of || !holds)
        return SYNC_ERR_NO_MEMORY;
    if (batch->device.size > 0)
        status = fill_holds(batch, record_of, arena, holds);
    if (status)
        return status;
    fill_wants(batch, record_of, first_of, wants);
    for (size_t i = 0; i < batch->count; i++)
        changes[i] = (struct change_want){batch->device, batch->changes[i].id};
    *ret_touched = (struct touched){
        .user = batch->user,
        .records = wants,
        .record_count = batch->count,
        .changes = changes,
        .change_count = batch->count,
        .rows = holds,
        .row_count = batch->device.size > 0 ? record_count : 0,
    };
    return SYNC_OK;
}

void change_payload_hash(const struct change *change, uint8_t ret_hash[PAYLOAD_HASH_SIZE]) {
    assert(change);
    uint8_t head[2 + 4 + 8 + 8], digest[SHA256_SIZE];
    struct slice id = change->data_id_made ? SLICE_EMPTY : change->data_id;
    const uint64_t numbers[] = {change->base_version, (uint64_t)change->device_us};
    bool has_operations = change->operations.size > 0;
    head[0] = (uint8_t)(change->kind | (has_operations ? HASHED_OPERATIONS : 0));
    head[1] = (uint8_t)change->type;
    for (int i = 0; i < 4; i++)
        head[2 + i] = (uint8_t)(id.size >> (24 - 8 * i));
    for (int i = 0; i < 16; i++)
        head[6 + i] = (uint8_t)(numbers[i / 8] >> (56 - 8 * (i % 8)));
    struct sha256 sha;
    sha256_init(&sha);
    sha256_update(&sha, slice_of(head, sizeof head));
    sha256_update(&sha, id);
    sha256_update(&sha, has_operations ? change->operations : change->data);
    sha256_final(&sha, digest);
    memcpy(ret_hash, digest, PAYLOAD_HASH_SIZE);
}

void change_reject(struct change_result *result, const char *reason, struct slice field,
                   struct slice message) {
    result->outcome = OUTCOME_REJECTED;
    result->version = 0;
    result->reason = reason;
    result->field = field;
    result->message = message;
}

void change_reject_too_large(struct change_result *result, struct slice field) {
    change_reject(result, "TOO_LARGE", field, SLICE("The record would be larger than 256 KiB."));
}

/* What a stored or earlier result means for one that has the same id. */
static void result_repeat(struct change_result *result, const struct change_result *first) {
    struct slice id = result->change_id;
    *result = *first;
    result->change_id = id;
    result->has_document = false;
    result->duplicate = true;
}

void change_result_reuse(struct change_result *result) {
    change_reject(result, REASON_ID_REUSED, SLICE("id"),
                  SLICE("The device sent another change under this id before."));
}

/* Answers a change whose id is known. `ret_known` tells whether it was. */
static enum sync_status change_recall(struct change_work *work, size_t i, bool *ret_known) {
    const struct change *change = &work->batch->changes[i];
    const struct settled_view *stored = &work->view->changes[i];
    struct change_result *result = &work->results[i], first;
    size_t earlier = slice_index_add(&work->seen, change->id, i);
    *ret_known = true;
    if (earlier != i) {
        const struct change *other = &work->batch->changes[earlier];
        if (memcmp(other->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE) == 0)
            result_repeat(result, &work->results[earlier]);
        else
            change_result_reuse(result);
        return SYNC_OK;
    }
    *ret_known = stored->found;
    if (!stored->found)
        return SYNC_OK;
    if (memcmp(stored->settled.payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE) != 0) {
        change_result_reuse(result);
        return SYNC_OK;
    }
    enum sync_status status = change_result_unpack(stored->settled.outcome, work->arena, &first);
    if (!status)
        result_repeat(result, &first);
    return status;
}

/* Tells whether a rejection may be another the next time. */
static bool result_is_passing(const struct change_result *result) {
    return result->outcome == OUTCOME_REJECTED &&
           strcmp(result->reason, REASON_CONFLICTS_EXHAUSTED) == 0;
}

/* Keeps the outcome for when the change is sent again, unless it is a passing one. */
static enum sync_status change_settle(struct change_work *work, const struct change *change,
                                      const struct change_result *result) {
    if (result_is_passing(result))
        return SYNC_OK;
    struct settled settled = {.device = work->batch->device, .change_id = change->id};
    memcpy(settled.payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE);
    enum sync_status status = change_result_pack(result, work->arena, &settled.outcome);
    if (!status)
        work->build.settled[work->build.settled_count++] = settled;
    return status;
}

/* A change behind one that cannot go on; it is not kept. */
static enum sync_status result_block(struct change_work *work, const struct change_record *record,
                                     struct change_result *result) {
    bool is_full = record->hold.id_count > 0;
    const struct slice id = is_full ? conflict_hold_first(&record->hold) : record->blocked_by;
    const char *message = arena_format(work->arena,
                                       is_full ? "No more can wait behind the conflict \"%.*s\"."
                                               : "It waits behind the change \"%.*s\".",
                                       (int)id.size, (const char *)id.data);
    if (!message)
        return SYNC_ERR_NO_MEMORY;
    change_reject(result, is_full ? "HELD_EXHAUSTED" : "BLOCKED_BY", SLICE_EMPTY,
                  slice_text(message));
    result->outcome = OUTCOME_BLOCKED;
    result->version = record->state.record.version;
    return SYNC_OK;
}

static void result_tell_held(const struct change_record *record, struct change_result *result) {
    result->outcome = OUTCOME_HELD;
    result->version = record->state.record.version;
    result->conflict_id = conflict_hold_latest(&record->hold);
}

/* Answers a change that waits for the user, and whose outcome is forgotten. False: it does not. */
static bool change_recall_open(const struct change_record *record, const struct change *change,
                               struct change_result *result) {
    static const uint8_t UNKNOWN[PAYLOAD_HASH_SIZE];
    const struct hold_cause *cause;
    struct slice conflict_id = conflict_hold_of(&record->hold, change->id, &cause);
    if (conflict_id.size == 0)
        return false;
    if (memcmp(cause->payload_hash, UNKNOWN, PAYLOAD_HASH_SIZE) != 0 &&
        memcmp(cause->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE) != 0) {
        change_result_reuse(result);
        return true;
    }
    result->outcome = OUTCOME_CONFLICT;
    result->version = record->state.record.version;
    result->conflict_id = conflict_id;
    result->duplicate = true;
    return true;
}

/* Answers a change that is held already. False: it is not. */
static bool change_recall_held(const struct change_record *record, const struct change *change,
                               struct change_result *result) {
    const struct held_change *held = conflict_hold_find(&record->hold, change->id);
    if (!held)
        return false;
    if (memcmp(held->change.payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE) != 0) {
        change_result_reuse(result);
        return true;
    }
    result_tell_held(record, result);
    result->duplicate = true;
    return true;
}

/* Keeps a change that is behind a conflict of its device, if it can. */
static enum sync_status change_wait(struct change_work *work, struct change_record *record,
                                    const struct change *change, struct change_result *result) {
    struct change based = *change;
    if (record->hold.id_count == 0)
        return result_block(work, record, result);
    based.base_version = change_base_sequence(work, record, change);
    enum sync_status status = conflict_hold_add(&record->hold, &work->build.head, &based,
                                                change_time(work, change), work->arena);
    if (status == SYNC_ERR_EXHAUSTED)
        return result_block(work, record, result);
    if (!status)
        result_tell_held(record, result);
    return status;
}

/* A change of a record that a rejected one was to make. */
static enum sync_status result_reject_dependent(struct change_work *work,
                                                const struct change_record *record,
                                                struct change_result *result) {
    const struct slice id = record->blocked_by;
    const char *message = arena_format(
        work->arena, "The change \"%.*s\", which was to make the record, was rejected.",
        (int)id.size, (const char *)id.data);
    if (!message)
        return SYNC_ERR_NO_MEMORY;
    change_reject(result, "CREATE_REJECTED", SLICE_EMPTY, slice_text(message));
    return SYNC_OK;
}

/* Holds later changes of the same record up, when they cannot go before this one is dealt with.
 * What a device's conflict from before holds up, its row says; services have none, so theirs holds
 * as long as any is open. */
static void record_block(const struct change_work *work, struct change_record *record,
                         const struct change *change, const struct change_result *result) {
    bool is_unmade = result->outcome == OUTCOME_REJECTED && change->kind == CHANGE_CREATE;
    bool holds_still =
        record->hold.key.size > 0 ? record->hold.id_count > 0 : work->build.head.conflicts_open > 0;
    bool waits = result->outcome == OUTCOME_CONFLICT && (!result->duplicate || holds_still);
    if (record->blocked_by.size > 0 || (!is_unmade && !waits))
        return;
    record->blocked_by = change->id;
    record->is_unmade = is_unmade && !result_is_passing(result);
}

/* It would hide what others changed; a device that means it holds another store's data. */
static bool change_is_ahead(const struct change_work *work, const struct change *change) {
    return change->base_version > work->view->head.sequence;
}

enum sync_status change_try(struct change_work *work, struct change_record *record,
                            const struct change *change, struct change_result *result) {
    assert(work && record && change && result);
    enum sync_status status = SYNC_OK;
    if (change_is_ahead(work, change))
        change_reject(result, "BASE_VERSION_AHEAD", SLICE("baseVersion"),
                      SLICE("No record of the user has had this version yet."));
    else if (record->is_unmade)
        status = result_reject_dependent(work, record, result);
    else
        status = change_apply(work, record, change, result);
    result->has_document = result->outcome <= OUTCOME_MERGED && record_state_lives(&record->state);
    if (result->has_document)
        result->document = record->state.record.data;
    if (!status)
        status = change_settle(work, change, result);
    if (!status)
        record_block(work, record, change, result);
    return status;
}

/* Whether a change cannot be tried yet. One that is ahead is refused at once: later that could not
 * be told. */
static bool change_must_wait(const struct change_work *work, const struct change_record *record,
                             const struct change *change) {
    bool is_behind =
        record->hold.id_count > 0 || (record->blocked_by.size > 0 && !record->is_unmade);
    return is_behind && !change_is_ahead(work, change);
}

/* Finds the outcome of the batch's change `i`. */
static enum sync_status change_take(struct change_work *work, size_t i) {
    const struct change *change = &work->batch->changes[i];
    struct change_record *record = &work->records[work->record_of[i]];
    struct change_result *result = &work->results[i];
    bool known;
    *result = (struct change_result){
        .change_id = change->id, .type = change->type, .data_id = change->data_id};
    enum sync_status status = change_recall(work, i, &known);
    if (status)
        return status;
    if (known)
        record_block(work, record, change, result);
    else if (!change_recall_open(record, change, result) &&
             !change_recall_held(record, change, result))
        status = change_must_wait(work, record, change) ? change_wait(work, record, change, result)
                                                        : change_try(work, record, change, result);
    return status;
}

/* The records as loaded. */
static enum sync_status records_open(struct change_work *work) {
    enum sync_status status = SYNC_OK;
    for (size_t i = work->batch->count; i-- > 0;)
        work->records[work->record_of[i]].view = &work->view->records[i];
    for (size_t i = 0; !status && i < work->batch->count; i++) {
        const struct change *change = &work->batch->changes[i];
        struct change_record *record = &work->records[work->record_of[i]];
        if (record->view != &work->view->records[i])
            continue;
        record->state.found = record->view->found;
        if (record->view->found)
            record->state.record = record->view->record;
        record->state.record.key = (struct record_key){change->type, change->data_id};
        if (work->batch->device.size > 0)
            status = conflict_hold_open(&work->view->rows[work->record_of[i]],
                                        &record->state.record.key, work->arena, &record->hold);
        change_record_scan(work, record);
    }
    return status;
}

/* Corrects the times of the changes. Their order is known whatever the clock did meanwhile: none
 * was made before those that the batch has before it. */
static bool times_correct(struct change_work *work) {
    const struct change_batch *batch = work->batch;
    const struct batch_context *context = work->context;
    work->times = arena_alloc(work->arena, batch->count * sizeof *work->times);
    if (!work->times)
        return false;
    for (size_t i = 0; i < batch->count; i++) {
        work->times[i] = hybrid_clock_correct(batch->changes[i].device_us, context->clock_offset_us,
                                              context->now_us);
        if (i > 0 && work->times[i] < work->times[i - 1])
            work->times[i] = work->times[i - 1];
    }
    return true;
}

static enum sync_status work_open(struct change_work *work) {
    const struct change_batch *batch = work->batch;
    enum sync_status status =
        change_records_number(batch, work->arena, &work->record_of, &work->record_count);
    if (status)
        return status;
    work->records = arena_zalloc(work->arena, work->record_count, sizeof *work->records);
    work->own_before = arena_alloc(work->arena, batch->count * sizeof *work->own_before);
    work->results = arena_alloc(work->arena, batch->count * sizeof *work->results);
    if (!work->records || !work->own_before || !work->results || !times_correct(work) ||
        !slice_index_init(&work->seen, work->arena, batch->count))
        return SYNC_ERR_NO_MEMORY;
    return records_open(work);
}

enum sync_status change_batch_apply(const struct user_view *view, const struct change_batch *batch,
                                    const struct batch_context *context, struct arena *arena,
                                    struct write_set *ret_set, struct change_result **ret_results) {
    assert(view && batch && context && context->policies && context->random);
    assert(batch->count <= BATCH_CHANGES_MAX);
    assert(arena && ret_set && ret_results);
    struct change_work work = {.batch = batch, .context = context, .view = view, .arena = arena};
    enum sync_status status =
        write_build_init(&work.build, batch->user, &view->head, batch->count, arena);
    if (!status)
        status = work_open(&work);
    for (size_t i = 0; !status && i < batch->count; i++)
        status = change_take(&work, i);
    for (size_t i = 0; !status && i < work.record_count; i++)
        status = conflict_hold_write(&work.build, &work.records[i].hold);
    if (!status)
        status = write_build_finish(&work.build, &work.records->state, work.record_count,
                                    sizeof *work.records, ret_set);
    if (!status)
        *ret_results = work.results;
    write_build_done(&work.build);
    return status;
}
