/* Calls passed through, between a client and a service that do as each case says. */
#include "base/memory.h"
#include "gateway/grpc_relay.h"
#include "tests/gateway/worker_fixture.h"

enum {
    LOOK_US = 5 * SECOND_US, /* how often a relay looks at its client's pace */
    LARGE = 40000,
};

/* What the client was told. */
struct client {
    struct grpc_relay relay;
    int heads, broken, refused, settled;
    size_t taken;
};

static struct client client;
static uint8_t large[GRPC_PREFIX_SIZE + LARGE]; /* a message */

static int setup_relay(void **state) {
    grpc_prefix_put(large, LARGE);
    return worker_setup(state);
}

static struct client *client_of(struct grpc_relay *relay) {
    return (struct client *)relay;
}

static void on_head(struct grpc_relay *relay, const struct transcode_header *fields, size_t count) {
    (void)fields, (void)count;
    client_of(relay)->heads++;
}

static void on_more(struct grpc_relay *relay) {
    (void)relay;
}

static void on_taken(struct grpc_relay *relay, size_t size) {
    client_of(relay)->taken += size;
}

static void on_settled(struct grpc_relay *relay) {
    client_of(relay)->settled++;
}

static void on_broken(struct grpc_relay *relay, bool refused) {
    client_of(relay)->broken++;
    client_of(relay)->refused += refused;
}

static void call_begin(const char *timeout) {
    static const struct grpc_relay_sink sink = {on_head, on_more, on_taken, on_settled, on_broken};
    static struct transcode_header headers[] = {
        {{(const uint8_t *)"authorization", 13}, {(const uint8_t *)"Bearer x", 8}}};
    const struct grpc_relay_request request = {.path = SLICE("/p.S/M"),
                                               .content_type = SLICE("application/grpc"),
                                               .timeout = slice_text(timeout),
                                               .peer = &worker_peer,
                                               .client_ip = &worker_peer.ip,
                                               .headers = headers,
                                               .header_count = 1};
    client = (struct client){.heads = 0};
    grpc_relay_begin(&client.relay, &worker, &sink, &request);
    both_turn();
}

static void client_send(size_t from, size_t to) {
    grpc_relay_body(&client.relay, slice_of(large + from, to - from));
    both_turn();
}

/* The value of a field of the end, empty where it has none. */
static struct slice end_field(const char *name) {
    const struct grpc_relay_end *end = grpc_relay_ended(&client.relay);
    for (size_t i = 0; end && i < end->count; i++) {
        if (slice_equal(end->list[i].name, slice_text(name)))
            return end->list[i].value;
    }
    return SLICE_EMPTY;
}

static void assert_ended(const char *code) {
    assert_non_null(grpc_relay_ended(&client.relay));
    assert_true(slice_equal(end_field("grpc-status"), slice_text(code)));
}

static void a_call_is_passed_through(void **state) {
    (void)state;
    call_begin("");
    client_send(0, sizeof large);
    grpc_relay_body_end(&client.relay);
    both_turn();
    assert_true(service->request_ended);
    assert_int_equal(client.taken, sizeof large);
    assert_true(slice_equal(buffer_slice(&service->request), slice_of(large, sizeof large)));
    service_answer(service, REQUEST);
    both_turn();
    assert_int_equal(client.heads, 1);
    assert_true(slice_equal(grpc_relay_ready(&client.relay), REQUEST));
    grpc_relay_take(&client.relay, sizeof request_bytes);
    assert_ended("0");
    grpc_relay_close(&client.relay);
    assert_int_equal(client.settled, 1);
}

static void a_message_that_trickles_in_ends_the_call(void **state) {
    (void)state;
    call_begin("");
    for (size_t second = 0; second < 11; second++) {
        client_send(second, second + 1);
        time_pass(SECOND_US);
    }
    assert_ended("4");
    assert_true(service->reset);
    grpc_relay_close(&client.relay);
}

static void a_message_that_has_just_begun_is_not_slow(void **state) {
    (void)state;
    static const uint8_t empty[GRPC_PREFIX_SIZE];
    call_begin("");
    grpc_relay_body(&client.relay, slice_of(empty, 1));
    grpc_relay_body(&client.relay, slice_of(empty, 4));
    time_pass(LOOK_US - SECOND_US / 2);
    client_send(0, 3); /* the next message begins, and the look comes */
    time_pass(SECOND_US);
    assert_null(grpc_relay_ended(&client.relay));
    client_send(3, sizeof large);
    time_pass(LOOK_US);
    assert_null(grpc_relay_ended(&client.relay));
    grpc_relay_close(&client.relay);
}

/* Has the service send a message that the client does not take. */
static void fill_client(void) {
    service_answer(service, slice_of(large, sizeof large));
    both_turn();
    assert_int_equal(grpc_relay_ready(&client.relay).size, sizeof large);
}

