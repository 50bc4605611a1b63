#include "gateway/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define V2_MARK "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"

/* The header is done at its end, whatever follows, and not before. */
static void expect(struct slice header, const char *source) {
    uint8_t bytes[1024];
    struct proxy_header got;
    assert_true(header.size + 4 < sizeof bytes);
    memcpy(bytes, header.data, header.size);
    memcpy(bytes + header.size, "GET ", 4);
    for (size_t size = 0; size < header.size; size++)
        assert_int_equal(proxy_header_read(slice_of(bytes, size), &got), PROXY_MORE);
    for (size_t more = 0; more <= 4; more++) {
        assert_int_equal(proxy_header_read(slice_of(bytes, header.size + more), &got), PROXY_DONE);
        assert_int_equal(got.size, header.size);
        assert_int_equal(got.has_source, source != NULL);
        char text[IP_TEXT_MAX] = "";
        if (source) {
            ip_format(&got.source, text);
            assert_string_equal(text, source);
        }
    }
}

static void version_1_names_the_client(void **state) {
    (void)state;
    expect(SLICE("PROXY TCP4 203.0.113.9 192.0.2.2 4711 443\r\n"), "203.0.113.9");
    expect(SLICE("PROXY TCP6 2001:db8::9 2001:db8::2 4711 443\r\n"), "2001:db8::9");
    expect(SLICE("PROXY UNKNOWN\r\n"), NULL);
    expect(SLICE("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), NULL);
}

static void version_2_names_the_client(void **state) {
    (void)state;
    expect(SLICE(V2_MARK "\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x02\x12\x67\x01\xbb"),
           "203.0.113.9");
    expect(SLICE(V2_MARK "\x21\x11\x00\x10\xcb\x00\x71\x09\xc0\x00\x02\x02\x12\x67\x01\xbb"
                         "\x04\x00\x01x"),
           "203.0.113.9");
    expect(SLICE(V2_MARK "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
                         "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x12\x67\x01\xbb"),
           "2001:db8::9");
    expect(SLICE(V2_MARK "\x20\x00\x00\x00"), NULL);
    expect(SLICE(V2_MARK "\x21\x00\x00\x00"), NULL);
}

static void whatever_else_is_refused(void **state) {
    (void)state;
    static const struct slice bad[] = {
        {(const uint8_t *)"GET / HTTP/1.1\r\n", 16},
        {(const uint8_t *)"PROXX", 5},
        {(const uint8_t *)"PROXY TCP4 203.0.113.9 192.0.2.2 4711 443\n", 42},
        {(const uint8_t *)"PROXY TCP4 203.0.113.9 192.0.2.2 4711\r\n", 39},
        {(const uint8_t *)"PROXY TCP4 203.0.113.9 192.0.2.2 4711 443 5\r\n", 45},
        {(const uint8_t *)"PROXY TCP4 203.0.113.9 192.0.2.2 4711 70000\r\n", 45},
        {(const uint8_t *)"PROXY TCP4 ::1 192.0.2.2 4711 443\r\n", 35},
        {(const uint8_t *)"PROXY TCP5 203.0.113.9 192.0.2.2 4711 443\r\n", 43},
        {(const uint8_t *)V2_MARK "\x31\x11\x00\x0c", 16},
        {(const uint8_t *)V2_MARK "\x22\x11\x00\x0c", 16},
        {(const uint8_t *)V2_MARK "\x21\x11\x02\x01", 16},
        {(const uint8_t *)V2_MARK "\x21\x11\x00\x04\xcb\x00\x71\x09", 20},
    };
    struct proxy_header header = {.size = 7};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(proxy_header_read(bad[i], &header), PROXY_BAD);
    uint8_t line[PROXY_V1_MAX + 1] = "PROXY ";
    memset(line + 6, 'x', sizeof line - 6);
    assert_int_equal(proxy_header_read(slice_of(line, PROXY_V1_MAX), &header), PROXY_MORE);
    assert_int_equal(proxy_header_read(slice_of(line, sizeof line), &header), PROXY_BAD);
    assert_int_equal(header.size, 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_1_names_the_client),
        cmocka_unit_test(version_2_names_the_client),
        cmocka_unit_test(whatever_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
