#include "gateway/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    LOOP_SLOTS = 256,
    LOOP_TICK_US = 64000,
    LOOP_EVENTS = 128,
    /* A task may queue others (an answer wakes a connection); more rounds than this are a bug. */
    LOOP_TASK_ROUNDS_MAX = 100000,
    LOOP_JOBS_US = 200, /* of a turn: what others wait for at most, and a job */
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
    struct loop_job *jobs, **jobs_tail;
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
    loop->jobs_tail = &loop->jobs;
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
    if (loop->tasks || loop->graves || loop->jobs)
        return 0;
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

void loop_job_queue(struct loop *loop, struct loop_job *job) {
    assert(job->run);
    if (job->link)
        return;
    job->next = NULL;
    job->link = loop->jobs_tail;
    *loop->jobs_tail = job;
    loop->jobs_tail = &job->next;
}

void loop_job_cancel(struct loop *loop, struct loop_job *job) {
    if (!job->link)
        return;
    *job->link = job->next;
    if (job->next)
        job->next->link = job->link;
    else
        loop->jobs_tail = job->link;
    job->link = NULL;
}

static void loop_run_jobs(struct loop *loop) {
    if (!loop->jobs)
        return;
    uint64_t begun_us = clock_monotonic_us(loop->clock);
    do {
        struct loop_job *job = loop->jobs;
        loop_job_cancel(loop, job);
        job->run(job);
        loop_run_tasks(loop); /* what it costs is the job's time */
    } while (loop->jobs && clock_monotonic_us(loop->clock) - begun_us < LOOP_JOBS_US);
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

enum sync_status loop_turn(struct loop *loop, int wait_max_ms) {
    struct epoll_event events[LOOP_EVENTS];
    int count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, loop_wait_ms(loop, wait_max_ms));
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
