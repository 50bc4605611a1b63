#include "gateway/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    LOOP_SLOTS = 256,
    LOOP_TICK_US = 64000,
    LOOP_EVENTS = 128,
    /* A task may queue others (an answer wakes a connection); more rounds than this are a bug. */
    LOOP_TASK_ROUNDS_MAX = 100000,
    LOOP_RANKS = LOOP_LAST + 1,
    LOOP_JOBS_US = 200,       /* of a turn for each rank: what others wait for at most, and a job */
    LOOP_LAST_SHARE = 2,      /* LOOP_LAST has one in so many parts of the time … */
    LOOP_LAST_SHARE_CUT = 8,  /* … after somebody was cut … */
    LOOP_CUT_US = 1000000,    /* … no longer ago … */
    LOOP_SERVED_US = 1000000, /* … when others were served no longer ago */
    LOOP_SERVED_NOTE_US = 10000,
};

struct loop {
    const struct clock *clock;
    int epoll_fd;
    uint64_t now_us;
    uint64_t wall_us; /* 0: not yet asked for in this turn */
    uint64_t tick;    /* the last one served */
    struct loop_timer *slots[LOOP_SLOTS];
    struct loop_task *tasks, **tasks_tail;
    struct loop_task *graves;
    struct loop_queue {
        struct loop_job *jobs, **tail;
    } queues[LOOP_RANKS];
    uint64_t rested_us; /* when the time that LOOP_LAST took is made up for */
    uint64_t cut_us;    /* when somebody was cut */
    uint64_t noted_us;  /* that somebody is served */
    atomic_ullong own_served_us, *served_us;
};

enum sync_status loop_open(const struct clock *clock, struct loop **ret_loop) {
    assert(clock);
    struct loop *loop = memory_zalloc(1, sizeof(*loop));
    if (!loop)
        return SYNC_ERR_NO_MEMORY;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        memory_free(loop);
        return SYNC_ERR_IO;
    }
    loop->clock = clock;
    loop->now_us = clock_monotonic_us(clock);
    loop->tick = loop->now_us / LOOP_TICK_US;
    loop->tasks_tail = &loop->tasks;
    for (int rank = 0; rank < LOOP_RANKS; rank++)
        loop->queues[rank].tail = &loop->queues[rank].jobs;
    loop->served_us = &loop->own_served_us;
    *ret_loop = loop;
    return SYNC_OK;
}

static void loop_run_graves(struct loop *loop) {
    while (loop->graves) {
        struct loop_task *task = loop->graves;
        loop->graves = task->next;
        task->run(task);
    }
}

struct loop *loop_close(struct loop *loop) {
    if (!loop)
        return NULL;
    loop_run_graves(loop);
    close(loop->epoll_fd);
    memory_free(loop);
    return NULL;
}

uint64_t loop_now_us(const struct loop *loop) {
    return loop->now_us;
}

uint64_t loop_wall_us(struct loop *loop) {
    if (loop->wall_us == 0)
        loop->wall_us = clock_now_us(loop->clock);
    return loop->wall_us;
}

enum sync_status loop_source_add(struct loop *loop, struct loop_source *source, uint32_t events) {
    assert(source->ready);
    struct epoll_event event = {.events = events, .data.ptr = source};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) != 0)
        return SYNC_ERR_IO;
    source->events = events;
    source->watched = true;
    return SYNC_OK;
}

void loop_source_change(struct loop *loop, struct loop_source *source, uint32_t events) {
    if (source->events == events)
        return;
    struct epoll_event event = {.events = events, .data.ptr = source};
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event);
    assert(rc == 0);
    (void)rc;
    source->events = events;
}

void loop_source_remove(struct loop *loop, struct loop_source *source) {
    int rc = epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    assert(rc == 0);
    (void)rc;
    source->watched = false;
}

