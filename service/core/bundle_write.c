#include <assert.h>

#include "base/wire.h"
#include "service/core/bundle_container.h"
#include "service/core/bundle_fields.h"
#include "service/core/checksum.h"
#include "service/core/document.h"
#include "service/core/patch_operation.h"

enum { BUNDLE_SCRATCH_MAX = 2 * BUNDLE_CHUNK_RAW_MAX };

void bundle_writer_init(struct bundle_writer *writer, const struct bundle_codec *codec) {
    assert(writer);
    *writer = (struct bundle_writer){.codec = codec};
    buffer_init(&writer->raw, BUNDLE_SCRATCH_MAX);
    buffer_init(&writer->scratch, BUNDLE_SCRATCH_MAX);
    sha256_init(&writer->root);
}

void bundle_writer_done(struct bundle_writer *writer) {
    if (!writer)
        return;
    buffer_done(&writer->raw);
    buffer_done(&writer->scratch);
}

/* Keeps the first failure of a buffer. */
static bool bundle_writer_check(struct bundle_writer *writer, const struct buffer *buffer) {
    if (!writer->status)
        writer->status = buffer_status(buffer);
    return !writer->status;
}

/* Writes the field unless it has proto3's default. */
static void write_uint(struct buffer *out, uint32_t number, uint64_t value) {
    if (value != 0)
        wire_write_uint(out, number, value);
}

static void write_text(struct buffer *out, uint32_t number, struct slice text) {
    if (text.size > 0)
        wire_write_bytes(out, number, text);
}

static void write_types(struct buffer *out, data_type_set types) {
    size_t begin = wire_begin(out, HEADER_DATA_TYPES);
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        if (data_type_in(types, (enum data_type)type))
            wire_write_varint(out, (uint64_t)type);
    wire_end(out, begin);
}

static void write_time(struct buffer *out, uint32_t number, int64_t time_us) {
    int64_t seconds = time_us / 1000000, rest = time_us % 1000000;
    if (rest < 0) {
        seconds--;
        rest += 1000000;
    }
    size_t begin = wire_begin(out, number);
    write_uint(out, TIMESTAMP_SECONDS, (uint64_t)seconds);
    write_uint(out, TIMESTAMP_NANOS, (uint64_t)rest * 1000);
    wire_end(out, begin);
}

/* Puts the header's digest at the start of the root, so that the trailer proves it too. */
static void root_add(struct bundle_writer *writer, struct slice part) {
    struct wire_reader reader = wire_reader_of(part);
    struct wire_field header;
    uint8_t digest[SHA256_SIZE];
    bool well = wire_read(&reader, &header);
    assert(well);
    (void)well;
    sha256_of(header.bytes, digest);
    sha256_update(&writer->root, slice_of(digest, sizeof digest));
}

void bundle_writer_begin(struct bundle_writer *writer, const struct bundle_info *info,
                         struct buffer *out) {
    assert(writer && info && out);
    assert(writer->chunk_count == 0);
    uint8_t checksum[CHECKSUM_SIZE];
    checksum_write(info->checksum, checksum);
    size_t start = out->size, begin = wire_begin(out, CONTAINER_HEADER);
    write_uint(out, HEADER_FORMAT_VERSION, BUNDLE_FORMAT_VERSION);
    write_text(out, HEADER_BUNDLE_ID, info->bundle_id);
    write_text(out, HEADER_USER_ID, info->user);
    write_types(out, info->types);
    write_uint(out, HEADER_SYNC_TYPE, (uint64_t)info->sync_type);
    write_text(out, HEADER_FROM_CURSOR, info->from_cursor);
    write_text(out, HEADER_CURSOR, info->cursor);
    wire_write_bytes(out, HEADER_CHECKSUM, slice_of(checksum, sizeof checksum));
    write_time(out, HEADER_CREATED_AT, info->created_us);
    write_uint(out, HEADER_RECORD_COUNT, info->record_count);
    if (writer->codec)
        write_uint(out, HEADER_DICTIONARY_ID, writer->codec->dictionary_id);
    wire_end(out, begin);
    if (bundle_writer_check(writer, out))
        root_add(writer, slice_after(buffer_slice(out), start));
}

