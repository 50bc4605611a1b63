#include "service/rpc/quarantine.h"

#include "service/queue/job_row.h"
#include "service/rpc/change_job.h"
#include "service/rpc/parked.h"
#include "service/rpc/sync_job.h"

bool quarantined_read(enum table table, struct slice key, struct slice value,
                      struct quarantined *ret_entry) {
    struct quarantined entry = {.rests = table == TABLE_QUARANTINE};
    enum sync_status status = job_row_read(table, key, value, &entry.job, &entry.error);
    if (status != SYNC_OK && entry.rests) {
        /* It can be discarded all the same. */
        entry = (struct quarantined){.rests = true, .job = {.id = key}};
        sync_error_of(&entry.error, status);
    } else if (status != SYNC_OK || entry.error.status == SYNC_OK) {
        return false;
    }
    *ret_entry = entry;
    return true;
}

/* A look for a job among those that wait. */
struct job_look {
    struct slice id;
    struct arena *arena;
    size_t seen;
    bool found, no_memory;
    struct row row;
};

static bool job_look_visit(void *context, const struct scan_item *item) {
    struct job_look *look = context;
    struct slice key = item->row->key;
    if (key.size > look->id.size &&
        slice_equal(slice_after(key, key.size - look->id.size), look->id)) {
        look->found = arena_copy(look->arena, key, &look->row.key) &&
                      arena_copy(look->arena, item->row->value, &look->row.value);
        look->no_memory = !look->found;
        return false;
    }
    return ++look->seen < QUARANTINE_LOOK_MAX;
}

static enum sync_status job_look(struct service *service, struct slice job_id, struct arena *arena,
                                 struct quarantined *ret_entry) {
    struct row wanted = {.table = TABLE_QUARANTINE, .key = job_id};
    struct touched want = {.rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(service->store, NULL, &want, arena, &view);
    if (status != SYNC_OK)
        return status;
    if (view.rows[0].found)
        return quarantined_read(TABLE_QUARANTINE, job_id, view.rows[0].value, ret_entry)
                   ? SYNC_OK
                   : SYNC_ERR_NOT_FOUND;
    struct job_look look = {.id = job_id, .arena = arena};
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_JOB, .with_damaged = true};
    status = store_scan(service->store, NULL, &scan, job_look_visit, &look);
    if (status != SYNC_OK || look.no_memory)
        return status != SYNC_OK ? status : SYNC_ERR_NO_MEMORY;
    return look.found && quarantined_read(TABLE_JOB, look.row.key, look.row.value, ret_entry)
               ? SYNC_OK
               : SYNC_ERR_NOT_FOUND;
}

enum sync_status quarantined_load(struct service *service, struct slice job_id,
                                  const struct identity *caller, struct arena *arena,
                                  struct sync_error *error, struct quarantined *ret_entry) {
    struct quarantined entry = {.rests = false};
    enum sync_status status = job_look(service, job_id, arena, &entry);
    if (status == SYNC_ERR_NOT_FOUND)
        return sync_error_set(error, status, "JOB_NOT_FOUND", NULL,
                              "there is no job of this id that has failed");
    if (status != SYNC_OK)
        return sync_error_of(error, status);
    if (!caller->is_service && !slice_equal(entry.job.user, slice_text(caller->user)))
        return sync_error_set(error, SYNC_ERR_DENIED, "JOB_OF_ANOTHER_USER", NULL,
                              "the job is another user's");
    *ret_entry = entry;
    return SYNC_OK;
}

/* What a change job is to apply. False without memory; a payload that does not parse shows
 * nothing. */
static bool message_take_change(PB(QuarantinedJob) *message, struct slice payload, bool with_data,
                                struct arena *arena) {
    struct parked_change parked;
    if (parked_change_unpack(payload, &parked) != SYNC_OK)
        return true;
    PB(Change) *change = arena_alloc(arena, sizeof *change);
    if (!change)
        return false;
    travelsense__sync__v1__change__init(change);
    change->id = arena_copy_text(arena, parked.change.id);
    change->type = (PB(ChangeType))parked.change.kind;
    change->data_type = (PB(DataType))parked.change.type;
    change->data_id = arena_copy_text(arena, parked.change.data_id);
    change->timestamp = message_time(arena, parked.change.device_us);
    change->base_version = (int64_t)parked.change.base_version;
    if (with_data && parked.change.operations.size > 0) {
        if (!message_operations(arena, parked.change.operations, &change->operations,
                                &change->n_operations))
            return false;
    } else if (with_data && parked.change.kind != CHANGE_DELETE) {
        change->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
        change->data = message_bytes(parked.change.data);
    }
    message->change = change;
    message->device_id = arena_copy_text(arena, parked.device);
    return change->id && change->data_id && change->timestamp && message->device_id;
}

PB(QuarantinedJob) *quarantined_message(const struct quarantined *entry, bool with_data,
                                        struct arena *arena) {
    const struct job *job = &entry->job;
    PB(QuarantinedJob) *message = arena_alloc(arena, sizeof *message);
    if (!message)
        return NULL;
    travelsense__sync__v1__quarantined_job__init(message);
    message->job_id = arena_copy_text(arena, job->id);
    message->kind = arena_copy_text(arena, job->kind);
    message->user_id = arena_copy_text(arena, job->user);
    message->state = entry->rests
                         ? TRAVELSENSE__SYNC__V1__QUARANTINE_STATE__QUARANTINE_STATE_QUARANTINED
                         : TRAVELSENSE__SYNC__V1__QUARANTINE_STATE__QUARANTINE_STATE_RETRYING;
    message->attempts = (int32_t)job->attempts;
    message->reason = arena_copy_text(arena, slice_text(entry->error.reason));
    message->message = arena_copy_text(arena, slice_text(entry->error.message));
    message->created_at = message_time(arena, uuid_time_us(job->id));
    Google__Protobuf__Timestamp *when = message_time(arena, (int64_t)job->due_us);
    *(entry->rests ? &message->quarantined_at : &message->next_attempt_at) = when;
    if (!message->job_id || !message->kind || !message->user_id || !message->reason ||
        !message->message || !message->created_at || !when)
        return NULL;
    if (slice_equal(job->kind, SLICE(SYNC_JOB_KIND))) {
        message->sync_id = arena_copy_text(arena, job->payload);
        return message->sync_id ? message : NULL;
    }
    bool is_change = slice_equal(job->kind, SLICE(CHANGE_JOB_KIND));
    return !is_change || message_take_change(message, job->payload, with_data, arena) ? message
                                                                                      : NULL;
}