static void loop_timer_link(struct loop *loop, struct loop_timer *timer) {
    uint64_t tick = timer->due_us / LOOP_TICK_US + 1;
    struct loop_timer **head = &loop->slots[tick % LOOP_SLOTS];
    timer->next = *head;
    timer->link = head;
    if (timer->next)
        timer->next->link = &timer->next;
    *head = timer;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t delay_us) {
    assert(timer->fire);
    loop_timer_clear(timer);
    timer->due_us = loop->now_us + delay_us;
    loop_timer_link(loop, timer);
}

void loop_timer_clear(struct loop_timer *timer) {
    if (!timer->link)
        return;
    *timer->link = timer->next;
    if (timer->next)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
}

/* Fires what is due in one slot; a timer of a later round goes back. */
static void loop_serve_slot(struct loop *loop, size_t slot) {
    struct loop_timer *due = loop->slots[slot];
    if (!due)
        return;
    loop->slots[slot] = NULL;
    due->link = &due;
    while (due) {
        struct loop_timer *timer = due;
        loop_timer_clear(timer);
        if (timer->due_us <= loop->now_us)
            timer->fire(timer);
        else
            loop_timer_link(loop, timer);
    }
}

static void loop_serve_timers(struct loop *loop) {
    uint64_t tick = loop->now_us / LOOP_TICK_US;
    if (tick - loop->tick > LOOP_SLOTS)
        loop->tick = tick - LOOP_SLOTS;
    while (loop->tick < tick) {
        loop->tick++;
        loop_serve_slot(loop, loop->tick % LOOP_SLOTS);
    }
}

static int loop_wait_ms(const struct loop *loop, int wait_max_ms) {
    for (uint64_t i = 1; i <= LOOP_SLOTS; i++) {
        if (!loop->slots[(loop->tick + i) % LOOP_SLOTS])
            continue;
        uint64_t due_us = (loop->tick + i) * LOOP_TICK_US;
        uint64_t wait_us = due_us > loop->now_us ? due_us - loop->now_us : 0;
        int wait_ms = (int)((wait_us + 999) / 1000);
        return wait_ms < wait_max_ms ? wait_ms : wait_max_ms;
    }
    return wait_max_ms;
}

void loop_task_queue(struct loop *loop, struct loop_task *task) {
    assert(task->run);
    if (task->queued)
        return;
    task->queued = true;
    task->next = NULL;
    *loop->tasks_tail = task;
    loop->tasks_tail = &task->next;
}

void loop_bury(struct loop *loop, struct loop_task *task) {
    assert(!task->queued);
    task->next = loop->graves;
    loop->graves = task;
}

static void loop_run_tasks(struct loop *loop) {
    for (int rounds = 0; loop->tasks; rounds++) {
        assert(rounds < LOOP_TASK_ROUNDS_MAX);
        struct loop_task *task = loop->tasks;
        loop->tasks = task->next;
        if (!loop->tasks)
            loop->tasks_tail = &loop->tasks;
        task->queued = false;
        task->run(task);
    }
}

void loop_job_queue(struct loop *loop, struct loop_job *job, enum loop_rank rank) {
    assert(job->run);
    if (job->link)
        return;
    struct loop_queue *queue = &loop->queues[rank];
    job->rank = rank;
    job->next = NULL;
    job->link = queue->tail;
    *queue->tail = job;
    queue->tail = &job->next;
}

void loop_job_cancel(struct loop *loop, struct loop_job *job) {
    if (!job->link)
        return;
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    else
        loop->queues[job->rank].tail = job->link;
    job->link = NULL;
}

void loop_note_served(struct loop *loop) {
    if (loop->now_us - loop->noted_us < LOOP_SERVED_NOTE_US)
        return;
    loop->noted_us = loop->now_us;
    atomic_store_explicit(loop->served_us, loop->now_us, memory_order_relaxed);
}

void loop_note_cut(struct loop *loop) {
    loop->cut_us = loop->now_us;
}

void loop_share_served(struct loop *loop, atomic_ullong *served_us) {
    loop->served_us = served_us;
}

