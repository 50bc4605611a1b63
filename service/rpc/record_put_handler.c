#include <stdio.h>
#include <stdlib.h>

#include "service/core/document.h"
#include "service/core/record_put.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/messages.h"
#include "service/rpc/record_check.h"

enum { FIELD_TEXT_MAX = 48 };

/* A put on its way; lives in the call's arena. */
struct records_put {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    struct record_put *puts;
    struct record_put_batch batch;
    PB(PutRecordsResponse) response;
    struct sync_error error;
};

/* Makes the answer, to be sent when the set is durable. */
static enum sync_status put_answer(struct records_put *put, const struct record *records,
                                   uint64_t sequence) {
    struct arena *arena = rpc_call_arena(put->call);
    PB(PutRecordsResponse) response = PB_INIT(PUT_RECORDS_RESPONSE);
    response.records = arena_zalloc(arena, put->batch.count, sizeof *response.records);
    response.write_checkpoint = message_cursor(put->write.service, arena, sequence);
    if (!response.records || !response.write_checkpoint)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < put->batch.count; i++) {
        response.records[i] = message_record(arena, &records[i], false);
        if (!response.records[i])
            return SYNC_ERR_NO_MEMORY;
    }
    response.n_records = put->batch.count;
    put->response = response;
    return SYNC_OK;
}

static enum sync_status put_apply(struct lane_write *write, struct write_set *ret_set) {
    struct records_put *put = (struct records_put *)write;
    struct arena *arena = rpc_call_arena(put->call);
    put->batch.now_us = (int64_t)clock_now_us(write->service->clock);
    struct touched want = {0};
    enum sync_status status = record_put_touch(&put->batch, arena, &want);
    if (status != SYNC_OK)
        return status;
    want.user = put->batch.user;
    struct user_view view;
    status = store_load(write->service->store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    struct record *records;
    status = record_put_apply(&view, &put->batch, arena, &put->error, ret_set, &records);
    if (status != SYNC_OK)
        return status;
    return put_answer(put, records,
                      ret_set->log_count > 0 ? ret_set->head.sequence : view.head.sequence);
}

static void put_finish(struct lane_write *write, enum sync_status status) {
    struct records_put *put = (struct records_put *)write;
    if (status == SYNC_OK)
        record_service_put_records_reply(put->call, &put->response);
    else if (put->error.status == status)
        rpc_call_fail(put->call, &put->error);
    else
        call_fail_status(put->call, status);
}

/* Checks one record and takes it over. */
static void put_check_record(struct records_put *put, const PB(RecordPut) *message, size_t index,
                             struct violations *violations) {
    struct record_put *record = &put->puts[index];
    char field[FIELD_TEXT_MAX];
    record_check_key(violations, "records", index, (int)message->data_type, message->data_id);
    record->key =
        (struct record_key){(enum data_type)message->data_type, slice_text(message->data_id)};
    record->base_version = (uint64_t)message->base_version;
    if (message->base_version < 0) {
        snprintf(field, sizeof field, "records[%zu].baseVersion", index);
        violations_add(violations, field, "OUT_OF_RANGE", "must not be negative");
    }
    record->remove = message->data_presence_case == 0;
    if (record->remove)
        return;
    struct slice data = slice_of(message->data.data, message->data.len);
    snprintf(field, sizeof field, "records[%zu].data", index);
    if (data.size > CHANGE_DATA_MAX) {
        violations_add(violations, field, "TOO_LARGE", "must have at most %d bytes, has %zu",
                       CHANGE_DATA_MAX, data.size);
        return;
    }
    struct sync_error error = {0};
    enum sync_status status = document_normalize(data, violations->arena, &error, &record->data);
    if (status == SYNC_ERR_NO_MEMORY) {
        violations->no_memory = true;
    } else if (status != SYNC_OK) {
        sync_error_prefix(&error, "%s", field);
        violations_add_error(violations, &error, "INVALID_VALUE");
    }
}

static int key_compare(const struct record_put *a, const struct record_put *b) {
    if (a->key.type != b->key.type)
        return a->key.type < b->key.type ? -1 : 1;
    return slice_compare(a->key.id, b->key.id);
}

static int key_compare_indirect(const void *a, const void *b) {
    return key_compare(*(const struct record_put *const *)a, *(const struct record_put *const *)b);
}

/* A record may be put once in a request. */
static void put_check_unique(struct records_put *put, struct violations *violations) {
    size_t count = put->batch.count;
    const struct record_put **sorted = arena_zalloc(violations->arena, count, sizeof *sorted);
    if (!sorted) {
        violations->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        sorted[i] = &put->puts[i];
    qsort(sorted, count, sizeof *sorted, key_compare_indirect);
    for (size_t i = 1; i < count; i++) {
        if (key_compare(sorted[i - 1], sorted[i]) != 0)
            continue;
        const struct record_put *later = sorted[i - 1] > sorted[i] ? sorted[i - 1] : sorted[i];
        char field[FIELD_TEXT_MAX];
        snprintf(field, sizeof field, "records[%zu].dataId", (size_t)(later - put->puts));
        violations_add(violations, field, "DUPLICATE", "names a record that is put twice");
    }
}

/* Checks the request; false when the call has ended over it. */
static bool put_check(struct records_put *put, const PB(PutRecordsRequest) *request) {
    struct violations violations;
    violations_init(&violations, rpc_call_arena(put->call), rpc_call_faults(put->call));
    record_check_user(&violations, request->user_id);
    record_check_count(&violations, "records", request->n_records);
    put->batch = (struct record_put_batch){.user = slice_text(request->user_id),
                                           .count = request->n_records,
                                           .request_id = slice_text(request->request_id)};
    if (put->batch.request_id.size > 0 && !change_id_is_valid(put->batch.request_id))
        violations_add(&violations, "requestId", "INVALID_FORMAT",
                       "must be at most %d bytes without control characters", CHANGE_ID_MAX);
    if (request->n_records > 0 && request->n_records <= RECORD_KEYS_MAX) {
        put->puts = arena_zalloc(rpc_call_arena(put->call), request->n_records, sizeof *put->puts);
        put->batch.puts = put->puts;
        if (!put->puts)
            violations.no_memory = true;
        for (size_t i = 0; put->puts && i < request->n_records; i++)
            put_check_record(put, request->records[i], i, &violations);
        if (put->puts)
            put_check_unique(put, &violations);
    }
    return !violations_end(&violations, put->call);
}

void records_put_handle(struct rpc_call *call) {
    PB(PutRecordsRequest) *request = record_service_put_records_unpack(call);
    if (!request)
        return;
    struct records_put *put = arena_zalloc(rpc_call_arena(call), 1, sizeof *put);
    if (!put) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    put->call = call;
    if (!put_check(put, request))
        return;
    put->write = (struct lane_write){.service = rpc_call_service(call),
                                     .lane = put->batch.user,
                                     .apply = put_apply,
                                     .finish = put_finish};
    lane_write_start(&put->write);
}
