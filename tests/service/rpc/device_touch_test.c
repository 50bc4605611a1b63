// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "service/rpc/device_binding.h"

enum { ARENA_MAX = 1 << 20 };

static const int64_t NOW_US = 1700000000000000;

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

/* What a touch of the stored device (NULL: none) answers. */
struct touched_device {
    enum sync_status status;
    struct device device;
    bool has_news;
    struct device stored; /* as the news store it */
};

static struct touched_device touch(struct arena *arena, const struct device *stored,
                                   bool acknowledges, uint64_t acknowledged) {
    struct row row = {.table = TABLE_DEVICE, .found = stored != NULL};
    if (stored)
        assert_true(device_pack(stored, arena, &row.value));
    struct device_touch touch = {.user = SLICE("anna"),
                                 .id = SLICE("d1"),
                                 .row = &row,
                                 .acknowledges = acknowledges,
                                 .acknowledged = acknowledged,
                                 .now_us = NOW_US};
    struct touched_device answer = {0};
    struct row_write write;
    struct sync_error error;
    answer.status = device_touch(&touch, arena, &error, &answer.device, &write, &answer.has_news);
    if (answer.status == SYNC_OK && answer.has_news) {
        assert_int_equal(write.table, TABLE_DEVICE);
        assert_true(slice_equal(write.key, slice_of("anna\0d1", 7)));
        assert_int_equal(device_unpack(write.value, &answer.stored), SYNC_OK);
    }
    return answer;
}

static void a_device_seen_just_now_is_no_news(void **state) {
    struct device stored = {.last_seen_us = NOW_US - DEVICE_SEEN_STEP_US + 1};
    struct touched_device answer = touch(*state, &stored, false, 0);
    assert_int_equal(answer.status, SYNC_OK);
    assert_false(answer.has_news);
}

static void a_device_is_seen_again_after_a_minute(void **state) {
    struct device stored = {
        .name = SLICE("Phone"), .registered_us = 1, .last_seen_us = NOW_US - DEVICE_SEEN_STEP_US};
    struct touched_device answer = touch(*state, &stored, false, 0);
    assert_true(answer.has_news);
    assert_int_equal(answer.stored.last_seen_us, NOW_US);
    assert_int_equal(answer.stored.registered_us, 1);
    assert_true(slice_equal(answer.stored.name, SLICE("Phone")));
    assert_false(answer.stored.has_acknowledged);
}

static void an_acknowledgement_only_grows(void **state) {
    struct device stored = {.last_seen_us = NOW_US, .has_acknowledged = true, .acknowledged = 7};
    assert_false(touch(*state, &stored, true, 7).has_news);
    struct touched_device behind = touch(*state, &stored, true, 3);
    assert_false(behind.has_news);
    assert_int_equal(behind.device.acknowledged, 7);
    struct touched_device ahead = touch(*state, &stored, true, 8);
    assert_true(ahead.has_news);
    assert_int_equal(ahead.stored.acknowledged, 8);
}

static void the_first_acknowledgement_may_be_of_nothing(void **state) {
    struct device stored = {.last_seen_us = NOW_US};
    struct touched_device answer = touch(*state, &stored, true, 0);
    assert_true(answer.has_news);
    assert_true(answer.stored.has_acknowledged);
    assert_int_equal(answer.stored.acknowledged, 0);
}

static void a_revoked_device_is_refused(void **state) {
    struct device stored = {.revoked = true};
    assert_int_equal(touch(*state, &stored, true, 9).status, SYNC_ERR_DENIED);
}

static void a_device_that_is_not_stored_is_not_stored_by_a_touch(void **state) {
    struct touched_device answer = touch(*state, NULL, true, 5);
    assert_int_equal(answer.status, SYNC_OK);
    assert_false(answer.has_news);
    assert_int_equal(answer.device.acknowledged, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_seen_just_now_is_no_news),
        cmocka_unit_test(a_device_is_seen_again_after_a_minute),
        cmocka_unit_test(an_acknowledgement_only_grows),
        cmocka_unit_test(the_first_acknowledgement_may_be_of_nothing),
        cmocka_unit_test(a_revoked_device_is_refused),
        cmocka_unit_test(a_device_that_is_not_stored_is_not_stored_by_a_touch),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
