// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/limits.h"
#include "base/memory.h"
#include "service/rpc/bundle_position.h"
#include "service/rpc/page_token.h"

enum { ARENA_MAX = 1 << 20 };

static int arena_setup(void **state) {
    static struct arena arena;
    arena_init(&arena, ARENA_MAX);
    *state = &arena;
    return 0;
}

static int arena_teardown(void **state) {
    arena_done(*state);
    return 0;
}

static const struct page_binding BINDING = {
    .list = "things", .user = {(const uint8_t *)"anna", 4}, .parameters = {NULL, 0}};

static void a_token_gives_back_its_position(void **state) {
    struct arena *arena = *state;
    struct slice position;
    const struct slice sent = slice_of("a\0b\xff", 4);
    char *token = page_token_format(arena, &BINDING, sent);
    assert_non_null(token);
    assert_int_equal(page_token_parse(slice_text(token), &BINDING, arena, &position), SYNC_OK);
    assert_true(slice_equal(position, sent));
}

static void the_longest_position_fits(void **state) {
    struct arena *arena = *state;
    uint8_t bytes[PAGE_TOKEN_PAYLOAD_MAX];
    memset(bytes, 7, sizeof bytes);
    char *token = page_token_format(arena, &BINDING, slice_of(bytes, sizeof bytes));
    assert_non_null(token);
    assert_true(strlen(token) <= PAGE_TOKEN_MAX);
}

static void a_token_serves_only_what_it_was_made_for(void **state) {
    struct arena *arena = *state;
    struct slice position;
    char *token = page_token_format(arena, &BINDING, SLICE("x"));
    struct page_binding other = BINDING;
    other.user = SLICE("bob");
    assert_int_equal(page_token_parse(slice_text(token), &other, arena, &position),
                     SYNC_ERR_INVALID);
    other = BINDING;
    other.list = "others";
    assert_int_equal(page_token_parse(slice_text(token), &other, arena, &position),
                     SYNC_ERR_INVALID);
    other = BINDING;
    other.parameters = SLICE("open");
    assert_int_equal(page_token_parse(slice_text(token), &other, arena, &position),
                     SYNC_ERR_INVALID);
}

static void a_changed_token_is_refused(void **state) {
    struct arena *arena = *state;
    struct slice position;
    char *token = page_token_format(arena, &BINDING, SLICE("position"));
    for (size_t i = 0; i < strlen(token); i++) {
        char was = token[i];
        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(page_token_parse(slice_text(token), &BINDING, arena, &position),
                             SYNC_OK);
        token[i] = was;
    }
    assert_int_equal(page_token_parse(SLICE("!"), &BINDING, arena, &position), SYNC_ERR_INVALID);
    assert_int_equal(page_token_parse(SLICE(""), &BINDING, arena, &position), SYNC_ERR_INVALID);
    char longest[PAGE_TOKEN_MAX + 1];
    memset(longest, 'A', sizeof longest);
    assert_int_equal(
        page_token_parse(slice_of(longest, sizeof longest), &BINDING, arena, &position),
        SYNC_ERR_INVALID);
}

static void without_memory_there_is_no_token_and_no_leak(void **state) {
    (void)state;
    struct arena arena;
    char *token = NULL;
    unsigned failures = 0;
    for (uint64_t n = 1; !token; n++) {
        arena_init(&arena, ARENA_MAX);
        memory_fail_after(n);
        token = page_token_format(&arena, &BINDING, SLICE("position"));
        memory_fail_after(0);
        failures += !token;
        if (!token)
            arena_done(&arena);
    }
    assert_true(failures > 0);
    struct slice position;
    memory_fail_after(1);
    assert_int_equal(page_token_parse(slice_text(token), &BINDING, &arena, &position),
                     SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    arena_done(&arena);
}

static const struct bundle_position POSITION = {
    .bundle_id = {(const uint8_t *)"d8ece089-4033-8f11-9d14-c1f6908a3aaa", 36},
    .sequence = 1234567890123,
    .checksum = {.high = 0x0123456789abcdef, .low = 42},
    .has_from = true,
    .from = 0,
    .rank_us = 1700000000000000,
    .expires_us = 1700000000000001,
    .next_since_us = 1700000000000002,
    .rank = UINT64_MAX - 5,
    .type = DATA_TYPE_BOOKING,
    .id = {(const uint8_t *)"b7", 2},
};

static void a_bundle_position_survives_packing(void **state) {
    struct slice bytes;
    struct bundle_position read;
    assert_true(bundle_position_pack(&POSITION, *state, &bytes));
    assert_int_equal(bundle_position_unpack(bytes, &read), SYNC_OK);
    assert_true(slice_equal(read.bundle_id, POSITION.bundle_id));
    assert_int_equal(read.sequence, POSITION.sequence);
    assert_int_equal(read.checksum.high, POSITION.checksum.high);
    assert_int_equal(read.checksum.low, POSITION.checksum.low);
    assert_true(read.has_from);
    assert_int_equal(read.from, 0);
    assert_int_equal(read.rank_us, POSITION.rank_us);
    assert_int_equal(read.expires_us, POSITION.expires_us);
    assert_int_equal(read.next_since_us, POSITION.next_since_us);
    assert_int_equal(read.rank, POSITION.rank);
    assert_int_equal(read.type, POSITION.type);
    assert_true(slice_equal(read.id, POSITION.id));
}

static void half_a_bundle_position_is_refused(void **state) {
    struct slice bytes;
    struct bundle_position read;
    assert_true(bundle_position_pack(&POSITION, *state, &bytes));
    assert_int_equal(bundle_position_unpack(slice_first(bytes, bytes.size - 1), &read),
                     SYNC_ERR_INVALID);
    assert_int_equal(bundle_position_unpack(SLICE_EMPTY, &read), SYNC_ERR_INVALID);
}

static void the_next_page_begins_behind_the_last_record(void **state) {
    (void)state;
    struct pulled items[4] = {0};
    const char *const ids[4] = {"a", "b7", "c", "d"};
    const uint64_t ranks[4] = {5, 7, 7, 9};
    for (size_t i = 0; i < 4; i++) {
        items[i].rank = ranks[i];
        items[i].record.key = (struct record_key){DATA_TYPE_BOOKING, slice_text(ids[i])};
    }
    struct bundle_position position = POSITION;
    position.rank = 7;
    assert_int_equal(bundle_position_find(&position, items, 4), 2);
    position.id = SLICE("b8"); /* one that is gone by now */
    assert_int_equal(bundle_position_find(&position, items, 4), 2);
    position.rank = 9;
    position.id = SLICE("d");
    assert_int_equal(bundle_position_find(&position, items, 4), 4);
    position.rank = 0;
    assert_int_equal(bundle_position_find(&position, items, 4), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_gives_back_its_position),
        cmocka_unit_test(the_longest_position_fits),
        cmocka_unit_test(a_token_serves_only_what_it_was_made_for),
        cmocka_unit_test(a_changed_token_is_refused),
        cmocka_unit_test(without_memory_there_is_no_token_and_no_leak),
        cmocka_unit_test(a_bundle_position_survives_packing),
        cmocka_unit_test(half_a_bundle_position_is_refused),
        cmocka_unit_test(the_next_page_begins_behind_the_last_record),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
