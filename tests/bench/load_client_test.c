// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/load_client.h"
#include "tests/bench/load_request.h"

enum { LATE_US = 200000 };

/* A gateway of one connection, whose every answer is late. */
struct late_gateway {
    int listener;
    uint16_t port;
    pthread_t thread;
};

static void *late_gateway_run(void *context) {
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    struct late_gateway *gateway = context;
    char request[4096];
    int fd = accept(gateway->listener, NULL, NULL);
    while (recv(fd, request, sizeof request, 0) > 0) {
        usleep(LATE_US);
        if (send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
            break;
    }
    close(fd);
    return NULL;
}

static void late_gateway_open(struct late_gateway *gateway) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    gateway->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(gateway->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(gateway->listener, 1), 0);
    assert_int_equal(getsockname(gateway->listener, (struct sockaddr *)&address, &size), 0);
    gateway->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&gateway->thread, NULL, late_gateway_run, gateway), 0);
}

static void late_gateway_close(struct late_gateway *gateway) {
    pthread_join(gateway->thread, NULL);
    close(gateway->listener);
}

/* A file of one line; the path is static memory. */
static const char *line_file(const char *line) {
    static char path[512];
    const char *top = getenv("TEST_TMPDIR") ? getenv("TEST_TMPDIR") : ".";
    snprintf(path, sizeof path, "%s/line", top);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(line, file);
    fclose(file);
    return path;
}

static void an_answer_after_the_measured_time_is_among_the_latencies(void **state) {
    (void)state;
    struct late_gateway gateway;
    late_gateway_open(&gateway);
    const char *line = line_file("/target-and-token\n");
    const struct load_options options = {.mode = LOAD_PULL,
                                         .host = "127.0.0.1",
                                         .port = gateway.port,
                                         .clients = 1,
                                         .tokens_path = line,
                                         .targets_path = line,
                                         .accept_encoding = "identity",
                                         .warm_ms = 0,
                                         .measure_ms = 1,
                                         .requests_max = 10};
    struct sync_error error = {0};
    struct load_result result = {0};
    assert_int_equal(load_run(&options, &error, &result), SYNC_OK);
    assert_int_equal(result.latency_count, 1);
    assert_true(result.latencies_us[0] >= LATE_US);
    load_result_done(&result);
    late_gateway_close(&gateway);
}

static void a_post_needs_no_token(void **state) {
    (void)state;
    struct late_gateway gateway;
    late_gateway_open(&gateway);
    const char *line = line_file("/target-and-body\n");
    const struct load_options options = {.mode = LOAD_POST,
                                         .host = "127.0.0.1",
                                         .port = gateway.port,
                                         .clients = 1,
                                         .body_path = line,
                                         .targets_path = line,
                                         .each = 1,
                                         .measure_ms = 1,
                                         .requests_max = 10};
    struct sync_error error = {0};
    struct load_result result = {0};
    assert_int_equal(load_run(&options, &error, &result), SYNC_OK);
    assert_int_equal(result.requests, 1);
    load_result_done(&result);
    late_gateway_close(&gateway);
}

static void a_post_says_how_long_its_body_is(void **state) {
    (void)state;
    const struct load_caller caller = {.host = "here:1"};
    struct load_request request;
    assert_int_equal(load_request_post(&request, &caller, "/v1/echo", SLICE("{\"a\":1}")), SYNC_OK);
    struct slice expected =
        SLICE("POST /v1/echo HTTP/1.1\r\nHost: here:1\r\nContent-Type: application/json\r\n"
              "Content-Length: 7\r\n\r\n{\"a\":1}");
    assert_true(slice_equal(buffer_slice(&request.bytes), expected));
    assert_int_equal(request.body_bytes, 7);
    load_request_done(&request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_after_the_measured_time_is_among_the_latencies),
        cmocka_unit_test(a_post_needs_no_token),
        cmocka_unit_test(a_post_says_how_long_its_body_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
