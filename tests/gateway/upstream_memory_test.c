/* The upstream without memory, at each place where it takes some. */
#include "tests/gateway/upstream_fixture.h"

#include "base/memory.h"

enum { ALLOCATIONS_MAX = 60 };

/* Lets time pass while the services take every connection that comes. */
static void serve(uint64_t us) {
    for (uint64_t passed = 0; passed < us; passed += 100000) {
        for (int i = 0; i < 2; i++) {
            if (!scripted_peer_is_called(&services[i].peer))
                continue;
            scripted_peer_hang_up(&services[i].peer);
            service_accept(&services[i]);
        }
        time_pass(100000);
    }
}

/* Connects, checks, calls and calls again, while the n-th allocation fails; 0: none. Tells how many
 * there were. */
static uint64_t live_through(uint64_t n) {
    struct caller caller;
    setup_closed(NULL);
    policy.health_interval_us = 1000000;
    upstream_open_all(2);
    caller_init(&caller, REQUEST);
    memory_fail_after(n);
    serve(200000);
    enum sync_status status = upstream_start(upstream, &caller.call);
    assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY ||
                status == SYNC_ERR_UNAVAILABLE);
    both_turn();
    for (int i = 0; i < 2; i++) {
        if (services[i].calls && services[i].peer.session)
            service_refuse(&services[i], NGHTTP2_REFUSED_STREAM);
    }
    serve(1500000);
    scripted_peer_hang_up(&services[0].peer);
    serve(500000);
    uint64_t count = memory_count();
    memory_fail_after(0);
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
    /* What failed for once is made up for. */
    serve(5000000);
    caller_call(&caller);
    assert_int_equal(services[0].calls + services[1].calls > 0, true);
    assert_true(upstream_call_is_active(&caller.call));
    upstream_call_cancel(&caller.call);
    caller_free(&caller);
    teardown(NULL);
    return count;
}

static void it_lives_through_every_failed_allocation(void **state) {
    (void)state;
    uint64_t count = live_through(0);
    assert_in_range(count, 5, ALLOCATIONS_MAX);
    for (uint64_t n = 1; n <= count; n++)
        live_through(n);
}

static void it_opens_whole_or_not_at_all(void **state) {
    (void)state;
    static uint8_t scratch[1024];
    struct sync_error error;
    struct resolver *resolver = NULL;
    const struct resolver_options targets = {.targets = "127.0.0.1:1,127.0.0.1:2"};
    setup_closed(state);
    assert_int_equal(resolver_open(&targets, &error, &resolver), SYNC_OK);
    const struct upstream_options options = {.loop = loop,
                                             .resolver = resolver,
                                             .policy = &policy,
                                             .scratch = scratch,
                                             .scratch_size = sizeof scratch};
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    int failures = 0;
    for (uint64_t n = 1; status != SYNC_OK; n++, failures += status != SYNC_OK) {
        memory_fail_after(n);
        status = upstream_open(&options, &upstream);
        memory_fail_after(0);
        assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
        loop_turn(loop, 0);
    }
    assert_true(failures >= 2);
    upstream = upstream_close(upstream);
    loop_turn(loop, 0);
    resolver_close(resolver);
    teardown(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_lives_through_every_failed_allocation),
        cmocka_unit_test(it_opens_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
