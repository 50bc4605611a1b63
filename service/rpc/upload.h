/* Upload: a batch of changes on its way into the store, for all who bring one: UploadChanges, a
 * Sync stream's batch, and what services apply.
 *
 *     upload.… = …                            the members above the line
 *     upload_check(&upload, &message, …)
 *     upload_take(&upload, …)                 the rate and quota
 *     upload_start(&upload)                   … done() */
#ifndef SERVICE_RPC_UPLOAD_H
#define SERVICE_RPC_UPLOAD_H

#include "service/rpc/lane_write.h"
#include "service/rpc/upload_validate.h"

struct upload;

/* Makes what the answer needs beyond the results, once they are known and before anything is
 * committed; may run again for another attempt. Any answer but SYNC_OK ends the upload. */
typedef enum sync_status upload_prepare(struct upload *upload);

/* Told once: SYNC_OK when the batch is durable (or only looked at), else why not, with `error`
 * filled in when its status is the same. On any thread: it does not block. */
typedef void upload_done(struct upload *upload, enum sync_status status);

/* In the caller's memory, which lives until `done`; zeroed but for what is set. */
struct upload {
    struct lane_write write; /* first: found from it */
    /* ---- the caller's to set */
    struct service *service;
    struct arena *arena;       /* everything is made in it */
    struct slice user, device; /* device empty: a service */
    bool has_acknowledged;     /* the batch brings a cursor */
    uint64_t acknowledged;     /* what the device holds; what is stored of it counts when greater */
    bool store_nothing;        /* only say what would become of the changes */
    const char *sync_id;       /* of the operation that this upload is; NULL: of none */
    struct slice retry_of;     /* the job of a parked change (parked.h) that is tried again */
    int64_t received_us;
    size_t bytes;            /* of the message */
    upload_prepare *prepare; /* may be NULL */
    upload_done *done;
    void *context;
    struct upload_content content; /* as upload_check makes it */
    /* ---- what became of it */
    struct change_result *results; /* content.count of them */
    PB(ChangeResult) **messages;   /* the same as the API shows them */
    struct user_head before;       /* as it was loaded */
    uint64_t sequence;             /* after it: from here on the changes are included */
    struct checksum checksum;      /* at `sequence` */
    bool parks;                    /* a change of it was set aside, as a job */
    bool as_sent; /* each was applied just as it was sent, and none was a duplicate */
    struct sync_error error;
};

/* Checks the changes syntactically; the content counts only when there is no violation. */
void upload_check(struct upload *upload, const struct upload_message *message,
                  struct violations *violations);

/* Takes the changes from the user's rate and quota. `is_service`: the caller is trusted with his
 * own. */
struct limit_decision upload_take(const struct upload *upload, bool is_service);

/* Applies and commits in the user's lane. A change that cannot be applied by a fault of the
 * service, while others can, is set aside: its outcome is pending, and a job tries it again. */
void upload_start(struct upload *upload);

/* The same on the calling thread, which waits (lane_write_wait); `done` is not called. */
enum sync_status upload_wait(struct upload *upload);

#endif
