#include "base/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_digest(struct slice bytes, const char *hex) {
    uint8_t digest[SHA256_SIZE];
    char text[2 * SHA256_SIZE + 1];
    sha256_of(bytes, digest);
    for (size_t i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void digests_are_those_of_fips_180_4(void **state) {
    (void)state;
    assert_digest(SLICE_EMPTY, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(SLICE("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_digest(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void pieces_give_the_digest_of_the_whole(void **state) {
    (void)state;
    uint8_t bytes[300], whole[SHA256_SIZE], pieces[SHA256_SIZE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31);
    sha256_of(slice_of(bytes, sizeof bytes), whole);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        struct sha256 sha;
        sha256_init(&sha);
        sha256_update(&sha, slice_of(bytes, cut));
        sha256_update(&sha, SLICE_EMPTY);
        sha256_update(&sha, slice_of(bytes + cut, sizeof bytes - cut));
        sha256_final(&sha, pieces);
        assert_memory_equal(pieces, whole, SHA256_SIZE);
    }
}

static void a_copied_state_goes_on_alone(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE], expected[SHA256_SIZE];
    struct sha256 sha, copy;
    sha256_init(&sha);
    sha256_update(&sha, SLICE("a"));
    copy = sha;
    sha256_update(&copy, SLICE("bc"));
    sha256_final(&copy, digest);
    sha256_of(SLICE("abc"), expected);
    assert_memory_equal(digest, expected, SHA256_SIZE);
    sha256_final(&sha, digest);
    sha256_of(SLICE("a"), expected);
    assert_memory_equal(digest, expected, SHA256_SIZE);
}

/* One bit after the other, straight from the polynomial. */
static uint32_t crc32c_by_bits(struct slice bytes) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= bytes.data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) ? 0x82f63b78 : 0);
    }
    return ~crc;
}

static void crc32c_is_castagnolis(void **state) {
    (void)state;
    assert_int_equal(crc32c(0, SLICE("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, SLICE_EMPTY), 0);
    static const uint8_t ZEROS[32]; /* RFC 3720, appendix B.4 */
    assert_int_equal(crc32c(0, slice_of(ZEROS, 32)), 0x8a9136aa);
    uint8_t bytes[64];
    for (size_t size = 0; size < sizeof bytes; size++) {
        bytes[size] = (uint8_t)(size * 37 + 11);
        assert_int_equal(crc32c(0, slice_of(bytes, size)), crc32c_by_bits(slice_of(bytes, size)));
        assert_int_equal(crc32c_portable(7, slice_of(bytes, size)),
                         crc32c(7, slice_of(bytes, size)));
    }
}

static void crc32c_goes_on_where_it_stopped(void **state) {
    (void)state;
    struct slice text = SLICE("The quick brown fox jumps over the lazy dog");
    for (size_t cut = 0; cut <= text.size; cut++) {
        uint32_t first = crc32c(0, slice_first(text, cut));
        assert_int_equal(crc32c(first, slice_after(text, cut)), crc32c(0, text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_fips_180_4),
        cmocka_unit_test(pieces_give_the_digest_of_the_whole),
        cmocka_unit_test(a_copied_state_goes_on_alone),
        cmocka_unit_test(crc32c_is_castagnolis),
        cmocka_unit_test(crc32c_goes_on_where_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
