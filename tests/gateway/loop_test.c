#include "gateway/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t time_us;

static uint64_t time_now(void *context) {
    (void)context;
    return time_us;
}

static const struct clock test_clock = {time_now, time_now, NULL};

static int fired[4];

struct numbered_timer {
    struct loop_timer timer;
    int number;
};

static void count_timer(struct loop_timer *timer) {
    fired[((struct numbered_timer *)timer)->number]++;
}

static struct loop *loop_made(void) {
    struct loop *loop = NULL;
    time_us = 1000000000;
    memset(fired, 0, sizeof fired);
    assert_int_equal(loop_open(&test_clock, &loop), SYNC_OK);
    return loop;
}

static void advance(struct loop *loop, uint64_t by_us) {
    time_us += by_us;
    assert_int_equal(loop_turn(loop, 0), SYNC_OK);
}

static void timers_fire_once_and_never_early(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    /* The second is far beyond one round of the wheel. */
    struct numbered_timer near = {{.fire = count_timer}, 0}, far = {{.fire = count_timer}, 1};
    loop_timer_set(loop, &near.timer, 500000);
    loop_timer_set(loop, &far.timer, 100000000);
    advance(loop, 499999);
    assert_int_equal(fired[0], 0);
    advance(loop, 128001);
    assert_int_equal(fired[0], 1);
    for (int i = 0; i < 99; i++) {
        advance(loop, 1000000);
        assert_int_equal(fired[1], 0);
    }
    advance(loop, 1000000);
    assert_int_equal(fired[0], 1);
    assert_int_equal(fired[1], 1);
    loop_close(loop);
}

static void a_cleared_timer_does_not_fire(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    struct numbered_timer timers[3] = {
        {{.fire = count_timer}, 0}, {{.fire = count_timer}, 1}, {{.fire = count_timer}, 2}};
    for (int i = 0; i < 3; i++)
        loop_timer_set(loop, &timers[i].timer, 100000);
    loop_timer_clear(&timers[1].timer);
    loop_timer_clear(&timers[1].timer);
    advance(loop, 1000000);
    assert_int_equal(fired[0] + fired[2], 2);
    assert_int_equal(fired[1], 0);
    loop_close(loop);
}

static struct loop_timer *victim;

static void clear_other(struct loop_timer *timer) {
    (void)timer;
    fired[3]++;
    loop_timer_clear(victim);
}

static void a_timer_may_clear_another_of_the_same_moment(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    struct numbered_timer first = {{.fire = count_timer}, 0};
    struct loop_timer second = {.fire = clear_other};
    victim = &first.timer;
    loop_timer_set(loop, &first.timer, 100000);
    loop_timer_set(loop, &second, 100000);
    advance(loop, 1000000);
    /* The one set last is served first. */
    assert_int_equal(fired[3], 1);
    assert_int_equal(fired[0], 0);
    loop_close(loop);
}

static char order[16];

struct lettered_task {
    struct loop_task task;
    struct loop *loop;
    struct loop_task *then;
    char letter;
};

static void note_task(struct loop_task *task) {
    struct lettered_task *self = (struct lettered_task *)task;
    size_t size = strlen(order);
    order[size] = self->letter;
    if (self->then)
        loop_task_queue(self->loop, self->then);
}

static void tasks_run_once_in_order_and_graves_last(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    memset(order, 0, sizeof order);
    struct lettered_task c = {{.run = note_task}, loop, NULL, 'c'};
    struct lettered_task a = {{.run = note_task}, loop, &c.task, 'a'};
    struct lettered_task b = {{.run = note_task}, loop, NULL, 'b'};
    struct lettered_task grave = {{.run = note_task}, loop, NULL, 'g'};
    loop_bury(loop, &grave.task);
    loop_task_queue(loop, &a.task);
    loop_task_queue(loop, &b.task);
    loop_task_queue(loop, &a.task);
    advance(loop, 0);
    assert_string_equal(order, "abcg");
    loop_close(loop);
}

struct counted_source {
    struct loop_source source;
    struct loop *loop;
    struct counted_source *removes;
    int count;
};

static void count_source(struct loop_source *source, uint32_t events) {
    struct counted_source *self = (struct counted_source *)source;
    assert_true(events & EPOLLIN);
    self->count++;
    if (self->removes && self->removes->source.watched)
        loop_source_remove(self->loop, &self->removes->source);
}

