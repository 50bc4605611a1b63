/* The encoder of HPACK, whose blocks nghttp2's decoder must read as they were meant. */
#include "gateway/hpack_encoder.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

enum { BLOCK_MAX = 1 << 20, ROUNDS = 20000 };

struct fixture {
    struct hpack_encoder encoder;
    nghttp2_hd_inflater *inflater;
    struct buffer block;
};

static int setup(void **state) {
    static struct fixture fixture;
    hpack_encoder_init(&fixture.encoder, 1);
    assert_int_equal(nghttp2_hd_inflate_new(&fixture.inflater), 0);
    buffer_init(&fixture.block, BLOCK_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state) {
    struct fixture *fixture = *state;
    nghttp2_hd_inflate_del(fixture->inflater);
    buffer_done(&fixture->block);
    return 0;
}

/* Encodes a field in a block of its own and checks that it is decoded as it was; tells the block's
 * size, and whether it must not be kept by anybody. */
static size_t say(struct fixture *fixture, struct slice name, struct slice value,
                  enum hpack_form form, bool *ret_secret) {
    buffer_clear(&fixture->block);
    hpack_encoder_begin(&fixture->encoder, &fixture->block);
    hpack_encoder_put(&fixture->encoder, &fixture->block, name, value, form);
    assert_int_equal(buffer_status(&fixture->block), SYNC_OK);
    struct slice rest = buffer_slice(&fixture->block);
    int flags = 0, emitted = 0;
    while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
        nghttp2_nv nv;
        ssize_t used =
            nghttp2_hd_inflate_hd2(fixture->inflater, &nv, &flags, rest.data, rest.size, 1);
        assert_true(used >= 0);
        rest = slice_after(rest, (size_t)used);
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
            continue;
        emitted++;
        assert_true(slice_equal(slice_of(nv.name, nv.namelen), name));
        assert_true(slice_equal(slice_of(nv.value, nv.valuelen), value));
        if (ret_secret)
            *ret_secret = nv.flags & NGHTTP2_NV_FLAG_NO_INDEX;
    }
    nghttp2_hd_inflate_end_headers(fixture->inflater);
    assert_int_equal(emitted, 1);
    return fixture->block.size;
}

static void a_constant_is_said_once_and_then_by_a_byte(void **state) {
    struct slice name = SLICE(":path"), value = SLICE("/package.Service/Method");
    size_t first = say(*state, name, value, HPACK_CONSTANT, NULL);
    assert_int_equal(first, 3 + name.size + value.size);
    assert_int_equal(say(*state, name, value, HPACK_CONSTANT, NULL), 1);
    /* Another value of the same name brings only itself. */
    struct slice other = SLICE("/package.Service/Other");
    assert_int_equal(say(*state, name, other, HPACK_CONSTANT, NULL), 2 + other.size);
    assert_int_equal(say(*state, name, other, HPACK_CONSTANT, NULL), 1);
    assert_int_equal(say(*state, name, value, HPACK_CONSTANT, NULL), 1);
}

static void what_varies_leaves_the_table_alone(void **state) {
    struct fixture *fixture = *state;
    struct slice name = SLICE("x-request-id");
    say(fixture, name, SLICE("0123456789"), HPACK_VARYING, NULL);
    size_t size = fixture->encoder.size;
    /* Of index 62 the name takes two bytes. */
    assert_int_equal(say(fixture, name, SLICE("9876543210"), HPACK_VARYING, NULL), 3 + 10);
    assert_int_equal(fixture->encoder.size, size);
}

static void a_secret_is_kept_by_nobody(void **state) {
    struct fixture *fixture = *state;
    bool secret = false;
    for (int i = 0; i < 2; i++) {
        say(fixture, SLICE("authorization"), SLICE("Bearer abc"), HPACK_SECRET, &secret);
        assert_true(secret);
        assert_int_equal(fixture->encoder.size, 0);
    }
}

static void what_is_long_goes_as_it_is(void **state) {
    struct fixture *fixture = *state;
    static uint8_t text[65000];
    memset(text, 'x', sizeof text);
    const size_t sizes[] = {0, 1, 126, 127, 128, 254, 255, 16383, 16510, 16511, 65000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int form = HPACK_CONSTANT; form <= HPACK_SECRET; form++)
            say(fixture, SLICE("name"), slice_of(text, sizes[i]), (enum hpack_form)form, NULL);
    }
    say(fixture, slice_of(text, 300), SLICE_EMPTY, HPACK_CONSTANT, NULL);
}

static void the_other_side_bounds_the_table(void **state) {
    struct fixture *fixture = *state;
    struct slice name = SLICE("te"), value = SLICE("trailers");
    say(fixture, name, value, HPACK_CONSTANT, NULL);
    nghttp2_hd_inflate_change_table_size(fixture->inflater, 50);
    hpack_encoder_bound(&fixture->encoder, 50);
    for (int i = 0; i < 2; i++)
        say(fixture, name, value, HPACK_CONSTANT, NULL);
    assert_true(fixture->encoder.size <= 50);
    nghttp2_hd_inflate_change_table_size(fixture->inflater, 0);
    hpack_encoder_bound(&fixture->encoder, 0);
    for (int i = 0; i < 2; i++)
        say(fixture, name, value, HPACK_CONSTANT, NULL);
    assert_int_equal(fixture->encoder.size, 0);
    /* A larger one than ours is not used. */
    nghttp2_hd_inflate_change_table_size(fixture->inflater, 1 << 20);
    hpack_encoder_bound(&fixture->encoder, 1 << 20);
    say(fixture, name, value, HPACK_CONSTANT, NULL);
    assert_int_equal(say(fixture, name, value, HPACK_CONSTANT, NULL), 1);
}

/* SplitMix64: the whole sequence follows from the seed. */
static uint64_t random_next(uint64_t *seed) {
    uint64_t bits = *seed += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/* Few names and values often, many now and then: the table turns over many times. */
static struct slice random_text(uint64_t *seed, char *room, const char *kind) {
    uint64_t kinds = random_next(seed) % 4 ? 8 : 3000;
    int size = snprintf(room, 40, "%s-%" PRIu64, kind, random_next(seed) % kinds);
    for (uint64_t more = random_next(seed) % 5 ? 0 : random_next(seed) % 120; more > 0; more--)
        room[size++] = 'x';
    return slice_of(room, (size_t)size);
}

static void any_sequence_is_decoded_as_it_was(void **state) {
    struct fixture *fixture = *state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (int i = 0; i < ROUNDS; i++) {
        char name[200], value[200];
        if (random_next(&seed) % 1000 == 0) {
            uint32_t bound = (uint32_t)(random_next(&seed) % 6000);
            nghttp2_hd_inflate_change_table_size(fixture->inflater, bound);
            hpack_encoder_bound(&fixture->encoder, bound);
        }
        struct slice name_text = random_text(&seed, name, "name");
        struct slice value_text = random_text(&seed, value, "value");
        say(fixture, name_text, value_text, (enum hpack_form)(random_next(&seed) % 3), NULL);
        assert_int_equal(fixture->encoder.size,
                         nghttp2_hd_inflate_get_dynamic_table_size(fixture->inflater));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_constant_is_said_once_and_then_by_a_byte),
        TEST(what_varies_leaves_the_table_alone),
        TEST(a_secret_is_kept_by_nobody),
        TEST(what_is_long_goes_as_it_is),
        TEST(the_other_side_bounds_the_table),
        TEST(any_sequence_is_decoded_as_it_was),
    };
    return cmocka_run_group_tests_name("hpack_encoder", tests, NULL, NULL);
}
