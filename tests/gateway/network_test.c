#include "gateway/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect_ip(const char *text, const char *again) {
    struct ip ip;
    char written[IP_TEXT_MAX];
    assert_true(ip_parse(slice_text(text), &ip));
    ip_format(&ip, written);
    assert_string_equal(written, again);
}

static void addresses_are_read_with_and_without_ports(void **state) {
    (void)state;
    expect_ip("192.0.2.1", "192.0.2.1");
    expect_ip("192.0.2.1:80", "192.0.2.1");
    expect_ip("2001:DB8::1", "2001:db8::1");
    expect_ip("[2001:db8::1]", "2001:db8::1");
    expect_ip("[2001:db8::1]:443", "2001:db8::1");
    expect_ip("::ffff:192.0.2.1", "192.0.2.1");
}

static void what_is_no_address_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "unknown",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1.1",
        ":80",
        "_hidden",
        "[::1",
        "[::1]x",
        "[]",
        "::1::",
        "localhost",
        "1.2.3.4 ",
        "fe80::1%eth0",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001",
    };
    struct ip ip;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_false(ip_parse(slice_text(texts[i]), &ip));
}

static void networks_have_what_shares_their_prefix(void **state) {
    (void)state;
    struct networks networks;
    struct sync_error error;
    assert_int_equal(
        networks_parse("10.0.0.0/8,192.0.2.128/25,198.51.100.7,2001:db8::/33", &error, &networks),
        SYNC_OK);
    static const struct {
        const char *ip;
        bool inside;
    } cases[] = {
        {"10.255.0.1", true},       {"11.0.0.1", false},         {"192.0.2.128", true},
        {"192.0.2.127", false},     {"198.51.100.7", true},      {"198.51.100.6", false},
        {"2001:db8:7fff::1", true}, {"2001:db8:8000::1", false}, {"::a00:1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ip ip;
        assert_true(ip_parse(slice_text(cases[i].ip), &ip));
        assert_int_equal(networks_have(&networks, &ip), cases[i].inside);
    }
}

static void no_text_is_no_network(void **state) {
    (void)state;
    struct networks networks = {.count = 7};
    struct sync_error error;
    assert_int_equal(networks_parse(NULL, &error, &networks), SYNC_OK);
    assert_int_equal(networks.count, 0);
    assert_int_equal(networks_parse("0.0.0.0/0", &error, &networks), SYNC_OK);
    struct ip ip;
    assert_true(ip_parse(SLICE("203.0.113.9"), &ip));
    assert_true(networks_have(&networks, &ip));
    assert_true(ip_parse(SLICE("2001:db8::1"), &ip));
    assert_false(networks_have(&networks, &ip));
}

static void malformed_networks_are_named(void **state) {
    (void)state;
    static const char *const texts[] = {"10.0.0.0/33", "::/129",      "10.0.0.0/",
                                        "x/8",         ",10.0.0.0/8", "10.0.0.0/-1",
                                        "10.0.0.0/8 ", "10.0.0.0/8,,"};
    struct networks networks = {.count = 7};
    struct sync_error error;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(networks_parse(texts[i], &error, &networks), SYNC_ERR_INVALID);
        assert_int_equal(networks.count, 7);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_with_and_without_ports),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(networks_have_what_shares_their_prefix),
        cmocka_unit_test(no_text_is_no_network),
        cmocka_unit_test(malformed_networks_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
