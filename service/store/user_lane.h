/* User lanes: one writer per user at a time, so that writers of one user wait for each other
 * instead of failing with SYNC_ERR_HEAD_MOVED; different users never wait. Thread-safe. */
#ifndef SERVICE_STORE_USER_LANE_H
#define SERVICE_STORE_USER_LANE_H

#include "base/bytes.h"
#include "base/work_pool.h"

struct user_lanes;

/* One turn, embedded in what it is for. */
struct user_turn {
    struct work_task task; /* task.run is called when the turn comes */
    struct user_turn *next;
    struct slice user; /* lives until the turn has ended */
    uint64_t hash;
};

/* Opens an empty set of lanes; turns that had to wait run on the pool. Give the pool a queue as
 * long as there can be turns waiting: when it takes no more, the next turn runs on the thread that
 * ends the one before. */
enum sync_status user_lanes_open(struct work_pool *pool, struct user_lanes **ret_lanes);

/* Waits until every turn has ended, those included that others wait for. Nothing may enter any
 * more; the pool still runs. NULL lanes: nothing. */
void user_lanes_drain(struct user_lanes *lanes);

/* Closes; no turn may be waiting. Returns NULL. */
struct user_lanes *user_lanes_close(struct user_lanes *lanes);

/* Asks for a turn: true: it is the caller's at once and it goes on itself; false: task.run will be
 * called later on the pool. End every turn with user_lane_leave. */
bool user_lane_enter(struct user_lanes *lanes, struct user_turn *turn);

/* Ends the turn and gives it to the next who waits. */
void user_lane_leave(struct user_lanes *lanes, struct user_turn *turn);

#endif
