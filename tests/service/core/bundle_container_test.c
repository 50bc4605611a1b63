#include "service/core/bundle_container.h"

#include "base/memory.h"
#include "tests/service/core/test_arena.h"

static const struct bundle_info INFO = {
    .bundle_id = SLICE("0197a0c5-7e8e-7000-8000-000000000001"),
    .user = SLICE("traveller"),
    .from_cursor = SLICE("from"),
    .cursor = SLICE("to"),
    .types = 1u << DATA_TYPE_TRIP | 1u << DATA_TYPE_BOOKING,
    .sync_type = 2,
    .checksum = {1, 2},
    .created_us = 1764000000250000,
    .record_count = 3,
};

/* Three records: whole, patch, deleted. */
static void items_make(struct pulled items[3]) {
    items[0] =
        (struct pulled){.record = {.key = {DATA_TYPE_BOOKING, SLICE("b1")},
                                   .version = 7,
                                   .updated_us = 1764000000000000,
                                   .data = doc("{\"seat\":\"3C\",\"name\":\"\u00e9t\u00e9\"}")}};
    items[1] = (struct pulled){
        .record = {.key = {DATA_TYPE_TRIP, SLICE("t1")}, .version = 8, .data = doc("{\"a\":1}")},
        .is_patch = true,
        .patch = doc("{\"a\":null}")};
    items[2] = (struct pulled){
        .record = {.key = {DATA_TYPE_TRIP, SLICE("t2")}, .version = 9, .deleted = true}};
}

static struct slice container_write(const struct bundle_info *info, const struct pulled *items,
                                    size_t count, bool compress) {
    struct bundle_writer writer;
    struct buffer out;
    struct slice copy;
    buffer_init(&out, 64 << 20);
    bundle_writer_init(&writer, compress);
    bundle_writer_begin(&writer, info, &out);
    for (size_t i = 0; i < count; i++)
        bundle_writer_add(&writer, &items[i], &out);
    assert_int_equal(bundle_writer_end(&writer, &out), SYNC_OK);
    assert_true(arena_copy(&arena, buffer_slice(&out), &copy));
    bundle_writer_done(&writer);
    buffer_done(&out);
    return copy;
}

static bool visit_three(void *context, const struct bundle_entry *entry) {
    int *count = context;
    switch ((*count)++) {
    case 0:
        assert_true(slice_equal(entry->key.id, SLICE("b1")));
        assert_int_equal(entry->key.type, DATA_TYPE_BOOKING);
        assert_int_equal(entry->version, 7);
        assert_int_equal(entry->updated_us, 1764000000000000);
        assert_true(
            slice_equal(entry->json, SLICE("{\"name\":\"\u00e9t\u00e9\",\"seat\":\"3C\"}")));
        break;
    case 1:
        assert_true(slice_equal(entry->patch_json, SLICE("{\"a\":null}")));
        assert_int_equal(entry->json.size, 0);
        break;
    default:
        assert_true(entry->deleted);
        assert_true(slice_equal(entry->key.id, SLICE("t2")));
    }
    return true;
}

static void what_is_written_is_read(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    for (int compress = 0; compress < 2; compress++) {
        struct slice container = container_write(&INFO, items, 3, compress);
        struct bundle_info info;
        int count = 0;
        assert_int_equal(bundle_read(container, NULL, &info, visit_three, &count), SYNC_OK);
        assert_int_equal(count, 3);
        assert_true(slice_equal(info.bundle_id, INFO.bundle_id));
        assert_true(slice_equal(info.user, INFO.user));
        assert_true(slice_equal(info.from_cursor, INFO.from_cursor));
        assert_true(slice_equal(info.cursor, INFO.cursor));
        assert_int_equal(info.types, INFO.types);
        assert_int_equal(info.sync_type, INFO.sync_type);
        assert_int_equal(info.checksum.high, 1);
        assert_int_equal(info.checksum.low, 2);
        assert_int_equal(info.created_us, INFO.created_us);
        assert_int_equal(info.record_count, 3);
    }
}

static void an_empty_bundle_is_whole(void **state) {
    (void)state;
    struct bundle_info info = INFO;
    info.record_count = 0;
    struct slice container = container_write(&info, NULL, 0, true);
    assert_int_equal(bundle_read(container, NULL, &info, NULL, NULL), SYNC_OK);
    assert_int_equal(info.record_count, 0);
}

/* A record of `size` bytes of text that compresses well, or not. */
static struct pulled item_of_size(size_t size, bool plain) {
    struct buffer out;
    uint32_t random = 1;
    buffer_init(&out, 16 << 20);
    buffer_append(&out, SLICE("{\"t\":\""));
    for (size_t i = 0; i < size; i++) {
        random = random * 1664525 + 1013904223;
        buffer_append_byte(&out, plain ? 'a' : (uint8_t)('A' + (random >> 24) % 26));
    }
    buffer_append(&out, SLICE("\"}"));
    struct pulled item = {.record = {.key = {DATA_TYPE_TRIP, SLICE("t")},
                                     .version = 1,
                                     .data = doc(arena_copy_text(&arena, buffer_slice(&out)))}};
    buffer_done(&out);
    return item;
}

