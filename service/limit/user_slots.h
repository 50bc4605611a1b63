/* User slots: how many things of a kind each user has open, bounded. Takes no memory: an entry lies
 * in what it counts. Thread-safe. */
#ifndef SERVICE_LIMIT_USER_SLOTS_H
#define SERVICE_LIMIT_USER_SLOTS_H

#include "base/bytes.h"

struct user_slots;

/* One open thing, in the caller's memory until it is left. */
struct user_slot {
    struct slice user; /* lives until then */
    uint64_t hash;
    struct user_slot *next, **link; /* link: NULL when it is not counted */
};

/* Opens for at most `each_max` a user; `seed` keeps users from choosing names that collide. NULL
 * without memory. */
struct user_slots *user_slots_open(unsigned each_max, uint64_t seed);

/* Closes; nothing is counted any more. NULL is allowed; returns NULL. */
struct user_slots *user_slots_close(struct user_slots *slots);

/* Counts a slot, zeroed but for `user`; false when the user has as many as he may. */
bool user_slots_enter(struct user_slots *slots, struct user_slot *slot);

/* Counts it no more. One that is not counted may be left. */
void user_slots_leave(struct user_slots *slots, struct user_slot *slot);

#endif
