#include "service/store/user_lane.h"

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

#include "base/memory.h"

enum { LANE_BUCKETS = 1024, DRAIN_EVERY_US = 1000 };

/* The turns of all users whose hash falls here, in order of arrival: the first turn of each user is
 * the one that runs. */
struct lane_bucket {
    pthread_mutex_t lock;
    struct user_turn *first;
};

struct user_lanes {
    struct work_pool *pool;
    struct lane_bucket buckets[LANE_BUCKETS];
};

enum sync_status user_lanes_open(struct work_pool *pool, struct user_lanes **ret_lanes) {
    assert(pool);
    struct user_lanes *lanes = memory_zalloc(1, sizeof *lanes);
    if (!lanes)
        return SYNC_ERR_NO_MEMORY;
    lanes->pool = pool;
    for (size_t i = 0; i < LANE_BUCKETS; i++)
        pthread_mutex_init(&lanes->buckets[i].lock, NULL);
    *ret_lanes = lanes;
    return SYNC_OK;
}

void user_lanes_drain(struct user_lanes *lanes) {
    for (size_t i = 0; lanes && i < LANE_BUCKETS;) {
        pthread_mutex_lock(&lanes->buckets[i].lock);
        bool is_empty = !lanes->buckets[i].first;
        pthread_mutex_unlock(&lanes->buckets[i].lock);
        if (is_empty)
            i++;
        else
            usleep(DRAIN_EVERY_US);
    }
}

struct user_lanes *user_lanes_close(struct user_lanes *lanes) {
    for (size_t i = 0; lanes && i < LANE_BUCKETS; i++) {
        assert(!lanes->buckets[i].first);
        pthread_mutex_destroy(&lanes->buckets[i].lock);
    }
    memory_free(lanes);
    return NULL;
}

static bool turn_is_of(const struct user_turn *turn, const struct user_turn *other) {
    return turn->hash == other->hash && slice_equal(turn->user, other->user);
}

bool user_lane_enter(struct user_lanes *lanes, struct user_turn *turn) {
    bool first = true;
    turn->hash = slice_hash(turn->user, 0);
    turn->next = NULL;
    struct lane_bucket *bucket = &lanes->buckets[turn->hash % LANE_BUCKETS];
    pthread_mutex_lock(&bucket->lock);
    struct user_turn **end = &bucket->first;
    for (; *end; end = &(*end)->next) {
        assert(*end != turn);
        first = first && !turn_is_of(*end, turn);
    }
    *end = turn;
    pthread_mutex_unlock(&bucket->lock);
    return first;
}

void user_lane_leave(struct user_lanes *lanes, struct user_turn *turn) {
    struct lane_bucket *bucket = &lanes->buckets[turn->hash % LANE_BUCKETS];
    pthread_mutex_lock(&bucket->lock);
    struct user_turn **at = &bucket->first;
    for (; *at != turn; at = &(*at)->next)
        assert(*at && !turn_is_of(*at, turn)); /* only the first of a user has the turn */
    struct user_turn *heir = *at = turn->next;
    while (heir && !turn_is_of(heir, turn))
        heir = heir->next;
    pthread_mutex_unlock(&bucket->lock);
    if (heir && work_pool_submit(lanes->pool, &heir->task) != SYNC_OK)
        heir->task.run(&heir->task);
}
