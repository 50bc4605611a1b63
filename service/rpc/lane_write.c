#include "service/rpc/lane_write.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>

static void lane_write_end(struct lane_write *write, enum sync_status status) {
    user_lane_leave(write->service->lanes, &write->turn);
    write->finish(write, status);
}

static bool set_is_empty(const struct write_set *set) {
    return set->record_count + set->log_count + set->settled_count + set->row_count == 0;
}

static void lane_write_committed(void *context, enum sync_status status,
                                 const struct user_head *head) {
    (void)head;
    struct lane_write *write = context;
    if (status == SYNC_ERR_HEAD_MOVED && write->attempts < LANE_WRITE_ATTEMPTS_MAX) {
        /* The turn is still ours; only the thread must change, since loading blocks. */
        status = work_pool_submit(write->service->pool, &write->turn.task);
        if (status == SYNC_OK)
            return;
    }
    lane_write_end(write, status);
}

static void lane_write_run(struct work_task *task) {
    struct user_turn *turn = (struct user_turn *)((char *)task - offsetof(struct user_turn, task));
    struct lane_write *write =
        (struct lane_write *)((char *)turn - offsetof(struct lane_write, turn));
    write->attempts++;
    write->set = (struct write_set){0};
    enum sync_status status = write->apply(write, &write->set);
    if (status != SYNC_OK || set_is_empty(&write->set)) {
        lane_write_end(write, status);
        return;
    }
    store_commit(write->service->store, &write->set, lane_write_committed, write);
}

void lane_write_start(struct lane_write *write) {
    assert(write->service && write->apply && write->finish);
    assert(write->lane.size > 0);
    write->attempts = 0;
    write->turn = (struct user_turn){.task = {.run = lane_write_run}, .user = write->lane};
    if (user_lane_enter(write->service->lanes, &write->turn))
        lane_write_run(&write->turn.task);
}

/* Where a waiting thread sleeps; found by the turn's write, whose finish is borrowed. */
struct lane_waiter {
    struct lane_write write;
    struct lane_write *wanted;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended;
    enum sync_status status;
};

static enum sync_status waiter_apply(struct lane_write *write, struct write_set *ret_set) {
    struct lane_waiter *waiter = (struct lane_waiter *)write;
    return waiter->wanted->apply(waiter->wanted, ret_set);
}

static void waiter_finish(struct lane_write *write, enum sync_status status) {
    struct lane_waiter *waiter = (struct lane_waiter *)write;
    pthread_mutex_lock(&waiter->lock);
    waiter->status = status;
    waiter->has_ended = true;
    pthread_cond_signal(&waiter->ended);
    pthread_mutex_unlock(&waiter->lock);
}

enum sync_status lane_write_wait(struct lane_write *write) {
    struct lane_waiter waiter = {
        .write = {.service = write->service,
                  .lane = write->lane,
                  .apply = waiter_apply,
                  .finish = waiter_finish},
        .wanted = write,
    };
    pthread_mutex_init(&waiter.lock, NULL);
    pthread_cond_init(&waiter.ended, NULL);
    lane_write_start(&waiter.write);
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.has_ended)
        pthread_cond_wait(&waiter.ended, &waiter.lock);
    pthread_mutex_unlock(&waiter.lock);
    pthread_cond_destroy(&waiter.ended);
    pthread_mutex_destroy(&waiter.lock);
    return waiter.status;
}

/* Control characters are in no user id, so these lanes are nobody's. */
static bool lane_of(struct arena *arena, const char *kind, struct slice id,
                    struct slice *ret_lane) {
    const char *text = arena_format(arena, "\x01%s\x01%.*s", kind, (int)id.size, id.data);
    if (!text)
        return false;
    *ret_lane = slice_text(text);
    return true;
}

bool lane_of_device(struct arena *arena, struct slice device, struct slice *ret_lane) {
    return lane_of(arena, "device", device, ret_lane);
}

bool lane_of_bundle(struct arena *arena, struct slice bundle_id, struct slice *ret_lane) {
    return lane_of(arena, "bundle", bundle_id, ret_lane);
}
