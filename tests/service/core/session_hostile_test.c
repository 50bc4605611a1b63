/* Devices that do anything: whatever comes, the session answers, ends in order, and stays small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"
#include "service/core/session.h"
#include "tests/service/core/session_hostile.h"

enum { SCRIPTS = 3000, SCRIPT_MAX = 600, MEMORY_BOUND = 1 << 20 };

static uint64_t random_state;

static uint32_t pick(uint32_t below) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % below;
}

static void any_bytes_are_a_script_that_holds(void **state) {
    (void)state;
    uint8_t script[SCRIPT_MAX];
    for (int i = 0; i < SCRIPTS; i++) {
        size_t size = 1 + pick(SCRIPT_MAX - 1);
        for (size_t at = 0; at < size; at++)
            script[at] = (uint8_t)pick(256);
        struct hostile_outcome outcome = hostile_run(slice_of(script, size));
        assert_true(outcome.memory_bytes < MEMORY_BOUND);
    }
}

/* A step by chance, most often one after which the session goes on. */
static size_t put_step(uint8_t *at) {
    enum hostile_step step = 2 + pick(HOSTILE_STEPS - 2);
    bool is_rare = step == HOSTILE_EVENT || step == HOSTILE_TOKEN || step == HOSTILE_PAUSE;
    if (is_rare && pick(10) > 0)
        step = pick(2) ? HOSTILE_SENT : HOSTILE_ANSWER;
    at[0] = (uint8_t)step;
    at[1] = (uint8_t)pick(step == HOSTILE_TIME ? 10 : 30);
    at[2] = (uint8_t)pick(pick(40) ? 224 : 256);
    if (step == HOSTILE_PAUSE)
        at[1] = (uint8_t)(pick(10) ? pick(2) : 2);
    if (step == HOSTILE_ANSWER)
        return 3;
    return step == HOSTILE_ACK || step == HOSTILE_TOKEN || step == HOSTILE_SENT ? 1 : 2;
}

static void after_hello_any_order_of_messages_holds(void **state) {
    (void)state;
    uint8_t script[SCRIPT_MAX];
    size_t ended = 0, messages = 0;
    for (int i = 0; i < SCRIPTS; i++) {
        uint8_t begin[] = {(uint8_t)pick(2), HOSTILE_HELLO, (uint8_t)pick(16),
                           HOSTILE_ANSWER,   SESSION_OPEN,  (uint8_t)pick(224)};
        size_t at = sizeof begin;
        memcpy(script, begin, at);
        while (at + 3 < SCRIPT_MAX)
            at += put_step(script + at);
        struct hostile_outcome outcome = hostile_run(slice_of(script, at));
        assert_true(outcome.memory_bytes < MEMORY_BOUND);
        ended += outcome.has_ended;
        messages += outcome.messages;
    }
    printf("%zu of %d sessions ended, %zu messages\n", ended, SCRIPTS, messages);
    assert_true(ended > SCRIPTS / 10 && messages > (size_t)5 * SCRIPTS);
}

/* A session that does a bit of everything, and goes on. */
static const uint8_t WALK[] = {
    1,
    HOSTILE_HELLO,
    3,
    HOSTILE_ANSWER,
    SESSION_OPEN,
    0,
    HOSTILE_SENT,
    HOSTILE_ANSWER,
    SESSION_ACKNOWLEDGE,
    0,
    HOSTILE_ANSWER,
    SESSION_PAGE,
    2,
    HOSTILE_SENT,
    HOSTILE_SENT,
    HOSTILE_ACK,
    HOSTILE_ANSWER,
    SESSION_PAGE,
    2 + 4 + 8,
    HOSTILE_SENT,
    HOSTILE_SENT,
    HOSTILE_SENT,
    HOSTILE_ANSWER,
    SESSION_REPORT,
    0,
    HOSTILE_ACK,
    HOSTILE_ANSWER,
    SESSION_ACKNOWLEDGE,
    0,
    HOSTILE_BATCH,
    3,
    HOSTILE_BATCH,
    0,
    HOSTILE_ANSWER,
    SESSION_APPLY,
    1 + 4 + 8,
    HOSTILE_SENT,
    HOSTILE_SENT,
    HOSTILE_ANSWER,
    SESSION_CONFLICT,
    1,
    HOSTILE_SENT,
    HOSTILE_TOKEN,
    HOSTILE_ANSWER,
    SESSION_TOKEN,
    100,
    HOSTILE_SENT,
    HOSTILE_COMMIT,
    2,
    HOSTILE_ANSWER,
    SESSION_PAGE,
    1 + 4,
    HOSTILE_SENT,
};

static void each_allocation_that_fails_ends_the_session_in_order(void **state) {
    (void)state;
    struct hostile_outcome outcome = hostile_run(slice_of(WALK, sizeof WALK));
    assert_false(outcome.has_ended);
    assert_true(outcome.messages >= 8);
    uint64_t count = 0, failed = 0;
    do {
        memory_fail_after(++count);
        outcome = hostile_run(slice_of(WALK, sizeof WALK));
        failed = memory_count() >= count;
        memory_fail_after(0);
        assert_true(outcome.has_ended == (failed == 1));
        assert_int_equal(outcome.status, failed ? SYNC_ERR_NO_MEMORY : SYNC_OK);
    } while (failed);
    assert_true(count > 30);
}

int main(void) {
    const char *text = getenv("CORE_TEST_SEED");
    random_state = text ? strtoull(text, NULL, 10) : 20261122;
    printf("seed %llu\n", (unsigned long long)random_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bytes_are_a_script_that_holds),
        cmocka_unit_test(after_hello_any_order_of_messages_holds),
        cmocka_unit_test(each_allocation_that_fails_ends_the_session_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
