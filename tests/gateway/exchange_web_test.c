/* gRPC-Web calls as exchanges, against a service that does as each case says. */
#include "base/json_text.h"
#include "base/memory.h"
#include "tests/gateway/worker_fixture.h"

enum { PIECE = 16 << 10, UNTAKEN_MAX = 512 << 10, MESSAGE = 3 << 20, ANSWER = 1000000 };

static const char text_type[] = "application/grpc-web-text+proto";
static const char binary_type[] = "application/grpc-web+proto";

/* A message of that size as a body, in base64 or not. */
static void body_make(struct buffer *body, size_t size, bool text) {
    struct buffer plain;
    buffer_init(&plain, size + GRPC_PREFIX_SIZE);
    buffer_init(body, 2 * size + 64);
    uint8_t *room = buffer_reserve(&plain, size + GRPC_PREFIX_SIZE);
    assert_non_null(room);
    memset(room, 'a', size + GRPC_PREFIX_SIZE);
    grpc_prefix_put(room, size);
    buffer_advance(&plain, size + GRPC_PREFIX_SIZE);
    if (text)
        base64_append(body, buffer_slice(&plain));
    else
        buffer_append(body, buffer_slice(&plain));
    buffer_done(&plain);
}

/* Sends as much as a client may that is granted a window, while the service does nothing. */
static void rush(struct slice body) {
    while (http_client.sent < body.size &&
           http_client.sent - http_client.taken < (size_t)UNTAKEN_MAX) {
        struct slice rest = slice_after(body, http_client.sent);
        http_body_rush(slice_first(rest, rest.size < PIECE ? rest.size : PIECE));
    }
}

static void a_client_waits_for_a_service_that_does_not_read(void **state) {
    (void)state;
    for (int text = 0; text < 2; text++) {
        struct buffer body;
        buffer_clear(&service->request);
        body_make(&body, MESSAGE, text);
        http_begin("/p.S/M", text ? text_type : binary_type);
        rush(buffer_slice(&body));
        assert_true(http_client.sent < body.size);
        assert_in_range(atomic_load(&gateway.buffered_bytes), UNTAKEN_MAX / 2, 8 * UNTAKEN_MAX);
        while (http_client.sent < body.size) {
            both_turn();
            rush(buffer_slice(&body));
        }
        http_body_end();
        assert_int_equal(http_client.taken, http_client.sent);
        assert_int_equal(service->request.size, MESSAGE + GRPC_PREFIX_SIZE);
        exchange_close(http_client.exchange);
        both_turn();
        assert_true(service->reset);
        buffer_done(&body);
    }
}

static void what_comes_after_the_end_is_taken(void **state) {
    (void)state;
    for (int text = 0; text < 2; text++) {
        struct buffer body;
        body_make(&body, MESSAGE, text);
        http_begin("/p.S/M", text ? text_type : binary_type);
        rush(buffer_slice(&body));
        service_fail(service, "7");
        both_turn();
        rush(buffer_slice(&body));
        assert_int_equal(http_client.sent, body.size);
        assert_int_equal(http_client.taken, body.size);
        exchange_close(http_client.exchange);
        buffer_done(&body);
    }
}

static void what_a_client_does_not_take_waits_where_it_counts(void **state) {
    (void)state;
    for (int text = 0; text < 2; text++) {
        struct buffer message, answer, plain;
        body_make(&message, ANSWER, false);
        buffer_init(&answer, 4 * ANSWER);
        buffer_init(&plain, 4 * ANSWER);
        http_begin("/p.S/M", text ? text_type : binary_type);
        http_body_end();
        service_answer(service, buffer_slice(&message));
        both_turn();
        for (int turn = 0; turn < 3; turn++) {
            struct slice ready = exchange_ready(http_client.exchange);
            assert_in_range(ready.size, 1, 256 << 10);
            assert_true(atomic_load(&gateway.buffered_bytes) > ANSWER / 2);
            buffer_append(&answer, ready);
            exchange_take(http_client.exchange, ready.size);
        }
        http_take(&answer);
        assert_true(exchange_is_over(http_client.exchange));
        exchange_close(http_client.exchange);
        for (struct slice rest = buffer_slice(&answer); text && rest.size > 0;
             rest = slice_after(rest, 4))
            assert_true(base64_decode(slice_first(rest, 4), &plain));
        struct slice got = buffer_slice(text ? &plain : &answer);
        assert_true(slice_starts_with(got, buffer_slice(&message)));
        assert_non_null(
            memmem(got.data + message.size, got.size - message.size, "grpc-status: 0\r\n", 16));
        buffer_done(&message);
        buffer_done(&answer);
        buffer_done(&plain);
    }
}

/* The body of an answer to this text. */
static void answer_to(const char *text, struct buffer *out) {
    buffer_init(out, 1 << 20);
    http_begin("/p.S/M", text_type);
    for (size_t i = 0; text[i]; i++)
        http_body(slice_of(text + i, 1));
    http_body_end();
    assert_int_equal(http_client.answers, 1);
    http_take(out);
    assert_true(exchange_is_over(http_client.exchange));
    exchange_close(http_client.exchange);
}

static void broken_base64_is_refused_wherever_it_breaks(void **state) {
    (void)state;
    static const char *const texts[] = {
        "AAAAAA",     "AAAA=AAA", "A===",     "AA=A", "====",       "AAAA*",
        "AAAAAAA=\n", "AAAAAB==", "AAAAAAA_", "AAA",  "AAAAAAE=AA",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct buffer answer, plain;
        answer_to(texts[i], &answer);
        buffer_init(&plain, 1 << 20);
        assert_true(base64_decode(buffer_slice(&answer), &plain));
        if (!memmem(plain.data, plain.size, "grpc-status: 3\r\n", 16))
            fail_msg("%s: %.*s", texts[i], (int)plain.size, (const char *)plain.data);
        buffer_done(&answer);
        buffer_done(&plain);
    }
}

/* A call there and back, while the n-th allocation fails; 0: none. Tells how many there were. */
static uint64_t live_through(uint64_t n, bool text) {
    struct buffer body, answer;
    body_make(&body, 30000, text);
    buffer_init(&answer, 1 << 20);
    memory_fail_after(n);
    http_begin("/p.S/M", text ? text_type : binary_type);
    if (http_client.exchange) {
        http_body(slice_first(buffer_slice(&body), 1001));
        http_body(slice_after(buffer_slice(&body), 1001));
        http_body_end();
    }
    uint64_t count = memory_count();
    memory_fail_after(0);
    if (service->peer.session && service->request_ended)
        service_answer(service, buffer_slice(&service->request));
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
    buffer_done(&body);
    buffer_done(&answer);
    return count;
}

static void it_lives_through_every_failed_allocation(void **state) {
    for (int text = 0; text < 2; text++) {
        worker_teardown(state);
        worker_setup(state);
        uint64_t count = live_through(0, text);
        assert_in_range(count, 10, 300);
        for (uint64_t n = 1; n <= count; n++) {
            worker_teardown(state);
            worker_setup(state);
            live_through(n, text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST_WORKER(a_client_waits_for_a_service_that_does_not_read),
        TEST_WORKER(what_comes_after_the_end_is_taken),
        TEST_WORKER(what_a_client_does_not_take_waits_where_it_counts),
        TEST_WORKER(broken_base64_is_refused_wherever_it_breaks),
        TEST_WORKER(it_lives_through_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
