#include "service/core/bundle_container.h"

#include "base/memory.h"
#include "service/codec/chunk_codec.h"
#include "tests/base/memory_walk.h"
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
        .form = PATCH_FORM_MERGE,
        .patch = doc("{\"a\":null}")};
    items[2] = (struct pulled){
        .record = {.key = {DATA_TYPE_TRIP, SLICE("t2")}, .version = 9, .deleted = true}};
}

enum { PLAIN, SNAPPY, ZSTD, ZSTD_DICTIONARY, CODECS }; /* how a container is packed */

static struct bundle_codec opened[CODECS];
static struct bundle_codecs readers = {opened + SNAPPY, CODECS - SNAPPY};

static int codecs_open(void **state) {
    (void)state;
    return chunk_codec_open(BUNDLE_CODEC_SNAPPY, 0, &opened[SNAPPY]) ||
           chunk_codec_open(BUNDLE_CODEC_ZSTD, 0, &opened[ZSTD]) ||
           chunk_codec_open(BUNDLE_CODEC_ZSTD, CHUNK_DICTIONARY_ID, &opened[ZSTD_DICTIONARY]);
}

static int codecs_close(void **state) {
    (void)state;
    for (int codec = SNAPPY; codec < CODECS; codec++)
        chunk_codec_close(&opened[codec]);
    return 0;
}

static struct slice container_write(const struct bundle_info *info, const struct pulled *items,
                                    size_t count, int codec) {
    struct bundle_writer writer;
    struct buffer out;
    struct slice copy;
    buffer_init(&out, 64 << 20);
    bundle_writer_init(&writer, codec == PLAIN ? NULL : &opened[codec]);
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
    for (int codec = PLAIN; codec < CODECS; codec++) {
        struct slice container = container_write(&INFO, items, 3, codec);
        struct bundle_info info;
        int count = 0;
        assert_int_equal(bundle_read(container, &readers, NULL, &info, visit_three, &count),
                         SYNC_OK);
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
    struct slice container = container_write(&info, NULL, 0, ZSTD);
    assert_int_equal(bundle_read(container, &readers, NULL, &info, NULL, NULL), SYNC_OK);
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
    struct slice plain = container_write(&info, items, COUNT, PLAIN);
    struct slice packed = container_write(&info, items, COUNT, SNAPPY);
    int left = COUNT + 1;
    assert_true(plain.size > 2 * BUNDLE_CHUNK_BYTES);
    assert_true(packed.size < plain.size * 3 / 4);
    assert_int_equal(bundle_read(plain, &readers, NULL, &info, visit_count, &left), SYNC_OK);
    assert_int_equal(left, 1);
    left = COUNT + 1;
    assert_int_equal(bundle_read(packed, &readers, NULL, &info, visit_count, &left), SYNC_OK);
    assert_int_equal(left, 1);
    left = 2;
    assert_int_equal(bundle_read(packed, &readers, NULL, NULL, visit_count, &left),
                     SYNC_ERR_CANCELLED);
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
    struct slice container = container_write(&info, &item, 1, ZSTD_DICTIONARY);
    assert_int_equal(bundle_read(container, &readers, NULL, NULL, NULL, NULL), SYNC_OK);
    buffer_done(&text);
}

static void every_changed_byte_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    for (int codec = PLAIN; codec < CODECS; codec++) {
        struct slice container = container_write(&INFO, items, 3, codec);
        for (size_t i = 0; i < container.size; i++) {
            for (int bit = 0; bit < 8; bit++) {
                struct sync_error error = {.status = SYNC_OK};
                ((uint8_t *)container.data)[i] ^= (uint8_t)(1 << bit);
                enum sync_status status =
                    bundle_read(container, &readers, &error, NULL, NULL, NULL);
                ((uint8_t *)container.data)[i] ^= (uint8_t)(1 << bit);
                /* of a chunk's codec, it may become one that there is not */
                assert_true(status == SYNC_ERR_CORRUPT || status == SYNC_ERR_UNIMPLEMENTED);
                assert_true(error.message[0]);
            }
        }
    }
}

static void every_cut_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    struct slice container = container_write(&INFO, items, 3, ZSTD_DICTIONARY);
    for (size_t size = 0; size < container.size; size++) {
        uint8_t *exact = memory_alloc(size + 1);
        assert_non_null(exact);
        memcpy(exact, container.data, size);
        assert_int_equal(bundle_read(slice_of(exact, size), &readers, NULL, NULL, NULL, NULL),
                         SYNC_ERR_CORRUPT);
        memory_free(exact);
    }
}

static void a_wrong_count_is_found(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    struct sync_error error;
    struct slice container = container_write(&INFO, items, 2, PLAIN);
    struct bundle_info info = {.record_count = 99};
    assert_int_equal(bundle_read(container, &readers, &error, &info, NULL, NULL), SYNC_ERR_CORRUPT);
    assert_string_equal(error.reason, "BUNDLE_CORRUPT");
    assert_int_equal(info.record_count, 99);
}

/* Records of a kind, as a device pulls them a few at a time. */
static void the_dictionary_halves_a_small_bundle(void **state) {
    (void)state;
    struct pulled item = {
        .record = {.key = {DATA_TYPE_BOOKING, SLICE("b1")},
                   .version = 7,
                   .data =
                       doc("{\"@context\":\"http://schema.org\",\"@type\":\"TrainReservation\","
                           "\"reservationFor\":{\"@type\":\"TrainTrip\",\"arrivalStation\":"
                           "{\"@type\":\"TrainStation\",\"name\":\"Ulm Hbf\"},"
                           "\"departureStation\":{\"@type\":\"TrainStation\",\"name\":\"Au\"}},"
                           "\"reservationStatus\":\"http://schema.org/ReservationConfirmed\"}")}};
    struct bundle_info info = INFO;
    info.record_count = 1;
    struct slice without = container_write(&info, &item, 1, ZSTD);
    struct slice with = container_write(&info, &item, 1, ZSTD_DICTIONARY);
    assert_true(with.size + 90 < without.size);
}

