/* Stream batch: a SyncBatch (or an UploadChangesRequest) that is built once and sent again and
 * again with new ids, so that it costs the load generator little.
 *
 * Belongs to one thread. */
#ifndef TESTS_BENCH_STREAM_BATCH_H
#define TESTS_BENCH_STREAM_BATCH_H

#include "base/arena.h"
#include "base/status.h"
#include "travelsense/sync/v1/change.pb-c.h"
#include "travelsense/sync/v1/sync_stream.pb-c.h"

/* In the caller's memory; the messages are for sending. */
struct stream_batch {
    struct arena arena;
    uint64_t random;
    Travelsense__Sync__V1__SyncRequest message;
    Travelsense__Sync__V1__SyncBatch batch;
    Travelsense__Sync__V1__UploadChangesRequest upload;
    Travelsense__Sync__V1__Change *changes;
    Google__Protobuf__Timestamp time;
    size_t count;
};

/* Builds a batch of `count` new bookings of about 500 bytes of JSON each. `device` is borrowed.
 * `seed`, not 0, makes the ids differ between batches. SYNC_ERR_NO_MEMORY; the batch may then be
 * done. */
enum sync_status stream_batch_init(struct stream_batch *batch, size_t count, char *device,
                                   uint64_t seed);

/* Gives every change new ids, and the batch its number. */
void stream_batch_stamp(struct stream_batch *batch, int64_t number);

/* Releases the memory. */
void stream_batch_done(struct stream_batch *batch);

#endif
