// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "service/rpc/storage.h"

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

static void a_device_survives_storing(void **state) {
    struct device device = {.name = SLICE("Phone"),
                            .platform = SLICE("ios"),
                            .registered_us = 1,
                            .last_seen_us = 1700000000000000,
                            .has_acknowledged = true,
                            .revoked = true};
    struct slice value;
    struct device read;
    assert_true(device_pack(&device, *state, &value));
    assert_int_equal(device_unpack(value, &read), SYNC_OK);
    assert_true(slice_equal(read.name, device.name));
    assert_true(slice_equal(read.platform, device.platform));
    assert_int_equal(read.registered_us, 1);
    assert_int_equal(read.last_seen_us, device.last_seen_us);
    assert_true(read.has_acknowledged);
    assert_int_equal(read.acknowledged, 0);
    assert_true(read.revoked);
}

static void a_device_that_never_acknowledged_stays_so(void **state) {
    struct device device = {.registered_us = 1}, read;
    struct slice value;
    assert_true(device_pack(&device, *state, &value));
    assert_int_equal(device_unpack(value, &read), SYNC_OK);
    assert_false(read.has_acknowledged);
    assert_false(read.revoked);
    assert_int_equal(device_unpack(SLICE("\x0a\x05x"), &read), SYNC_ERR_CORRUPT);
}

static void a_bundle_survives_storing(void **state) {
    struct bundle bundle = {.user = SLICE("anna"),
                            .device = SLICE("d1"),
                            .types = 0x12,
                            .sync_type = 2,
                            .has_from = true,
                            .from = 7,
                            .sequence = 9,
                            .codec = BUNDLE_CODEC_ZSTD,
                            .dictionary_id = 32769,
                            .created_us = 5,
                            .expires_us = 6,
                            .downloads = 3};
    struct slice value;
    struct bundle read;
    assert_true(bundle_pack(&bundle, *state, &value));
    assert_int_equal(bundle_unpack(value, &read), SYNC_OK);
    assert_false(read.is_built);
    assert_int_equal(read.from, 7);
    assert_int_equal(read.downloads, 3);
    assert_int_equal(read.codec, BUNDLE_CODEC_ZSTD);
    assert_int_equal(read.dictionary_id, 32769);
    bundle.is_built = true;
    bundle.size = 1ull << 33;
    bundle.part_count = 12;
    bundle.record_count = 158;
    memset(bundle.sha256, 0xab, sizeof bundle.sha256);
    assert_true(bundle_pack(&bundle, *state, &value));
    assert_int_equal(bundle_unpack(value, &read), SYNC_OK);
    assert_true(read.is_built);
    assert_true(slice_equal(read.user, bundle.user));
    assert_true(slice_equal(read.device, bundle.device));
    assert_int_equal(read.size, bundle.size);
    assert_int_equal(read.part_count, 12);
    assert_int_equal(read.record_count, 158);
    assert_memory_equal(read.sha256, bundle.sha256, sizeof bundle.sha256);
    assert_int_equal(bundle_unpack(SLICE(""), &read), SYNC_ERR_CORRUPT);
}

static void a_bundle_of_an_earlier_version_has_its_codec(void **state) {
    (void)state;
    struct bundle read;
    assert_int_equal(bundle_unpack(SLICE("\x0a\x01u\x38\x01"), &read), SYNC_OK);
    assert_int_equal(read.codec, BUNDLE_CODEC_SNAPPY);
    assert_int_equal(bundle_unpack(SLICE("\x0a\x01u\x38\x00"), &read), SYNC_OK);
    assert_int_equal(read.codec, BUNDLE_CODEC_IDENTITY);
}

static void newer_operations_come_first_in_the_index(void **state) {
    struct slice older, newer, open, first;
    struct slice user = SLICE("anna");
    assert_true(key_of_operation_index(*state, user, SLICE("0195a3c4-1"), &older));
    assert_true(key_of_operation_index(*state, user, SLICE("0195a3c4-2"), &newer));
    assert_true(slice_compare(newer, older) < 0);
    /* The marks of open ones lie before all of them, and can be passed over. */
    assert_true(key_of_operation_open(*state, user, SLICE("ffffffff-f"), &open));
    assert_true(key_of_user(*state, user, SLICE("\x01"), &first));
    assert_true(slice_compare(open, first) < 0);
    assert_true(slice_compare(first, newer) < 0);
}

static void rows_of_a_user_do_not_mix_with_those_of_a_longer_name(void **state) {
    struct slice prefix, other;
    assert_true(key_of_user(*state, SLICE("ann"), SLICE_EMPTY, &prefix));
    assert_true(key_of_user(*state, SLICE("anna"), SLICE("d1"), &other));
    assert_false(slice_starts_with(other, prefix));
}

static void parts_lie_in_order(void **state) {
    struct slice a, b;
    assert_true(key_of_bundle_part(*state, SLICE("id"), 255, &a));
    assert_true(key_of_bundle_part(*state, SLICE("id"), 256, &b));
    assert_true(slice_compare(a, b) < 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_survives_storing),
        cmocka_unit_test(a_device_that_never_acknowledged_stays_so),
        cmocka_unit_test(a_bundle_survives_storing),
        cmocka_unit_test(a_bundle_of_an_earlier_version_has_its_codec),
        cmocka_unit_test(newer_operations_come_first_in_the_index),
        cmocka_unit_test(rows_of_a_user_do_not_mix_with_those_of_a_longer_name),
        cmocka_unit_test(parts_lie_in_order),
    };
    return cmocka_run_group_tests(tests, arena_setup, arena_teardown);
}