static void a_codec_that_the_reader_lacks_is_named(void **state) {
    (void)state;
    struct pulled item = item_of_size(2000, true);
    struct bundle_info info = INFO;
    info.record_count = 1;
    for (int codec = SNAPPY; codec < CODECS; codec++) {
        struct slice container = container_write(&info, &item, 1, codec);
        for (int reader = SNAPPY; reader < CODECS; reader++) {
            struct bundle_codecs one = {&opened[reader], 1};
            struct sync_error error = {.status = SYNC_OK};
            enum sync_status status = bundle_read(container, &one, &error, NULL, NULL, NULL);
            assert_int_equal(status, reader == codec ? SYNC_OK : SYNC_ERR_UNIMPLEMENTED);
            if (reader != codec)
                assert_string_equal(error.reason, "BUNDLE_CODEC_UNKNOWN");
        }
        assert_int_equal(bundle_read(container, &readers, NULL, &info, NULL, NULL), SYNC_OK);
        assert_int_equal(info.dictionary_id, codec == ZSTD_DICTIONARY ? CHUNK_DICTIONARY_ID : 0);
    }
}

/* A codec that packs everything to what it is given. */
static size_t false_size_max(size_t raw_size) {
    return raw_size;
}

static enum sync_status false_pack(void *context, struct slice raw, uint8_t *room,
                                   size_t *ret_size) {
    const struct slice *data = context;
    assert_true(data->size < raw.size);
    memcpy(room, data->data, data->size);
    *ret_size = data->size;
    return SYNC_OK;
}

/* A container whose chunk of `raw_size` bytes, and some, holds the data. */
static struct slice container_of(struct slice data, size_t raw_size,
                                 enum bundle_codec_number number) {
    struct bundle_codec codec = {
        .number = number, .context = &data, .size_max = false_size_max, .pack = false_pack};
    struct bundle_codec kept = opened[SNAPPY];
    struct pulled item = item_of_size(raw_size, true);
    struct bundle_info info = INFO;
    info.record_count = 1;
    opened[SNAPPY] = codec;
    struct slice container = container_write(&info, &item, 1, SNAPPY);
    opened[SNAPPY] = kept;
    return container;
}

/* What unpacks to much more than the chunk says, or to less, is refused before anything is
 * allocated for it; what lies about its size, before it has written beyond. */
static void a_bomb_is_refused_before_memory_is_taken(void **state) {
    (void)state;
    enum { BOMB_BYTES = 8 << 20, SAID_BYTES = 500000 };
    struct buffer zeros, packed;
    buffer_init(&zeros, BOMB_BYTES);
    buffer_init(&packed, BOMB_BYTES + (BOMB_BYTES >> 2));
    assert_non_null(buffer_reserve(&zeros, BOMB_BYTES));
    memset(zeros.data, 0, BOMB_BYTES);
    buffer_advance(&zeros, BOMB_BYTES);
    for (int codec = SNAPPY; codec <= ZSTD; codec++) {
        const struct bundle_codec *packer = &opened[codec];
        size_t size;
        buffer_clear(&packed);
        uint8_t *room = buffer_reserve(&packed, packer->size_max(BOMB_BYTES));
        assert_non_null(room);
        assert_int_equal(packer->pack(packer->context, buffer_slice(&zeros), room, &size), SYNC_OK);
        struct slice bomb = container_of(slice_of(room, size), SAID_BYTES, packer->number);
        struct sync_error error;
        memory_fail_after(1);
        enum sync_status status = bundle_read(bomb, &readers, &error, NULL, NULL, NULL);
        memory_fail_after(0);
        assert_int_equal(status, SYNC_ERR_CORRUPT);
        assert_string_equal(error.message, "A chunk's size differs.");
    }
    buffer_done(&zeros);
    buffer_done(&packed);
}

static void refused_memory_is_sticky_and_told(void **state) {
    (void)state;
    struct pulled items[3];
    items_make(items);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct bundle_writer writer;
        struct buffer out;
        buffer_init(&out, 1 << 20);
        struct bundle_codec codec = {.context = NULL};
        memory_walk_begin(&walk);
        enum sync_status status = chunk_codec_open(BUNDLE_CODEC_ZSTD, CHUNK_DICTIONARY_ID, &codec);
        bundle_writer_init(&writer, status ? NULL : &codec);
        bundle_writer_begin(&writer, &INFO, &out);
        for (size_t i = 0; i < 3; i++)
            bundle_writer_add(&writer, &items[i], &out);
        enum sync_status written = bundle_writer_end(&writer, &out);
        status = status ? status : written;
        if (!status)
            status = bundle_read(buffer_slice(&out), &readers, NULL, NULL, NULL, NULL);
        bool has_failed = memory_walk_end(&walk);
        bundle_writer_done(&writer);
        chunk_codec_close(&codec);
        buffer_done(&out);
        assert_int_equal(status, has_failed ? SYNC_ERR_NO_MEMORY : SYNC_OK);
    }
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
        ARENA_TEST(the_dictionary_halves_a_small_bundle),
        ARENA_TEST(a_codec_that_the_reader_lacks_is_named),
        ARENA_TEST(a_bomb_is_refused_before_memory_is_taken),
        ARENA_TEST(refused_memory_is_sticky_and_told),
    };
    return cmocka_run_group_tests(tests, codecs_open, codecs_close);
}
