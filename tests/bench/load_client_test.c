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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_after_the_measured_time_is_among_the_latencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
