/* Requests of lines of JSON as exchanges, against a service that does as each case says. */
#include "base/memory.h"
#include "tests/gateway/worker_fixture.h"

enum { LOOK_US = 5 * SECOND_US }; /* how often the pace of a line is looked at */

static const char lines_type[] = "application/x-ndjson";

/* Ends the exchange, whose answer must have this status and text. */
static void expect(int status, const char *text) {
    struct buffer body;
    buffer_init(&body, 1 << 20);
    assert_int_equal(http_client.answers, 1);
    assert_int_equal(exchange_answer(http_client.exchange)->status, status);
    http_take(&body);
    if (!body.data || !memmem(body.data, body.size, text, strlen(text)))
        fail_msg("%.*s", (int)body.size, (const char *)body.data);
    exchange_close(http_client.exchange);
    buffer_done(&body);
}

static void lines_are_messages_and_blank_ones_nothing(void **state) {
    (void)state;
    static const char body[] = "\n{}\r\n  \n\r\n\t\n{\"payload\":{\"type\":1}}\n\n{}";
    http_begin("/v1/input", lines_type);
    for (size_t i = 0; i < sizeof body - 1; i++)
        http_body(slice_of(body + i, 1));
    http_body_end();
    assert_true(service->request_ended);
    assert_true(slice_equal(buffer_slice(&service->request),
                            SLICE("\0\0\0\0\0\0\0\0\0\4\x0a\2\x08\1\0\0\0\0\0")));
    service_answer(service, SLICE("\0\0\0\0\2\x08\7"));
    both_turn();
    expect(200, "{\"aggregatedPayloadSize\":7}");
}

static void a_line_that_is_no_json_names_itself(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"payload\":", "{\"payload\":{\"body\":\"\xff\"}}", "\0", "{}{}", "[{}]", "{\"none\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        http_begin("/v1/input", lines_type);
        http_body(SLICE("{}\n\n"));
        http_body(i == 2 ? slice_of(bad[i], 1) : slice_text(bad[i]));
        http_body(SLICE("\n"));
        expect(400, "line 3: ");
        both_turn();
        assert_true(service->reset);
    }
}

static void a_line_that_trickles_in_ends_the_call(void **state) {
    (void)state;
    http_begin("/v1/input", lines_type);
    for (int second = 0; second < 11 && !http_client.answers; second++) {
        http_body(SLICE("{"));
        time_pass(SECOND_US);
    }
    expect(408, "the body came too slowly");
}

static void a_line_that_has_just_begun_is_not_slow(void **state) {
    (void)state;
    http_begin("/v1/input", lines_type);
    http_body(SLICE("{"));
    http_body(SLICE("}\n"));
    time_pass(LOOK_US - SECOND_US / 2);
    http_body(SLICE("{\"pay")); /* the next line begins, and the look comes */
    time_pass(SECOND_US);
    assert_int_equal(http_client.answers, 0);
    http_body(SLICE("load\":{}}\n"));
    time_pass(2 * LOOK_US);
    assert_int_equal(http_client.answers, 0);
    exchange_close(http_client.exchange);
}

static void a_client_that_goes_cancels_the_call(void **state) {
    (void)state;
    http_begin("/v1/duplex", lines_type);
    http_body(SLICE("{}\n{"));
    exchange_close(http_client.exchange);
    both_turn();
    assert_true(service->reset);
    assert_int_equal(service->reset_code, NGHTTP2_CANCEL);
}

/* A request there and its answer back, while the n-th allocation fails; 0: none. Tells how many
 * there were. */
static uint64_t live_through(uint64_t n, const char *path) {
    struct buffer answer;
    buffer_init(&answer, 1 << 20);
    memory_fail_after(n);
    http_begin(path, lines_type);
    if (http_client.exchange) {
        http_body(SLICE("{\"payload\":{\"ty"));
        http_body(SLICE("pe\":1}}\n{}\n"));
        http_body(SLICE("{}"));
        http_body_end();
    }
    uint64_t count = memory_count();
    memory_fail_after(0);
    if (service->peer.session && service->request_ended)
        service_answer(service, SLICE("\0\0\0\0\0"));
    memory_fail_after(n > count ? n - count : 0);
    both_turn();
    count += memory_count();
    memory_fail_after(0);
    time_pass(3 * SECOND_US);
    if (http_client.exchange) {
        assert_in_range(http_client.answers + http_client.broken, 1, 2);
        http_take(&answer);
        assert_true(http_client.broken || exchange_is_over(http_client.exchange));
        exchange_close(http_client.exchange);
    }
    buffer_done(&answer);
    return count;
}

static void it_lives_through_every_failed_allocation(void **state) {
    static const char *const paths[] = {"/v1/input", "/v1/duplex"};
    for (int i = 0; i < 2; i++) {
        worker_teardown(state);
        worker_setup(state);
        uint64_t count = live_through(0, paths[i]);
        assert_in_range(count, 10, 300);
        for (uint64_t n = 1; n <= count; n++) {
            worker_teardown(state);
            worker_setup(state);
            live_through(n, paths[i]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_WORKER(lines_are_messages_and_blank_ones_nothing),
        TEST_WORKER(a_line_that_is_no_json_names_itself),
        TEST_WORKER(a_line_that_trickles_in_ends_the_call),
        TEST_WORKER(a_line_that_has_just_begun_is_not_slow),
        TEST_WORKER(a_client_that_goes_cancels_the_call),
        TEST_WORKER(it_lives_through_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
