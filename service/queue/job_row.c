#include "service/queue/job_row.h"

#include <stdio.h>

#include "base/wire.h"

enum { JOB_DUE_SIZE = 8 };

enum job_field {
    JOB_KIND = 1,
    JOB_USER = 2,
    JOB_PAYLOAD = 3,
    JOB_ATTEMPTS = 4,
    JOB_DUE = 5,
    JOB_STATUS = 6,
    JOB_REASON = 7,
    JOB_MESSAGE = 8
};

bool job_row_key(const struct job *job, struct arena *arena, struct slice *ret_key) {
    uint8_t *key = arena_alloc(arena, JOB_DUE_SIZE + job->id.size);
    if (!key)
        return false;
    for (int i = 0; i < JOB_DUE_SIZE; i++)
        key[i] = (uint8_t)(job->due_us >> (8 * (JOB_DUE_SIZE - 1 - i)));
    if (job->id.size > 0)
        memcpy(key + JOB_DUE_SIZE, job->id.data, job->id.size);
    *ret_key = slice_of(key, JOB_DUE_SIZE + job->id.size);
    return true;
}

bool job_row_due(struct slice key, uint64_t *ret_due_us) {
    uint64_t due_us = 0;
    if (key.size <= JOB_DUE_SIZE)
        return false;
    for (int i = 0; i < JOB_DUE_SIZE; i++)
        due_us = due_us << 8 | key.data[i];
    *ret_due_us = due_us;
    return true;
}

bool job_row_value(const struct job *job, const struct sync_error *error, struct arena *arena,
                   struct slice *ret_value) {
    struct buffer value;
    buffer_init(&value, SIZE_MAX / 4);
    wire_write_bytes(&value, JOB_KIND, job->kind);
    wire_write_bytes(&value, JOB_USER, job->user);
    wire_write_bytes(&value, JOB_PAYLOAD, job->payload);
    wire_write_uint(&value, JOB_ATTEMPTS, job->attempts);
    if (error && error->status != SYNC_OK) {
        wire_write_uint(&value, JOB_DUE, job->due_us);
        wire_write_uint(&value, JOB_STATUS, wire_zigzag(error->status));
        wire_write_bytes(&value, JOB_REASON, slice_text(error->reason));
        wire_write_bytes(&value, JOB_MESSAGE, slice_text(error->message));
    }
    bool well =
        buffer_status(&value) == SYNC_OK && arena_copy(arena, buffer_slice(&value), ret_value);
    buffer_done(&value);
    return well;
}

/* Takes one field; unknown ones are left to a newer version. */
static void job_take_field(const struct wire_field *field, struct job *job,
                           struct sync_error *error) {
    switch ((enum job_field)field->number) {
    case JOB_KIND:
        job->kind = field->bytes;
        break;
    case JOB_USER:
        job->user = field->bytes;
        break;
    case JOB_PAYLOAD:
        job->payload = field->bytes;
        break;
    case JOB_ATTEMPTS:
        job->attempts = (uint32_t)field->bits;
        break;
    case JOB_DUE:
        if (job->due_us == 0) /* of a waiting job the key has said it */
            job->due_us = field->bits;
        break;
    case JOB_STATUS:
        error->status = (enum sync_status)wire_unzigzag(field->bits);
        break;
    case JOB_REASON:
        snprintf(error->reason, sizeof error->reason, "%.*s", (int)field->bytes.size,
                 (const char *)field->bytes.data);
        break;
    case JOB_MESSAGE:
        snprintf(error->message, sizeof error->message, "%.*s", (int)field->bytes.size,
                 (const char *)field->bytes.data);
        break;
    }
}

enum sync_status job_row_read(enum table table, struct slice key, struct slice value,
                              struct job *ret_job, struct sync_error *ret_error) {
    struct wire_reader reader = wire_reader_of(value);
    struct job job = {.id = key};
    struct sync_error error = {.status = SYNC_OK};
    if (table == TABLE_JOB) {
        if (!job_row_due(key, &job.due_us))
            return SYNC_ERR_CORRUPT;
        job.id = slice_after(key, JOB_DUE_SIZE);
    }
    while (!wire_at_end(&reader)) {
        struct wire_field field;
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        bool text = field.number <= JOB_PAYLOAD || field.number == JOB_REASON ||
                    field.number == JOB_MESSAGE;
        if (field.number <= JOB_MESSAGE && field.type != (text ? WIRE_LEN : WIRE_VARINT))
            return SYNC_ERR_CORRUPT;
        job_take_field(&field, &job, &error);
    }
    *ret_job = job;
    if (ret_error)
        *ret_error = error;
    return SYNC_OK;
}
