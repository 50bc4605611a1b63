/* Lane write: load, decide and commit in one turn of a lane, so that writers of the same thing wait
 * for each other, and without a thread that waits for the commit.
 *
 * A lane is named by bytes: a user's id for what is the user's, lane_of_device and lane_of_bundle
 * (which no user id equals) for what several users could reach. */
#ifndef SERVICE_RPC_LANE_WRITE_H
#define SERVICE_RPC_LANE_WRITE_H

#include <pthread.h>

#include "base/arena.h"
#include "service/rpc/service.h"

enum { LANE_WRITE_ATTEMPTS_MAX = 8 };

struct lane_write;

/* Loads and fills the set, which is empty before; what it points to lives until `finish`. Runs on a
 * pool thread (or the caller's), again after SYNC_ERR_HEAD_MOVED. SYNC_OK with an empty set: there
 * is nothing to commit. Any other answer ends the write. */
typedef enum sync_status lane_apply(struct lane_write *write, struct write_set *ret_set);

/* Told once, when the turn has ended: SYNC_OK when the set is durable (or was empty), else what
 * `apply` or the commit answered. On any thread, a store's included: it does not block. The write's
 * memory is the caller's again. */
typedef void lane_finish(struct lane_write *write, enum sync_status status);

/* Embedded in what the write is for; the members above the line are the caller's to set. */
struct lane_write {
    struct service *service;
    struct slice lane; /* lives until `finish` */
    lane_apply *apply;
    lane_finish *finish;
    /* ---- the write's own */
    struct user_turn turn;
    struct write_set set;
    unsigned attempts;
};

/* Begins; `apply` may run before the return. */
void lane_write_start(struct lane_write *write);

/* Does all of it on the calling thread, which waits; `finish` is not called. For workers: not on a
 * thread of the store or of the service's pool, whose turns it waits for. */
enum sync_status lane_write_wait(struct lane_write *write);

/* A lane held by a thread for work of several commits. In the caller's memory. */
struct lane_hold {
    struct service *service;
    struct user_turn turn;
    pthread_mutex_t lock;
    pthread_cond_t granted;
    bool is_granted;
};

/* Waits for the lane's turn and ends it; for workers, as lane_write_wait. `lane` lives until then.
 */
void lane_hold_enter(struct lane_hold *hold, struct service *service, struct slice lane);
void lane_hold_leave(struct lane_hold *hold);

/* Names the lane of a device id, or of a bundle id, in the arena. */
bool lane_of_device(struct arena *arena, struct slice device, struct slice *ret_lane);
bool lane_of_bundle(struct arena *arena, struct slice bundle_id, struct slice *ret_lane);

#endif