/* Runs jobs for a slice of time; when that ended. */
static uint64_t loop_run_slice(struct loop *loop, enum loop_rank rank, uint64_t begun_us) {
    struct loop_queue *queue = &loop->queues[rank];
    uint64_t now_us = begun_us;
    while (queue->jobs && now_us - begun_us < LOOP_JOBS_US) {
        struct loop_job *job = queue->jobs;
        loop_job_cancel(loop, job);
        job->run(job);
        loop_run_tasks(loop); /* what it costs is the job's time */
        now_us = clock_monotonic_us(loop->clock);
    }
    return now_us;
}

/* How long LOOP_LAST is still to rest. */
static uint64_t loop_rest_us(const struct loop *loop, uint64_t now_us) {
    uint64_t served_us = atomic_load_explicit(loop->served_us, memory_order_relaxed);
    if (now_us >= loop->rested_us || served_us + LOOP_SERVED_US < now_us)
        return 0;
    return loop->rested_us - now_us;
}

/* Counts the time that LOOP_LAST took. What it did not use before is worth one slice. */
static void loop_count_last(struct loop *loop, uint64_t begun_us, uint64_t ended_us) {
    bool is_cut = loop->cut_us > 0 && begun_us - loop->cut_us < LOOP_CUT_US;
    uint64_t share = is_cut ? LOOP_LAST_SHARE_CUT : LOOP_LAST_SHARE;
    uint64_t least_us = begun_us - share * LOOP_JOBS_US;
    if (loop->rested_us < least_us)
        loop->rested_us = least_us;
    loop->rested_us += share * (ended_us - begun_us);
}

static void loop_run_jobs(struct loop *loop) {
    if (!loop->queues[LOOP_NEXT].jobs && !loop->queues[LOOP_LAST].jobs)
        return;
    uint64_t begun_us = loop_run_slice(loop, LOOP_NEXT, clock_monotonic_us(loop->clock));
    if (!loop->queues[LOOP_LAST].jobs || loop_rest_us(loop, begun_us) > 0)
        return;
    loop_count_last(loop, begun_us, loop_run_slice(loop, LOOP_LAST, begun_us));
}

/* Serves a source; one that is watched for a single event is then not watched until it is changed.
 */
static void loop_serve_source(struct loop_source *source, uint32_t events) {
    if (!source->watched) /* removed earlier in this turn */
        return;
    if (source->events & EPOLLONESHOT)
        source->events = EPOLLONESHOT;
    source->ready(source, events);
}

/* Waits for events, no longer than for what else there is to do; their number, or -1. */
static int loop_wait(struct loop *loop, struct epoll_event *events, int wait_max_ms) {
    bool is_busy = loop->tasks || loop->graves || loop->queues[LOOP_NEXT].jobs;
    int wait_ms = is_busy ? 0 : loop_wait_ms(loop, wait_max_ms);
    if (!is_busy && wait_ms > 0 && loop->queues[LOOP_LAST].jobs) {
        uint64_t rest_us = loop_rest_us(loop, clock_monotonic_us(loop->clock));
        struct timespec rest = {(time_t)(rest_us / 1000000), (long)(rest_us % 1000000) * 1000};
        int count = epoll_pwait2(loop->epoll_fd, events, LOOP_EVENTS, &rest, NULL);
        if (count >= 0 || errno == EINTR)
            return count;
        wait_ms = rest_us > 0; /* before Linux 5.11 there are only whole milliseconds */
    }
    return epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, wait_ms);
}

enum sync_status loop_turn(struct loop *loop, int wait_max_ms) {
    struct epoll_event events[LOOP_EVENTS];
    int count = loop_wait(loop, events, wait_max_ms);
    if (count < 0 && errno != EINTR)
        return SYNC_ERR_IO;
    loop->now_us = clock_monotonic_us(loop->clock);
    loop->wall_us = 0;
    for (int i = 0; i < count; i++)
        loop_serve_source(events[i].data.ptr, events[i].events);
    loop_serve_timers(loop);
    loop_run_tasks(loop);
    loop_run_jobs(loop);
    loop_run_graves(loop);
    return SYNC_OK;
}
