/* Loop: one thread's event loop over epoll: sources, timers, and work put off to the end of a turn.
 *
 * A loop and everything in it belong to one thread. Structures are embedded in what they serve; the
 * loop keeps only pointers. */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

struct loop;

/* A file descriptor watched. `fd` is not owned. */
struct loop_source {
    int fd;
    uint32_t events; /* EPOLLIN and others, as last asked for */
    bool watched;
    void (*ready)(struct loop_source *source, uint32_t events);
};

/* A moment waited for. Zeroed memory is a timer that is not set. */
struct loop_timer {
    struct loop_timer *next, **link; /* link is NULL when not set */
    uint64_t due_us;
    void (*fire)(struct loop_timer *timer);
};

/* Something done once at the end of the turn, after all events of the turn were seen. Zeroed memory
 * is a task that is not queued. */
struct loop_task {
    struct loop_task *next;
    bool queued;
    void (*run)(struct loop_task *task);
};

/* Whom a job is for. */
enum loop_rank {
    LOOP_NEXT, /* one who has had his share of the turn */
    LOOP_LAST, /* one who is not known to mean well */
};

/* Work that waits behind everything else of a turn. It is done in slices of a turn's time, in the
 * order in which it was queued, LOOP_NEXT before LOOP_LAST. Zeroed memory is a job that is not
 * queued. */
struct loop_job {
    struct loop_job *next, **link; /* link is NULL when not queued */
    enum loop_rank rank;           /* while queued */
    void (*run)(struct loop_job *job);
};

/* Opens a loop. `clock` outlives it. SYNC_ERR_NO_MEMORY or SYNC_ERR_IO. */
enum sync_status loop_open(const struct clock *clock, struct loop **ret_loop);

/* Closes; sources, timers, tasks and jobs must be gone. Returns NULL. */
struct loop *loop_close(struct loop *loop);

/* Waits once and serves what is there. `wait_max_ms` bounds the wait. SYNC_ERR_IO when epoll
 * fails. */
enum sync_status loop_turn(struct loop *loop, int wait_max_ms);

/* The monotonic time at the beginning of the turn, microseconds. */
uint64_t loop_now_us(const struct loop *loop);

/* The time of day of the turn, microseconds since 1970. */
uint64_t loop_wall_us(struct loop *loop);

/* Watches `source->fd` for `events`; with EPOLLONESHOT among them for one of them only, until
 * loop_source_change. SYNC_ERR_IO when the system refuses. */
enum sync_status loop_source_add(struct loop *loop, struct loop_source *source, uint32_t events);

/* Changes what is watched for; does nothing when it is the same. */
void loop_source_change(struct loop *loop, struct loop_source *source, uint32_t events);

/* Stops watching; call before the descriptor is closed. Events of the running turn that are not yet
 * served are still delivered: keep the memory until loop_bury gives it back. */
void loop_source_remove(struct loop *loop, struct loop_source *source);

/* Sets (or sets anew) a timer that fires in `delay_us`, at most some 70 ms late. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_us);

/* Clears a timer, set or not. */
void loop_timer_clear(struct loop_timer *timer);

/* Queues a task for the end of the turn; does nothing when it is queued. */
void loop_task_queue(struct loop *loop, struct loop_task *task);

/* Queues a job, behind those of its rank that wait; does nothing when it is queued. A turn has some
 * 200 us for the jobs of each rank, with the tasks that they queue, and runs at least one. While
 * others are served, LOOP_LAST has at most half of the time: for the rest the thread sleeps, as
 * what others wait for needs the processor too. */
void loop_job_queue(struct loop *loop, struct loop_job *job, enum loop_rank rank);

/* Somebody is served who needs no job. */
void loop_note_served(struct loop *loop);

/* Somebody was cut for flooding; others like him may follow. For a second LOOP_LAST has an eighth
 * of the time instead of half. */
void loop_note_cut(struct loop *loop);

/* Has the loop note in `served_us` when somebody is served, as other loops of the process do, and
 * heed what they note. It outlives the loop. */
void loop_share_served(struct loop *loop, atomic_ullong *served_us);

/* Takes a job out of the queue, queued or not. */
void loop_job_cancel(struct loop *loop, struct loop_job *job);

/* Calls `task->run` when the turn is over and nothing of it can refer to the memory any more: the
 * place to free what was closed in the middle of a turn. The task must not be queued. */
void loop_bury(struct loop *loop, struct loop_task *task);

#endif