static void count_end(struct loop_source *source, uint32_t events) {
    assert_true(events & EPOLLHUP);
    ((struct counted_source *)source)->count++;
}

static void a_source_removed_in_a_turn_is_not_served_in_it(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    struct counted_source sources[2];
    for (int i = 0; i < 2; i++) {
        int fd = eventfd(1, EFD_NONBLOCK);
        assert_true(fd >= 0);
        sources[i] =
            (struct counted_source){{.fd = fd, .ready = count_source}, loop, &sources[1 - i], 0};
        assert_int_equal(loop_source_add(loop, &sources[i].source, EPOLLIN), SYNC_OK);
    }
    advance(loop, 0);
    assert_int_equal(sources[0].count + sources[1].count, 1);
    advance(loop, 0);
    assert_int_equal(sources[0].count + sources[1].count, 2);
    for (int i = 0; i < 2; i++) {
        if (sources[i].source.watched)
            loop_source_remove(loop, &sources[i].source);
        close(sources[i].source.fd);
    }
    loop_close(loop);
}

static void a_source_watched_for_nothing_is_told_of_its_end(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct counted_source source = {{.fd = ends[0], .ready = count_end}, loop, NULL, 0};
    assert_int_equal(loop_source_add(loop, &source.source, EPOLLIN), SYNC_OK);
    loop_source_change(loop, &source.source, 0);
    advance(loop, 0);
    assert_int_equal(source.count, 0);
    close(ends[1]);
    advance(loop, 0);
    assert_int_equal(source.count, 1);
    loop_source_remove(loop, &source.source);
    close(ends[0]);
    loop_close(loop);
}

static void a_source_watched_once_waits_to_be_changed(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    int fd = eventfd(1, EFD_NONBLOCK);
    struct counted_source source = {{.fd = fd, .ready = count_source}, loop, NULL, 0};
    assert_int_equal(loop_source_add(loop, &source.source, EPOLLIN | EPOLLONESHOT), SYNC_OK);
    for (int i = 0; i < 3; i++)
        advance(loop, 0);
    assert_int_equal(source.count, 1);
    loop_source_change(loop, &source.source, EPOLLIN | EPOLLONESHOT);
    for (int i = 0; i < 3; i++)
        advance(loop, 0);
    assert_int_equal(source.count, 2);
    loop_source_remove(loop, &source.source);
    close(fd);
    loop_close(loop);
}

/* A job that takes its time, and queues itself again where it shall. */
struct lettered_job {
    struct loop_job job;
    struct loop *loop;
    struct loop_task *then;
    uint64_t takes_us;
    bool again;
    char letter;
};

static void note_job(struct loop_job *job) {
    struct lettered_job *self = (struct lettered_job *)job;
    order[strlen(order)] = self->letter;
    time_us += self->takes_us;
    if (self->then)
        loop_task_queue(self->loop, self->then);
    if (self->again)
        loop_job_queue(self->loop, job, LOOP_LAST);
}

static void jobs_run_behind_all_else_in_slices_of_time(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    memset(order, 0, sizeof order);
    struct lettered_task then = {{.run = note_task}, loop, NULL, 't'};
    struct lettered_task task = {{.run = note_task}, loop, NULL, 'u'};
    struct lettered_job a = {{.run = note_job}, loop, &then.task, 90, true, 'a'};
    struct lettered_job b = {{.run = note_job}, loop, NULL, 110, false, 'b'};
    struct lettered_job c = {{.run = note_job}, loop, NULL, 1000, false, 'c'};
    loop_job_queue(loop, &a.job, LOOP_LAST);
    loop_job_queue(loop, &b.job, LOOP_LAST);
    loop_job_queue(loop, &c.job, LOOP_LAST);
    loop_job_queue(loop, &b.job, LOOP_LAST);
    loop_task_queue(loop, &task.task);
    advance(loop, 0);
    assert_string_equal(order, "uatb");
    loop_task_queue(loop, &task.task);
    advance(loop, 0);
    assert_string_equal(order, "uatbuc");
    a.again = false;
    advance(loop, 0);
    assert_string_equal(order, "uatbucat");
    loop_close(loop);
}

