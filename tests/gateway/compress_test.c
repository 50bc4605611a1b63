#include "gateway/compress.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"

static void the_best_coding_that_the_client_takes_is_chosen(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        enum content_coding coding;
    } cases[] = {
        {"", CODING_IDENTITY},
        {"gzip", CODING_GZIP},
        {"zstd", CODING_ZSTD},
        {"gzip, zstd", CODING_ZSTD},
        {"GZIP", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"br, deflate", CODING_IDENTITY},
        {"gzip;q=0", CODING_IDENTITY},
        {"zstd;q=0, gzip", CODING_GZIP},
        {"gzip;q=1.0, zstd;q=0.5", CODING_GZIP},
        {"gzip;q=0.5,zstd;q=0.501", CODING_ZSTD},
        {"identity, gzip;q=0.9", CODING_IDENTITY},
        {"*", CODING_ZSTD},
        {"*;q=0", CODING_IDENTITY},
        {"*;q=0.5, zstd;q=0", CODING_GZIP},
        {"gzip;q=nonsense", CODING_IDENTITY},
        {",, gzip ;q=1 ,", CODING_GZIP},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(coding_negotiate(slice_text(cases[i].accept)), cases[i].coding);
}

static void identity_may_be_ruled_out(void **state) {
    (void)state;
    static const struct {
        const char *accept;
        bool refused;
    } cases[] = {
        {"", false},          {"gzip", false},         {"identity;q=0", true},
        {"*;q=0", true},      {"gzip, *;q=0.0", true}, {"*;q=0, identity", false},
        {"*;q=0.001", false}, {"identity; Q=0", true}, {"identity;q=0.1, *;q=0", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(coding_refuses_identity(slice_text(cases[i].accept)), cases[i].refused);
    assert_int_equal(coding_negotiate(SLICE("gzip, *;q=0")), CODING_GZIP);
    assert_int_equal(coding_negotiate(SLICE("identity;q=0, gzip;q=0.1")), CODING_GZIP);
}

static void content_codings_are_read_by_name(void **state) {
    (void)state;
    assert_int_equal(coding_parse(SLICE_EMPTY), CODING_IDENTITY);
    assert_int_equal(coding_parse(SLICE("Zstd")), CODING_ZSTD);
    assert_int_equal(coding_parse(SLICE("br")), CODING_UNKNOWN);
    assert_int_equal(coding_parse(SLICE("gzip, gzip")), CODING_UNKNOWN);
}

/* Bytes of so many different values, in no order. */
static void fill(struct buffer *out, size_t size, unsigned values) {
    uint32_t random = 1;
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        buffer_append_byte(out, (uint8_t)((random >> 16) % values));
    }
}

static void what_is_packed_unpacks_to_the_same(void **state) {
    (void)state;
    struct compressor *compressor = compressor_open();
    static const size_t sizes[] = {1, 1024, 65536, 300000};
    for (int coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            struct buffer plain, packed, again;
            buffer_init(&plain, 1 << 20);
            buffer_init(&packed, 1 << 20);
            buffer_init(&again, sizes[i] + 1);
            fill(&plain, sizes[i], 60);
            assert_int_equal(compressor_pack(compressor, coding, buffer_slice(&plain), &packed),
                             SYNC_OK);
            assert_int_equal(compressor_unpack(compressor, coding, buffer_slice(&packed), &again),
                             SYNC_OK);
            assert_true(slice_equal(buffer_slice(&again), buffer_slice(&plain)));
            buffer_done(&plain);
            buffer_done(&packed);
            buffer_done(&again);
        }
    }
    compressor_close(compressor);
}

static void bombs_and_broken_bodies_are_refused(void **state) {
    (void)state;
    struct compressor *compressor = compressor_open();
    for (int coding = CODING_GZIP; coding <= CODING_ZSTD; coding++) {
        struct buffer plain, packed, out;
        buffer_init(&plain, 8 << 20);
        buffer_init(&packed, 8 << 20);
        buffer_init(&out, 16 << 20);
        fill(&plain, 4 << 20, 1);
        assert_int_equal(compressor_pack(compressor, coding, buffer_slice(&plain), &packed),
                         SYNC_OK);
        assert_int_equal(compressor_unpack(compressor, coding, buffer_slice(&packed), &out),
                         SYNC_ERR_TOO_LARGE);
        buffer_clear(&plain);
        buffer_clear(&packed);
        fill(&plain, 100000, 60);
        assert_int_equal(compressor_pack(compressor, coding, buffer_slice(&plain), &packed),
                         SYNC_OK);
        buffer_clear(&out);
        out.size_max = 99999;
        assert_int_equal(compressor_unpack(compressor, coding, buffer_slice(&packed), &out),
                         SYNC_ERR_TOO_LARGE);
        out.size_max = 1 << 20;
        buffer_clear(&out);
        struct slice cut = slice_first(buffer_slice(&packed), packed.size - 1);
        assert_int_equal(compressor_unpack(compressor, coding, cut, &out), SYNC_ERR_INVALID);
        buffer_clear(&out);
        buffer_append_byte(&packed, 'x');
        assert_int_equal(compressor_unpack(compressor, coding, buffer_slice(&packed), &out),
                         SYNC_ERR_INVALID);
        buffer_clear(&out);
        assert_int_equal(compressor_unpack(compressor, coding, SLICE("nonsense"), &out),
                         SYNC_ERR_INVALID);
        assert_int_equal(compressor_unpack(compressor, coding, SLICE_EMPTY, &out),
                         SYNC_ERR_INVALID);
        buffer_done(&plain);
        buffer_done(&packed);
        buffer_done(&out);
    }
    compressor_close(compressor);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_coding_that_the_client_takes_is_chosen),
        cmocka_unit_test(identity_may_be_ruled_out),
        cmocka_unit_test(content_codings_are_read_by_name),
        cmocka_unit_test(what_is_packed_unpacks_to_the_same),
        cmocka_unit_test(bombs_and_broken_bodies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
