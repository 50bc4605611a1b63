/* Record put: writes by services, without merge. Pure. */
#ifndef SERVICE_CORE_RECORD_PUT_H
#define SERVICE_CORE_RECORD_PUT_H

#include "service/core/change_batch.h"

struct record_put {
    struct record_key key;
    bool remove;
    struct slice data;     /* canonical */
    uint64_t base_version; /* the version the record must have; 0: any */
};

struct record_put_batch {
    struct slice user;
    const struct record_put *puts;
    size_t count;
    struct slice request_id; /* may be empty */
    int64_t now_us;
};

/* What to load first: records parallel to the puts; with a request id, changes[0] is it. */
enum sync_status record_put_touch(const struct record_put_batch *batch, struct arena *arena,
                                  struct touched *ret_touched);

/* Puts all or none. Equal data change nothing. SYNC_ERR_PRECONDITION names the record whose version
 * differs. `ret_records` has batch->count entries as after it (version 0: there never was one). A
 * known request id gives an empty set; with other puts it is SYNC_ERR_PRECONDITION. */
enum sync_status record_put_apply(const struct user_view *view,
                                  const struct record_put_batch *batch, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct record **ret_records);

#endif