static bool visit_count(void *context, const struct bundle_entry *entry) {
    (void)entry;
    return --*(int *)context > 0;
}

static void many_records_make_several_chunks(void **state) {
    (void)state;
    enum { COUNT = 40 };
    struct pulled items[COUNT];
    struct bundle_info info = INFO;
    info.record_count = COUNT;
    for (int i = 0; i < COUNT; i++)
        items[i] = item_of_size(i % 3 == 0 ? 200000 : 100, i % 2);
    struct slice plain = container_write(&info, items, COUNT, false);
    struct slice packed = container_write(&info, items, COUNT, true);
    int left = COUNT + 1;
    assert_true(plain.size > 2 * BUNDLE_CHUNK_BYTES);
    assert_true(packed.size < plain.size * 3 / 4);
    assert_int_equal(bundle_read(plain, NULL, &info, visit_count, &left), SYNC_OK);
    assert_int_equal(left, 1);
    left = COUNT + 1;
    assert_int_equal(bundle_read(packed, NULL, &info, visit_count, &left), SYNC_OK);
    assert_int_equal(left, 1);
    left = 2;
    assert_int_equal(bundle_read(packed, NULL, NULL, visit_count, &left), SYNC_ERR_CANCELLED);
}

static void a_record_that_grows_sixfold_as_json_fits(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 16 << 20);
    buffer_append(&text, SLICE("{\"t\":\""));
    for (int i = 0; i < CHANGE_DATA_MAX - 64; i++)
        buffer_append(&text, SLICE("\\u0001"));
    buffer_append(&text, SLICE("\"}"));
    struct pulled item = {.record = {.key = {DATA_TYPE_TRIP, SLICE("t")}, .version = 1}};
    item.record.data = doc(arena_copy_text(&arena, buffer_slice(&text)));
    struct bundle_info info = INFO;
    info.record_count = 1;
    struct slice container = container_write(&info, &item, 1, true);
    assert_int_equal(bundle_read(container, NULL, NULL, NULL, NULL), SYNC_OK);
    buffer_done(&text);
}

static void every_changed_byte_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    for (int compress = 0; compress < 2; compress++) {
        struct slice container = container_write(&INFO, items, 3, compress);
        for (size_t i = 0; i < container.size; i++) {
            for (int bit = 0; bit < 8; bit++) {
                struct sync_error error = {.status = SYNC_OK};
                ((uint8_t *)container.data)[i] ^= (uint8_t)(1 << bit);
                enum sync_status status = bundle_read(container, &error, NULL, NULL, NULL);
                ((uint8_t *)container.data)[i] ^= (uint8_t)(1 << bit);
                assert_int_equal(status, SYNC_ERR_CORRUPT);
                assert_true(error.message[0]);
            }
        }
    }
}

static void every_cut_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    struct slice container = container_write(&INFO, items, 3, true);
    for (size_t size = 0; size < container.size; size++) {
        uint8_t *exact = memory_alloc(size + 1);
        assert_non_null(exact);
        memcpy(exact, container.data, size);
        assert_int_equal(bundle_read(slice_of(exact, size), NULL, NULL, NULL, NULL),
                         SYNC_ERR_CORRUPT);
        memory_free(exact);
    }
}

static void a_wrong_count_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    struct sync_error error;
    struct slice container = container_write(&INFO, items, 2, false);
    struct bundle_info info = {.record_count = 99};
    assert_int_equal(bundle_read(container, &error, &info, NULL, NULL), SYNC_ERR_CORRUPT);
    assert_string_equal(error.reason, "BUNDLE_CORRUPT");
    assert_int_equal(info.record_count, 99);
}

static void refused_memory_is_sticky_and_told(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    for (uint64_t n = 1; n < 100; n++) {
        struct bundle_writer writer;
        struct buffer out;
        buffer_init(&out, 1 << 20);
        bundle_writer_init(&writer, true);
        memory_fail_after(n);
        bundle_writer_begin(&writer, &INFO, &out);
        for (size_t i = 0; i < 3; i++)
            bundle_writer_add(&writer, &items[i], &out);
        enum sync_status status = bundle_writer_end(&writer, &out);
        if (!status)
            status = bundle_read(buffer_slice(&out), NULL, NULL, NULL, NULL);
        bool walked = memory_count() < n;
        memory_fail_after(0);
        bundle_writer_done(&writer);
        buffer_done(&out);
        assert_int_equal(status, walked ? SYNC_OK : SYNC_ERR_NO_MEMORY);
        if (walked)
            return;
    }
    fail();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(what_is_written_is_read),
        ARENA_TEST(an_empty_bundle_is_whole),
        ARENA_TEST(many_records_make_several_chunks),
        ARENA_TEST(a_record_that_grows_sixfold_as_json_fits),
        ARENA_TEST(every_changed_byte_is_found),
        ARENA_TEST(every_cut_is_found),
        ARENA_TEST(a_wrong_count_is_found),
        ARENA_TEST(refused_memory_is_sticky_and_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
