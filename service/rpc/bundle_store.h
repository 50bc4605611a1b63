/* Bundle store: bundles as rows: found, remembered, built into containers, counted.
 *
 * Who writes a bundle's rows does it in the bundle's lane, so whoever asks for a bundle in that
 * lane sees what was begun before. */
#ifndef SERVICE_RPC_BUNDLE_STORE_H
#define SERVICE_RPC_BUNDLE_STORE_H

#include "service/rpc/service.h"
#include "service/rpc/storage.h"

/* Reads a bundle. SYNC_ERR_NOT_FOUND when there is none or its time is over, SYNC_ERR_DENIED when
 * it is another user's, each with the reason in `error`. Slices live in the arena. */
enum sync_status bundle_load(struct service *service, struct slice bundle_id, struct slice user,
                             struct arena *arena, struct sync_error *error,
                             struct bundle *ret_bundle);

/* Stores, in the background, what a bundle was asked with, so that it can be downloaded by its id;
 * does nothing when it is there. What cannot be written is logged. */
void bundle_remember(struct service *service, const struct bundle *bundle);

/* Counts a download, in the background. */
void bundle_count_download(struct service *service, struct slice bundle_id, struct slice user);

/* How far a build is: told before each piece. False stops it (SYNC_ERR_CANCELLED). */
struct bundle_progress {
    bool (*told)(void *context, const char *phase, uint64_t records_done, uint64_t records_total,
                 uint64_t bytes_done);
    void *context;
};

/* Builds the container of a bundle and stores it with the bundle's row, piece by piece; fills in
 * what the container is. Call it in the bundle's lane, on a thread that may block on commits.
 * `progress` may be NULL. */
enum sync_status bundle_build(struct service *service, struct bundle *bundle,
                              const struct bundle_progress *progress, struct sync_error *error);

/* The rows that store a bundle's row and its expiry: two are written to `rows`. */
bool bundle_rows(const struct bundle *bundle, struct arena *arena, struct row_write rows[2]);

#endif