static void what_a_client_does_not_take_counts_as_held(void **state) {
    (void)state;
    call_begin("");
    grpc_relay_body_end(&client.relay);
    both_turn();
    fill_client();
    assert_int_equal(atomic_load(&gateway.buffered_bytes), sizeof large);
    grpc_relay_take(&client.relay, 1000);
    assert_int_equal(atomic_load(&gateway.buffered_bytes), sizeof large - 1000);
    grpc_relay_close(&client.relay);
}

static void who_takes_nothing_goes_in_a_minute_or_at_once_where_memory_is_scarce(void **state) {
    (void)state;
    for (int scarce = 0; scarce < 2; scarce++) {
        call_begin("");
        grpc_relay_body_end(&client.relay);
        both_turn();
        fill_client();
        gateway.limits.buffered_bytes_max = scarce ? sizeof large : WORKER_BUFFERED_MAX;
        time_pass(LOOK_US + SECOND_US);
        assert_int_equal(client.broken, scarce);
        time_pass(12 * LOOK_US);
        assert_int_equal(client.broken, 1);
        grpc_relay_close(&client.relay);
    }
}

static void an_answer_beyond_what_the_gateway_may_hold_ends_its_call(void **state) {
    (void)state;
    gateway.limits.buffered_bytes_max = 1000;
    call_begin("");
    grpc_relay_body_end(&client.relay);
    both_turn();
    service_answer(service, slice_of(large, sizeof large));
    both_turn();
    assert_ended("8");
    grpc_relay_close(&client.relay);
}

static void a_drain_keeps_a_deadline_that_is_sooner(void **state) {
    (void)state;
    call_begin("2S");
    grpc_relay_drain(&client.relay);
    time_pass(4 * SECOND_US);
    assert_ended("4");
    grpc_relay_close(&client.relay);
    call_begin("500S");
    grpc_relay_drain(&client.relay);
    time_pass(28 * SECOND_US);
    assert_ended("14");
    grpc_relay_close(&client.relay);
}

static void an_answer_that_is_no_grpc_ends_as_one(void **state) {
    (void)state;
    const nghttp2_nv heads[][2] = {
        {nv(":status", "503"), nv("content-type", "application/grpc")},
        {nv(":status", "200"), nv("content-type", "text/html")},
    };
    for (size_t i = 0; i < 2; i++) {
        call_begin("");
        grpc_relay_body_end(&client.relay);
        both_turn();
        service_end(service, REQUEST, "7", heads[i], 2);
        both_turn();
        assert_int_equal(client.heads, 0);
        assert_int_equal(grpc_relay_ready(&client.relay).size, 0);
        assert_ended("7");
        assert_true(slice_equal(end_field("content-type"), SLICE("application/grpc")));
        grpc_relay_close(&client.relay);
    }
}

static void a_service_that_goes_away_in_mid_stream_is_told(void **state) {
    (void)state;
    call_begin("");
    client_send(0, 10);
    scripted_peer_hang_up(&service->peer);
    both_turn();
    assert_ended("14");
    client_send(10, sizeof large); /* for nobody; the client may end it in peace */
    assert_int_equal(client.taken, sizeof large);
    grpc_relay_close(&client.relay);
}

/* A call there and back, while the n-th allocation fails; 0: none. Tells how many there were. */
static uint64_t live_through(uint64_t n) {
    memory_fail_after(n);
    call_begin("9S");
    client_send(0, 100);
    client_send(100, sizeof large);
    grpc_relay_body_end(&client.relay);
    both_turn();
    uint64_t count = memory_count();
    memory_fail_after(0);
    if (service->peer.session && service->request_ended)
        service_answer(service, slice_of(large, sizeof large));
    memory_fail_after(n > count ? n - count : 0);
    both_turn();
    grpc_relay_take(&client.relay, grpc_relay_ready(&client.relay).size);
    count += memory_count();
    memory_fail_after(0);
    time_pass(12 * SECOND_US);
    if (!client.broken)
        assert_non_null(grpc_relay_ended(&client.relay));
    grpc_relay_close(&client.relay);
    return count;
}

static void it_lives_through_every_failed_allocation(void **state) {
    uint64_t count = live_through(0);
    assert_in_range(count, 5, 200);
    for (uint64_t n = 1; n <= count; n++) {
        worker_teardown(state);
        setup_relay(state);
        live_through(n);
    }
}

#define TEST_RELAY(name) cmocka_unit_test_setup_teardown(name, setup_relay, worker_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_RELAY(a_call_is_passed_through),
        TEST_RELAY(a_message_that_trickles_in_ends_the_call),
        TEST_RELAY(a_message_that_has_just_begun_is_not_slow),
        TEST_RELAY(what_a_client_does_not_take_counts_as_held),
        TEST_RELAY(who_takes_nothing_goes_in_a_minute_or_at_once_where_memory_is_scarce),
        TEST_RELAY(an_answer_beyond_what_the_gateway_may_hold_ends_its_call),
        TEST_RELAY(a_drain_keeps_a_deadline_that_is_sooner),
        TEST_RELAY(an_answer_that_is_no_grpc_ends_as_one),
        TEST_RELAY(a_service_that_goes_away_in_mid_stream_is_told),
        TEST_RELAY(it_lives_through_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