/* The open chunk's data as they will be stored: packed where that is smaller. */
static struct slice chunk_pack(struct bundle_writer *writer, enum bundle_codec_number *ret_codec) {
    struct slice raw = buffer_slice(&writer->raw);
    const struct bundle_codec *codec = writer->codec;
    *ret_codec = BUNDLE_CODEC_IDENTITY;
    if (!codec)
        return raw;
    size_t size;
    buffer_clear(&writer->scratch);
    uint8_t *room = buffer_reserve(&writer->scratch, codec->size_max(raw.size));
    if (!bundle_writer_check(writer, &writer->scratch))
        return raw;
    writer->status = codec->pack(codec->context, raw, room, &size);
    if (writer->status || size >= raw.size)
        return raw;
    *ret_codec = codec->number;
    return slice_of(room, size);
}

/* Writes the open chunk and empties it. */
static void bundle_writer_flush(struct bundle_writer *writer, struct buffer *out) {
    enum bundle_codec_number codec;
    if (writer->status || writer->raw.size == 0)
        return;
    struct slice data = chunk_pack(writer, &codec);
    if (writer->status)
        return;
    uint8_t digest[SHA256_SIZE];
    sha256_of(data, digest);
    sha256_update(&writer->root, slice_of(digest, sizeof digest));
    size_t begin = wire_begin(out, CONTAINER_CHUNKS);
    write_uint(out, CHUNK_INDEX, writer->chunk_count++);
    write_uint(out, CHUNK_CODEC, (uint64_t)codec);
    write_uint(out, CHUNK_RAW_SIZE, writer->raw.size);
    wire_write_bytes(out, CHUNK_SHA256, slice_of(digest, sizeof digest));
    wire_write_bytes(out, CHUNK_DATA, data);
    wire_end(out, begin);
    bundle_writer_check(writer, out);
    buffer_clear(&writer->raw);
}

/* Writes the entry, without its length, to the scratch buffer. */
static void entry_write(struct buffer *out, const struct pulled *item) {
    const struct record *record = &item->record;
    assert(!record->deleted || record->data.size == 0);
    write_uint(out, ENTRY_DATA_TYPE, record->key.type);
    write_text(out, ENTRY_DATA_ID, record->key.id);
    write_uint(out, ENTRY_VERSION, record->version);
    write_uint(out, ENTRY_DELETED, record->deleted);
    if (!record->deleted && item->form != PATCH_FORM_OPERATIONS) {
        bool is_patch = item->form == PATCH_FORM_MERGE;
        size_t begin = wire_begin(out, is_patch ? ENTRY_PATCH_JSON : ENTRY_JSON);
        document_append_json(is_patch ? item->patch : record->data, out);
        wire_end(out, begin);
    }
    write_uint(out, ENTRY_UPDATED_AT_US, (uint64_t)record->updated_us);
    size_t position = 0;
    struct slice operation;
    while (item->form == PATCH_FORM_OPERATIONS &&
           patch_operations_next(item->patch, &position, &operation))
        wire_write_bytes(out, ENTRY_OPERATIONS, operation);
}

void bundle_writer_add(struct bundle_writer *writer, const struct pulled *item,
                       struct buffer *out) {
    assert(writer && item && out);
    if (writer->status)
        return;
    buffer_clear(&writer->scratch);
    entry_write(&writer->scratch, item);
    if (!bundle_writer_check(writer, &writer->scratch))
        return;
    struct slice entry = buffer_slice(&writer->scratch);
    size_t size = wire_varint_size(entry.size) + entry.size;
    if (size > BUNDLE_CHUNK_RAW_MAX) {
        writer->status = SYNC_ERR_TOO_LARGE;
        return;
    }
    if (writer->raw.size > 0 && writer->raw.size + size > BUNDLE_CHUNK_BYTES) {
        bundle_writer_flush(writer, out); /* overwrites the scratch buffer */
        if (writer->status)
            return;
        buffer_clear(&writer->scratch);
        entry_write(&writer->scratch, item);
        entry = buffer_slice(&writer->scratch);
    }
    wire_write_varint(&writer->raw, entry.size);
    buffer_append(&writer->raw, entry);
    bundle_writer_check(writer, &writer->raw);
    bundle_writer_check(writer, &writer->scratch);
}

enum sync_status bundle_writer_end(struct bundle_writer *writer, struct buffer *out) {
    assert(writer && out);
    bundle_writer_flush(writer, out);
    if (writer->status)
        return writer->status;
    uint8_t root[SHA256_SIZE];
    sha256_final(&writer->root, root);
    size_t begin = wire_begin(out, CONTAINER_TRAILER);
    write_uint(out, TRAILER_CHUNK_COUNT, writer->chunk_count);
    wire_write_bytes(out, TRAILER_ROOT_SHA256, slice_of(root, sizeof root));
    wire_end(out, begin);
    bundle_writer_check(writer, out);
    return writer->status;
}
