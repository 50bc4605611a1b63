/* Any bytes as the content of a bundle's chunk, in a container whose digests are right, so that
 * what lies behind them is reached: entries are read within bounds, or refused with a reason. The
 * first byte says how the bytes stand in the chunk: as they are, as a snappy block, or compressed
 * here. */
#include <assert.h>
#include <stdlib.h>

#include "base/sha256.h"
#include "base/wire.h"
#include "service/codec/chunk_codec.h"
#include "service/core/bundle_container.h"
#include "service/core/bundle_fields.h"
#include "tests/fuzz/bundle_entry_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 20, CHUNK_ROOM = 2 << 20 };

/* How the input stands in the chunk. */
enum form { FORM_PLAIN, FORM_SNAPPY, FORM_COMPRESSED, FORMS };

/* A chunk's bytes, and what its raw size says. */
struct content {
    uint64_t codec;
    size_t raw_size;
    struct slice data;
};

/* Snappy, opened once. */
static const struct bundle_codec *snappy(void) {
    static struct bundle_codec codec;
    if (codec.number == 0 && chunk_codec_open(BUNDLE_CODEC_SNAPPY, 0, &codec) != SYNC_OK)
        abort();
    return &codec;
}

/* The size that a snappy block says it has: a varint before it. */
static size_t snappy_size(struct slice block) {
    struct wire_reader reader = wire_reader_of(block);
    uint64_t size;
    return wire_read_varint(&reader, &size) ? (size_t)size : 0;
}

static struct content content_of(enum form form, struct slice input) {
    static uint8_t room[CHUNK_ROOM];
    size_t size = 0;
    struct content content = {BUNDLE_CODEC_IDENTITY, input.size, input};
    if (form == FORM_PLAIN)
        return content;
    content.codec = BUNDLE_CODEC_SNAPPY;
    if (form == FORM_SNAPPY)
        content.raw_size = snappy_size(input);
    else if (snappy()->pack(snappy()->context, input, room, &size) == SYNC_OK)
        content.data = slice_of(room, size);
    return content;
}

static void header_append(struct buffer *container, uint32_t record_count, struct sha256 *root) {
    uint8_t digest[SHA256_SIZE];
    size_t mark = wire_begin(container, CONTAINER_HEADER), begin = container->size;
    wire_write_uint(container, HEADER_FORMAT_VERSION, BUNDLE_FORMAT_VERSION);
    wire_write_uint(container, HEADER_RECORD_COUNT, record_count);
    sha256_of(slice_of(container->data + begin, container->size - begin), digest);
    sha256_update(root, slice_of(digest, sizeof digest));
    wire_end(container, mark);
}

static void chunk_append(struct buffer *container, const struct content *content,
                         struct sha256 *root) {
    uint8_t digest[SHA256_SIZE];
    size_t mark = wire_begin(container, CONTAINER_CHUNKS);
    sha256_of(content->data, digest);
    sha256_update(root, slice_of(digest, sizeof digest));
    wire_write_uint(container, CHUNK_CODEC, content->codec);
    wire_write_uint(container, CHUNK_RAW_SIZE, content->raw_size);
    wire_write_bytes(container, CHUNK_SHA256, slice_of(digest, sizeof digest));
    wire_write_bytes(container, CHUNK_DATA, content->data);
    wire_end(container, mark);
}

static void container_make(const struct content *content, uint32_t record_count,
                           struct buffer *container) {
    uint8_t digest[SHA256_SIZE];
    struct sha256 root;
    buffer_clear(container);
    sha256_init(&root);
    header_append(container, record_count, &root);
    chunk_append(container, content, &root);
    sha256_final(&root, digest);
    size_t mark = wire_begin(container, CONTAINER_TRAILER);
    wire_write_uint(container, TRAILER_CHUNK_COUNT, 1);
    wire_write_bytes(container, TRAILER_ROOT_SHA256, slice_of(digest, sizeof digest));
    wire_end(container, mark);
    assert(buffer_status(container) == SYNC_OK);
}

static bool visit(void *context, const struct bundle_entry *entry) {
    uint32_t *count = context;
    bundle_entry_check(entry);
    ++*count;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > BYTES_MAX)
        return 0;
    struct content content = content_of((enum form)(data[0] % FORMS), slice_of(data + 1, size - 1));
    struct sync_error error = {.status = SYNC_OK};
    struct bundle_codecs codecs = {snappy(), 1};
    struct buffer container;
    uint32_t count = 0, again = 0;
    buffer_init(&container, 2 * CHUNK_ROOM);
    container_make(&content, 0, &container);
    enum sync_status status =
        bundle_read(buffer_slice(&container), &codecs, &error, NULL, visit, &count);
    assert(status == SYNC_OK || status == SYNC_ERR_CORRUPT);
    assert(status == SYNC_OK || error.message[0]);
    /* With the number that there are, only what does not parse is refused; as before. */
    container_make(&content, count, &container);
    status = bundle_read(buffer_slice(&container), &codecs, &error, NULL, visit, &again);
    assert(again == count && (status == SYNC_OK || status == SYNC_ERR_CORRUPT));
    buffer_done(&container);
    return 0;
}
