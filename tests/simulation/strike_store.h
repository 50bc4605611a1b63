/* Strike store: another store whose calls fail as they are told to, for the simulation. */
#ifndef TESTS_SIMULATION_STRIKE_STORE_H
#define TESTS_SIMULATION_STRIKE_STORE_H

#include "service/store/store.h"

/* Where a fault may strike. */
enum strike_step { STRIKE_LOAD, STRIKE_SCAN, STRIKE_READER, STRIKE_COMMIT, STRIKE_TRIM };

/* What strikes. */
enum strike {
    STRIKE_NONE,
    STRIKE_FAIL,  /* nothing is done; SYNC_ERR_UNAVAILABLE */
    STRIKE_MOVED, /* of a commit: nothing is written; SYNC_ERR_HEAD_MOVED */
    STRIKE_LOST,  /* of a commit or trim: it is written, but SYNC_ERR_UNAVAILABLE is answered */
};

/* Who decides, and who hears of what was written, whatever is answered; in the caller's memory. */
struct strike_hand {
    enum strike (*strike)(void *context, enum strike_step step);
    void (*written)(void *context, const struct write_set *set, const struct user_head *head);
    void *context;
};

/* Wraps a store, which its close closes. The inner store answers a commit before it returns
 * (memory_store), or is waited for. SYNC_ERR_NO_MEMORY. */
enum sync_status strike_store_open(struct store *inner, const struct strike_hand *hand,
                                   struct store **ret_store);

#endif
