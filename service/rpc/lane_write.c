#include "service/rpc/lane_write.h"

#include <assert.h>
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

static void hold_granted(struct work_task *task) {
    struct user_turn *turn = (struct user_turn *)((char *)task - offsetof(struct user_turn, task));
    struct lane_hold *hold = (struct lane_hold *)((char *)turn - offsetof(struct lane_hold, turn));
    pthread_mutex_lock(&hold->lock);
    hold->is_granted = true;
    pthread_cond_signal(&hold->granted);
    pthread_mutex_unlock(&hold->lock);
}

void lane_hold_enter(struct lane_hold *hold, struct service *service, struct slice lane) {
    assert(lane.size > 0);
    *hold = (struct lane_hold){.service = service,
                               .turn = {.task = {.run = hold_granted}, .user = lane}};
    pthread_mutex_init(&hold->lock, NULL);
    pthread_cond_init(&hold->granted, NULL);
    if (user_lane_enter(service->lanes, &hold->turn))
        return;
    pthread_mutex_lock(&hold->lock);
    while (!hold->is_granted)
        pthread_cond_wait(&hold->granted, &hold->lock);
    pthread_mutex_unlock(&hold->lock);
}

void lane_hold_leave(struct lane_hold *hold) {
    user_lane_leave(hold->service->lanes, &hold->turn);
    pthread_cond_destroy(&hold->granted);
    pthread_mutex_destroy(&hold->lock);
}

enum sync_status lane_write_wait(struct lane_write *write) {
    assert(write->service && write->apply);
    struct lane_hold hold;
    lane_hold_enter(&hold, write->service, write->lane);
    enum sync_status status = SYNC_ERR_HEAD_MOVED;
    for (write->attempts = 0;
         status == SYNC_ERR_HEAD_MOVED && write->attempts < LANE_WRITE_ATTEMPTS_MAX;
         write->attempts++) {
        write->set = (struct write_set){0};
        status = write->apply(write, &write->set);
        if (status == SYNC_OK && !set_is_empty(&write->set))
            status = store_commit_wait(write->service->store, &write->set, NULL);
    }
    lane_hold_leave(&hold);
    return status;
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
