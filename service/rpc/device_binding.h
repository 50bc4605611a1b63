/* Device binding: a device id belongs to the first user who uses it, a token with a device serves
 * that device alone, and a revoked device is refused.
 *
 * The first use registers the device, in a commit of its own before the call goes on. */
#ifndef SERVICE_RPC_DEVICE_BINDING_H
#define SERVICE_RPC_DEVICE_BINDING_H

#include "service/rpc/call.h"
#include "service/rpc/lane_write.h"
#include "service/rpc/storage.h"
#include "service/rpc/violations.h"

enum { DEVICE_SEEN_STEP_US = 60 * 1000000 };

/* What the caller says of a device. Slices live as long as the call. */
struct device_claim {
    struct slice id;
    struct slice name, platform; /* to register or rename; empty: as they are */
    bool rename;                 /* name and platform replace what is stored */
    bool store_nothing;          /* only check (validate_only) */
};

struct device_binding;

/* Told when a binding has ended that did not at once; on any thread: it does not block. `device`
 * counts with SYNC_OK, `error` when its status is the same as `status`. */
typedef void device_binding_done(struct device_binding *binding, enum sync_status status);

/* One binding; in the caller's memory until it has ended. The members above the line are the
 * caller's to set, the rest is zero. */
struct device_binding {
    struct lane_write write; /* first: found from it */
    struct service *service;
    struct arena *arena;
    struct slice user;
    struct slice of_token; /* the device that the token is bound to; empty: any */
    struct device_claim claim;
    int64_t now_us;
    device_binding_done *done;
    /* ---- what became of it */
    struct device device; /* as stored; lives as long as the arena */
    bool is_registered;   /* false: store_nothing left it unregistered */
    struct sync_error error;
};

/* Binds. True: it has ended at once, with `ret_status`, and `done` is not called. May block on the
 * store. */
bool device_binding_start(struct device_binding *binding, enum sync_status *ret_status);

/* Goes on with a call whose device is the caller's and not revoked, on a thread that may block.
 * `device` is as stored, or NULL when store_nothing left it unregistered; it lives as long as the
 * call. */
typedef void device_bound(struct rpc_call *call, const struct device *device, void *context);

/* Adds the faults of a device id as a request brings it. Returns the device that counts: the
 * token's where the request names none. */
struct slice device_check(struct rpc_call *call, struct violations *violations,
                          const char *device_id, bool is_required);

/* Binds, then calls `next`; or ends the call with PERMISSION_DENIED (DEVICE_OF_ANOTHER_USER,
 * DEVICE_REVOKED, DEVICE_NOT_OF_TOKEN) or RESOURCE_EXHAUSTED (TOO_MANY_DEVICES). */
void device_bind(struct rpc_call *call, const struct device_claim *claim, device_bound *next,
                 void *context);

/* For calls that name no device: refuses those whose token is bound to a revoked one or to another
 * user's. False when the call has ended. Reads the store only where the token is bound. */
bool device_guard(struct rpc_call *call);

/* A device's row as a write in the user's lane has loaded it, and what the write shows about it. */
struct device_touch {
    struct slice user, id;
    const struct row *row;
    bool acknowledges;
    uint64_t acknowledged; /* counts when greater than what is stored */
    int64_t now_us;
};

/* Reads the row, refuses a revoked device (SYNC_ERR_DENIED), and makes the row's new value when
 * there is news: a greater acknowledgement, or a minute since it was last seen. Memory from the
 * arena. A row that is not there gives a device that has nothing, and no news. */
enum sync_status device_touch(const struct device_touch *touch, struct arena *arena,
                              struct sync_error *error, struct device *ret_device,
                              struct row_write *ret_row, bool *ret_has_news);

/* Notes in the background that the device holds everything up to `sequence` (or, without
 * `acknowledges`, that it was seen). What cannot be written is logged; the next call says it
 * again. */
void device_acknowledge(struct service *service, struct slice user, const struct device *device,
                        bool acknowledges, uint64_t sequence);

#endif
