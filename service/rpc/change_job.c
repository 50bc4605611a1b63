#include "service/rpc/change_job.h"

#include "service/rpc/parked.h"
#include "service/rpc/upload.h"

enum { JOB_ARENA_MAX = 256 << 20 };

enum sync_status change_job_run(void *context, const struct job *job, struct sync_error *error) {
    struct parked_change parked;
    enum sync_status status = parked_change_unpack(job->payload, &parked);
    if (status != SYNC_OK)
        return sync_error_of(error, status);
    struct arena arena;
    arena_init(&arena, JOB_ARENA_MAX);
    struct upload upload = {
        .service = context,
        .arena = &arena,
        .user = job->user,
        .device = parked.device,
        .acknowledged = parked.acknowledged,
        .received_us = parked.received_us,
        .retry_of = job->id,
        .content = {.changes = &parked.change,
                    .count = 1,
                    .clock_offset_us = parked.clock_offset_us},
    };
    status = upload_wait(&upload);
    if (status != SYNC_OK) {
        *error = upload.error;
        if (error->status != status)
            sync_error_of(error, status);
    }
    arena_done(&arena);
    return status;
}
