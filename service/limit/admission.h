/* Admission: how many streams are open, how many open at once, and how fast; and when a refused one
 * is to come back.
 *
 * A herd that comes back after a restart is served at the pace the service can keep, and whoever
 * must wait is told a slot of its own: a queue that nobody has to stand in. Thread-safe; time comes
 * as an argument, any clock that does not go back. */
#ifndef SERVICE_LIMIT_ADMISSION_H
#define SERVICE_LIMIT_ADMISSION_H

#include "base/bytes.h"
#include "base/status.h"

struct admission;

struct admission_options {
    uint32_t streams_max;    /* open at once */
    uint32_t opening_max;    /* under way from hello to complete */
    double opens_per_second; /* and as many at once after a pause */
};

enum { ADMISSION_RETRY_MAX_US = 300 * 1000000 /* the latest slot */ };

/* What is decided for one. */
struct admission_decision {
    bool admitted;
    const char *reason;      /* when refused: STREAMS_FULL or STREAMS_OPENING; static */
    uint64_t retry_after_us; /* when refused: its slot, from now */
};

/* What is counted now. */
struct admission_counts {
    uint32_t open, opening;
    uint64_t refused; /* in all */
};

/* Opens; all options are positive. SYNC_ERR_NO_MEMORY. */
enum sync_status admission_open(const struct admission_options *options,
                                struct admission **ret_admission);

/* Closes; returns NULL. NULL is allowed. */
struct admission *admission_close(struct admission *admission);

/* A stream has come: counts it among the open ones, or refuses it. `who` names the caller, as well
 * as is known. */
struct admission_decision admission_enter(struct admission *admission, struct slice who,
                                          uint64_t now_us);

/* A stream has said hello: counts it among those that open, or refuses it. Before any storage is
 * touched. */
struct admission_decision admission_begin(struct admission *admission, struct slice who,
                                          uint64_t now_us);

/* A stream that began has caught up, or has ended before. */
void admission_complete(struct admission *admission);

/* A stream that entered has ended. */
void admission_leave(struct admission *admission);

/* When the `index`-th of the open streams is to come back after a drain, from now: all in a window
 * that grows with their number. */
uint64_t admission_drain_slot(const struct admission *admission, uint32_t index, uint32_t count,
                              struct slice who);

/* Reads what is counted. */
struct admission_counts admission_look(struct admission *admission);

#endif
