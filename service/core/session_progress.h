/* Session progress: how far a synchronization is, and for how long yet. Pure.
 *
 * Done and percent never go back; totals are what is known by now: where they grow, percent holds.
 * 100 is kept for the end. The rate is an average that forgets (time constant 3 s); the confidence
 * grows with the time observed and falls with the rate's variance. */
#ifndef SERVICE_CORE_SESSION_PROGRESS_H
#define SERVICE_CORE_SESSION_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* In the caller's memory; fields are its own. Times are monotonic microseconds. */
struct session_progress {
    uint64_t items_up, items_up_total, bytes_up;
    uint64_t items_down, items_down_left, bytes_down, bytes_down_left;
    uint64_t items_total, bytes_total; /* as shown */
    int percent;
    bool is_finished;
    uint64_t sample_us, sample_bytes; /* where the running sample began */
    uint64_t observed_us;
    double rate, variance; /* bytes a second */
};

/* What is shown. */
struct session_progress_view {
    uint64_t items_done, items_total, bytes_done, bytes_total;
    int percent;
    bool has_time_left;
    uint64_t time_left_us;
    double confidence; /* 0 to 1 */
};

/* Begins; `items_up_total` is how many changes the device means to send. */
void session_progress_begin(struct session_progress *progress, uint64_t items_up_total,
                            uint64_t now_us);

/* Says what is expected to come down yet. */
void session_progress_expect(struct session_progress *progress, uint64_t items_left,
                             uint64_t bytes_left);

/* Counts what went up, or came down. */
void session_progress_uploaded(struct session_progress *progress, uint64_t items, uint64_t bytes,
                               uint64_t now_us);
void session_progress_downloaded(struct session_progress *progress, uint64_t items, uint64_t bytes,
                                 uint64_t now_us);

/* Leaves out the time until now: nothing was to be done in it. */
void session_progress_rest(struct session_progress *progress, uint64_t now_us);

/* All is done; from now on the totals are what is done. */
void session_progress_finish(struct session_progress *progress);

/* Shows it. */
void session_progress_look(const struct session_progress *progress,
                           struct session_progress_view *ret_view);

#endif
