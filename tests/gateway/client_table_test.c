#include "gateway/client_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static uint64_t now_us = 1000000;

static uint64_t clock_read(void *context) {
    (void)context;
    return now_us;
}

static const struct clock by_hand = {.now_us = clock_read, .monotonic_us = clock_read};

static struct ip ip_of(const char *text) {
    struct ip ip;
    assert_true(ip_parse(slice_text(text), &ip));
    return ip;
}

static void connections_are_bound_for_each_client(void **state) {
    (void)state;
    struct client_table *table =
        client_table_open(&(struct client_limits){.connections_max = 2}, &by_hand);
    const struct ip a = ip_of("192.0.2.1"), b = ip_of("192.0.2.2");
    struct client *clients[4];
    assert_true(client_connect(table, &a, &clients[0]));
    assert_true(client_connect(table, &a, &clients[1]));
    assert_false(client_connect(table, &a, &clients[2]));
    assert_null(clients[2]);
    assert_true(client_connect(table, &b, &clients[2]));
    client_disconnect(table, clients[0]);
    assert_true(client_connect(table, &a, &clients[0]));
    for (size_t i = 0; i < 3; i++)
        client_disconnect(table, clients[i]);
    assert_null(client_table_close(table));
}

static void an_ipv6_client_is_its_network(void **state) {
    (void)state;
    struct client_table *table =
        client_table_open(&(struct client_limits){.requests_max = 1}, &by_hand);
    const struct ip a = ip_of("2001:db8::1"), b = ip_of("2001:db8::2:0:0:1"),
                    c = ip_of("2001:db8:0:1::1");
    struct client *first, *second, *third;
    assert_int_equal(client_request(table, &a, &first), CLIENT_ADMITTED);
    assert_int_equal(client_request(table, &b, &second), CLIENT_TOO_MANY);
    assert_int_equal(client_request(table, &c, &third), CLIENT_ADMITTED);
    client_finish(table, first);
    client_finish(table, second);
    client_finish(table, third);
    client_table_close(table);
}

static void a_second_of_requests_may_come_at_once(void **state) {
    (void)state;
    struct client_table *table =
        client_table_open(&(struct client_limits){.requests_per_s = 10}, &by_hand);
    const struct ip a = ip_of("192.0.2.1");
    struct client *client;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(client_request(table, &a, &client), CLIENT_ADMITTED);
        client_finish(table, client);
    }
    assert_int_equal(client_request(table, &a, &client), CLIENT_TOO_FAST);
    now_us += 99999;
    assert_int_equal(client_request(table, &a, &client), CLIENT_TOO_FAST);
    now_us += 1;
    assert_int_equal(client_request(table, &a, &client), CLIENT_ADMITTED);
    client_finish(table, client);
    assert_int_equal(client_request(table, &a, &client), CLIENT_TOO_FAST);
    now_us += 10000000;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(client_request(table, &a, &client), CLIENT_ADMITTED);
        client_finish(table, client);
    }
    assert_int_equal(client_request(table, &a, &client), CLIENT_TOO_FAST);
    client_table_close(table);
}

/* More addresses than the table remembers; those that hold something stay. */
static void clients_that_hold_nothing_are_forgotten(void **state) {
    (void)state;
    struct client_table *table = client_table_open(
        &(struct client_limits){.connections_max = 1, .requests_per_s = 1}, &by_hand);
    const struct ip held = ip_of("198.51.100.1");
    struct client *holder, *client;
    assert_true(client_connect(table, &held, &holder));
    for (int i = 0; i < 100000; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        const struct ip ip = ip_of(text);
        assert_int_equal(client_request(table, &ip, &client), CLIENT_ADMITTED);
        client_finish(table, client);
    }
    assert_false(client_connect(table, &held, &client));
    client_disconnect(table, holder);
    client_table_close(table);
}

static void lack_of_memory_admits_nobody(void **state) {
    (void)state;
    const struct client_limits limits = {.connections_max = 1};
    memory_fail_after(1);
    assert_null(client_table_open(&limits, &by_hand));
    struct client_table *table = client_table_open(&limits, &by_hand);
    const struct ip a = ip_of("192.0.2.1");
    struct client *client;
    memory_fail_after(1);
    assert_false(client_connect(table, &a, &client));
    memory_fail_after(1);
    assert_int_equal(client_request(table, &a, &client), CLIENT_TOO_MANY);
    memory_fail_after(0);
    client_table_close(table);
}

static void without_a_table_all_are_admitted(void **state) {
    (void)state;
    const struct ip a = ip_of("192.0.2.1");
    struct client *client;
    assert_true(client_connect(NULL, &a, &client));
    client_disconnect(NULL, client);
    assert_int_equal(client_request(NULL, &a, &client), CLIENT_ADMITTED);
    client_finish(NULL, client);
    assert_null(client_table_close(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_bound_for_each_client),
        cmocka_unit_test(an_ipv6_client_is_its_network),
        cmocka_unit_test(a_second_of_requests_may_come_at_once),
        cmocka_unit_test(clients_that_hold_nothing_are_forgotten),
        cmocka_unit_test(lack_of_memory_admits_nobody),
        cmocka_unit_test(without_a_table_all_are_admitted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
