#include "gateway/forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The client that a peer and up to two headers of this name make. */
static void expect(const char *peer, const char *name, const char *first, const char *second,
                   const char *client) {
    struct networks trusted;
    struct sync_error error;
    assert_int_equal(networks_parse("10.0.0.0/8,2001:db8::/32", &error, &trusted), SYNC_OK);
    const struct transcode_header headers[] = {
        {slice_text(name), slice_text(first)},
        {SLICE("host"), SLICE("h")},
        {slice_text(name), slice_text(second)},
    };
    struct ip ip;
    char text[IP_TEXT_MAX];
    assert_true(ip_parse(slice_text(peer), &ip));
    ip = forwarded_client(&trusted, &ip, headers, second ? 3 : 2);
    ip_format(&ip, text);
    assert_string_equal(text, client);
}

static void only_trusted_proxies_are_believed(void **state) {
    (void)state;
    expect("198.51.100.1", "x-forwarded-for", "203.0.113.9", NULL, "198.51.100.1");
    expect("10.0.0.1", "x-forwarded-for", "203.0.113.9", NULL, "203.0.113.9");
    expect("10.0.0.1", "x-other", "203.0.113.9", NULL, "10.0.0.1");
}

static void a_client_cannot_put_itself_before_the_chain(void **state) {
    (void)state;
    expect("10.0.0.1", "x-forwarded-for", "1.1.1.1, 203.0.113.9", NULL, "203.0.113.9");
    expect("10.0.0.1", "x-forwarded-for", "1.1.1.1, 203.0.113.9 ,10.0.0.2", NULL, "203.0.113.9");
    expect("10.0.0.1", "x-forwarded-for", "1.1.1.1", "203.0.113.9, 10.0.0.2", "203.0.113.9");
    expect("10.0.0.1", "x-forwarded-for", "203.0.113.9", "10.0.0.2", "203.0.113.9");
    expect("10.0.0.1", "x-forwarded-for", "10.0.0.3,10.0.0.2", NULL, "10.0.0.3");
}

static void what_is_malformed_ends_the_chain(void **state) {
    (void)state;
    expect("10.0.0.1", "x-forwarded-for", "203.0.113.9, unknown", NULL, "10.0.0.1");
    expect("10.0.0.1", "x-forwarded-for", "203.0.113.9,", NULL, "10.0.0.1");
    expect("10.0.0.1", "x-forwarded-for", "", NULL, "10.0.0.1");
    expect("10.0.0.1", "forwarded", "for=_hidden", NULL, "10.0.0.1");
    expect("10.0.0.1", "forwarded", "by=203.0.113.9", NULL, "10.0.0.1");
}

static void forwarded_is_read_as_rfc_7239_has_it(void **state) {
    (void)state;
    expect("10.0.0.1", "forwarded", "for=203.0.113.9;proto=https", NULL, "203.0.113.9");
    expect("10.0.0.1", "forwarded", "proto=https; For=\"203.0.113.9:4711\"", NULL, "203.0.113.9");
    expect("10.0.0.1", "forwarded", "for=1.1.1.1, for=\"[2001:db9::7]:80\"", NULL, "2001:db9::7");
    expect("2001:db8::1", "forwarded", "for=203.0.113.9", "for=10.1.1.1;by=10.0.0.1",
           "203.0.113.9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_trusted_proxies_are_believed),
        cmocka_unit_test(a_client_cannot_put_itself_before_the_chain),
        cmocka_unit_test(what_is_malformed_ends_the_chain),
        cmocka_unit_test(forwarded_is_read_as_rfc_7239_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
