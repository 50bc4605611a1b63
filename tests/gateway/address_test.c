#include "gateway/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_address(const char *text, const char *formatted, bool loopback) {
    struct sync_error error;
    struct address address;
    char again[ADDRESS_TEXT_MAX];
    assert_int_equal(address_parse(text, &error, &address), SYNC_OK);
    address_format(&address, again);
    assert_string_equal(again, formatted);
    assert_int_equal(address_is_loopback(&address), loopback);
}

static void addresses_are_read_and_written(void **state) {
    (void)state;
    expect_address("127.0.0.1:8080", "127.0.0.1:8080", true);
    expect_address("127.9.9.9:0", "127.9.9.9:0", true);
    expect_address("[::1]:443", "[::1]:443", true);
    expect_address("0.0.0.0:80", "0.0.0.0:80", false);
    expect_address("10.1.2.3:80", "10.1.2.3:80", false);
    expect_address("[::]:80", "[::]:80", false);
    expect_address("unix:/run/a.sock", "unix:/run/a.sock", true);
}

static void what_is_no_address_is_refused_in_one_line(void **state) {
    (void)state;
    static const char *const bad[] = {
        "", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:123456", "unix:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sync_error error = {.status = SYNC_OK};
        struct address address;
        assert_int_equal(address_parse(bad[i], &error, &address), SYNC_ERR_INVALID);
        assert_true(strlen(error.message) > 10);
        assert_null(strchr(error.message, '\n'));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written),
        cmocka_unit_test(what_is_no_address_is_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