static void jobs_of_those_who_mean_well_go_first(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    memset(order, 0, sizeof order);
    struct lettered_job jobs[4];
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct lettered_job){{.run = note_job}, loop, NULL, 150, false, (char)('a' + i)};
        loop_job_queue(loop, &jobs[i].job, i % 2 == 0 ? LOOP_LAST : LOOP_NEXT);
    }
    advance(loop, 0);
    assert_string_equal(order, "bdac");
    loop_close(loop);
}

static void while_others_are_served_the_last_have_half_of_the_time(void **state) {
    (void)state;
    struct loop *loop = loop_made(), *other = loop_made();
    atomic_ullong served_us = 0;
    loop_share_served(loop, &served_us);
    loop_share_served(other, &served_us);
    loop_note_served(other);
    memset(order, 0, sizeof order);
    struct lettered_job last = {{.run = note_job}, loop, NULL, 200, true, 'l'};
    struct lettered_job next = {{.run = note_job}, loop, NULL, 0, false, 'n'};
    loop_job_queue(loop, &last.job, LOOP_LAST);
    for (int i = 0; i < 4; i++) /* at first with what they did not use before */
        advance(loop, 0);
    assert_string_equal(order, "lll");
    loop_job_queue(loop, &next.job, LOOP_NEXT);
    advance(loop, 199);
    assert_string_equal(order, "llln");
    advance(loop, 1);
    assert_string_equal(order, "lllnl");
    advance(loop, 0);
    assert_string_equal(order, "lllnl");
    /* With nobody else there the time is theirs. */
    advance(loop, 2000000);
    advance(loop, 0);
    advance(loop, 0);
    advance(loop, 0);
    assert_string_equal(order, "lllnlllll");
    loop_job_cancel(loop, &last.job);
    loop_close(loop);
    loop_close(other);
}

static void after_a_cut_the_last_have_an_eighth_of_the_time(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    memset(order, 0, sizeof order);
    struct lettered_job last = {{.run = note_job}, loop, NULL, 200, true, 'l'};
    advance(loop, 1000000);
    loop_note_served(loop);
    loop_note_cut(loop);
    loop_job_queue(loop, &last.job, LOOP_LAST);
    for (int i = 0; i < 9; i++) /* at first with what they did not use before */
        advance(loop, 0);
    size_t begun = strlen(order);
    for (int i = 0; i < 80; i++)
        advance(loop, 200);
    assert_in_range(strlen(order) - begun, 9, 11);
    loop_job_cancel(loop, &last.job);
    loop_close(loop);
}

static void a_cancelled_job_does_not_run(void **state) {
    (void)state;
    struct loop *loop = loop_made();
    memset(order, 0, sizeof order);
    struct lettered_job jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = (struct lettered_job){{.run = note_job}, loop, NULL, 0, false, (char)('a' + i)};
        loop_job_queue(loop, &jobs[i].job, LOOP_LAST);
    }
    loop_job_cancel(loop, &jobs[2].job);
    loop_job_cancel(loop, &jobs[0].job);
    loop_job_cancel(loop, &jobs[0].job);
    loop_job_queue(loop, &jobs[2].job, LOOP_LAST);
    advance(loop, 0);
    assert_string_equal(order, "bc");
    loop_close(loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_fire_once_and_never_early),
        cmocka_unit_test(a_cleared_timer_does_not_fire),
        cmocka_unit_test(a_timer_may_clear_another_of_the_same_moment),
        cmocka_unit_test(tasks_run_once_in_order_and_graves_last),
        cmocka_unit_test(a_source_removed_in_a_turn_is_not_served_in_it),
        cmocka_unit_test(a_source_watched_for_nothing_is_told_of_its_end),
        cmocka_unit_test(a_source_watched_once_waits_to_be_changed),
        cmocka_unit_test(jobs_run_behind_all_else_in_slices_of_time),
        cmocka_unit_test(jobs_of_those_who_mean_well_go_first),
        cmocka_unit_test(while_others_are_served_the_last_have_half_of_the_time),
        cmocka_unit_test(after_a_cut_the_last_have_an_eighth_of_the_time),
        cmocka_unit_test(a_cancelled_job_does_not_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
