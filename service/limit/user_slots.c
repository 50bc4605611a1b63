#include "service/limit/user_slots.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"

enum { LISTS = 4096 }; /* a power of two */

struct user_slots {
    unsigned each_max;
    uint64_t seed;
    pthread_mutex_t lock; /* guards the lists */
    struct user_slot *lists[LISTS];
};

struct user_slots *user_slots_open(unsigned each_max, uint64_t seed) {
    assert(each_max > 0);
    struct user_slots *slots = memory_zalloc(1, sizeof *slots);
    if (!slots)
        return NULL;
    slots->each_max = each_max;
    slots->seed = seed;
    pthread_mutex_init(&slots->lock, NULL);
    return slots;
}

struct user_slots *user_slots_close(struct user_slots *slots) {
    if (!slots)
        return NULL;
    for (size_t i = 0; i < LISTS; i++)
        assert(!slots->lists[i]);
    pthread_mutex_destroy(&slots->lock);
    memory_free(slots);
    return NULL;
}

bool user_slots_enter(struct user_slots *slots, struct user_slot *slot) {
    assert(slot->user.size > 0 && !slot->link);
    slot->hash = slice_hash(slot->user, slots->seed);
    struct user_slot **list = &slots->lists[slot->hash % LISTS];
    unsigned count = 0;
    pthread_mutex_lock(&slots->lock);
    for (const struct user_slot *at = *list; at && count < slots->each_max; at = at->next)
        count += at->hash == slot->hash && slice_equal(at->user, slot->user);
    bool has_room = count < slots->each_max;
    if (has_room) {
        slot->next = *list;
        slot->link = list;
        if (slot->next)
            slot->next->link = &slot->next;
        *list = slot;
    }
    pthread_mutex_unlock(&slots->lock);
    /* The slot is its neighbours' to link from here on. */
    return has_room;
}

void user_slots_leave(struct user_slots *slots, struct user_slot *slot) {
    pthread_mutex_lock(&slots->lock);
    if (slot->link) {
        assert(*slot->link == slot);
        *slot->link = slot->next;
        if (slot->next)
            slot->next->link = slot->link;
        slot->link = NULL;
    }
    pthread_mutex_unlock(&slots->lock);
}
