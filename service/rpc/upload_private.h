/* What the files of the upload share. Only they include it. */
#ifndef SERVICE_RPC_UPLOAD_PRIVATE_H
#define SERVICE_RPC_UPLOAD_PRIVATE_H

#include "service/rpc/upload.h"

/* One attempt to apply changes of an upload: what is loaded, and what comes of it. */
struct upload_turn {
    struct upload *upload;
    struct arena *arena;       /* of all below */
    struct change_batch batch; /* may be empty: then only the rows are loaded */
    struct user_view view;
    const struct row *config, *parked;
    const struct row *device; /* NULL: a service, or a change tried again */
    struct write_set set;
    struct change_result *results; /* parallel to the batch's changes */
    struct row_write *rows;        /* to write beside the set */
    size_t row_count;
};

/* Loads and applies the turn's batch. */
enum sync_status upload_turn_run(struct upload_turn *turn);

/* Finds out which changes of the upload cannot be applied and which wait behind parked ones, after
 * an attempt with all that answered `status`; applies the others, and makes the turn's rows and the
 * upload's results. Answers `status` when it is no fault of the service, or one that is not a
 * single change's. */
enum sync_status upload_park(struct upload_turn *turn, enum sync_status status);

/* Takes the change that was tried again from the user's list, now that it has an outcome that
 * stays. SYNC_ERR_BUSY when it still has none. */
enum sync_status upload_unpark(struct upload_turn *turn);

/* Makes the results' messages, to be sent when the set is durable. */
enum sync_status upload_answer(struct upload *upload);

#endif
