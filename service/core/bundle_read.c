#include <assert.h>

#include "base/memory.h"
#include "base/wire.h"
#include "service/core/bundle_container.h"
#include "service/core/bundle_fields.h"
#include "service/core/checksum.h"

/* One chunk as it stands in the container. */
struct chunk {
    uint64_t index, codec, raw_size;
    struct slice sha256, data;
};

static enum sync_status corrupt(struct sync_error *error, const char *field, const char *message) {
    return sync_error_set(error, SYNC_ERR_CORRUPT, "BUNDLE_CORRUPT", field, "%s", message);
}

static bool is_text(const struct wire_field *field, size_t size_max) {
    return field->type == WIRE_LEN && field->bytes.size <= size_max && slice_is_utf8(field->bytes);
}

static bool read_types(struct slice packed, data_type_set *types) {
    struct wire_reader reader = wire_reader_of(packed);
    while (!wire_at_end(&reader)) {
        uint64_t type;
        if (!wire_read_varint(&reader, &type) || type < DATA_TYPE_FIRST || type > DATA_TYPE_LAST)
            return false;
        *types |= 1u << type;
    }
    return true;
}

static bool read_time(struct slice message, int64_t *time_us) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    int64_t seconds = 0, nanos = 0;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field) || field.type != WIRE_VARINT)
            return false;
        if (field.number == TIMESTAMP_SECONDS)
            seconds = (int64_t)field.bits;
        else if (field.number == TIMESTAMP_NANOS)
            nanos = (int64_t)field.bits;
    }
    return nanos >= 0 && nanos < 1000000000 && !__builtin_mul_overflow(seconds, 1000000, time_us) &&
           !__builtin_add_overflow(*time_us, nanos / 1000, time_us);
}

/* Takes one field of the header. */
static bool header_take(const struct wire_field *field, uint64_t *format,
                        struct bundle_info *info) {
    switch (field->number) {
    case HEADER_FORMAT_VERSION:
        *format = field->bits;
        return field->type == WIRE_VARINT;
    case HEADER_BUNDLE_ID:
        info->bundle_id = field->bytes;
        return is_text(field, USER_ID_MAX);
    case HEADER_USER_ID:
        info->user = field->bytes;
        return is_text(field, USER_ID_MAX);
    case HEADER_DATA_TYPES:
        return field->type == WIRE_LEN && read_types(field->bytes, &info->types);
    case HEADER_SYNC_TYPE:
        info->sync_type = (int)field->bits;
        return field->type == WIRE_VARINT && field->bits <= INT32_MAX;
    case HEADER_FROM_CURSOR:
        info->from_cursor = field->bytes;
        return is_text(field, CURSOR_TEXT_MAX);
    case HEADER_CURSOR:
        info->cursor = field->bytes;
        return is_text(field, CURSOR_TEXT_MAX);
    case HEADER_CHECKSUM:
        if (field->type != WIRE_LEN || field->bytes.size != CHECKSUM_SIZE)
            return false;
        info->checksum = checksum_read(field->bytes.data);
        return true;
    case HEADER_CREATED_AT:
        return field->type == WIRE_LEN && read_time(field->bytes, &info->created_us);
    case HEADER_RECORD_COUNT:
        info->record_count = (uint32_t)field->bits;
        return field->type == WIRE_VARINT && field->bits <= INT32_MAX;
    case HEADER_DICTIONARY_ID:
        info->dictionary_id = (uint32_t)field->bits;
        return field->type == WIRE_VARINT && field->bits <= INT32_MAX;
    default:
        return true; /* of a later version of the format */
    }
}

static enum sync_status header_read(struct slice message, struct sync_error *error,
                                    struct bundle_info *ret_info) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    struct bundle_info info = {.types = 0};
    uint64_t format = 0;
    while (!wire_at_end(&reader))
        if (!wire_read(&reader, &field) || !header_take(&field, &format, &info))
            return corrupt(error, "header", "The header does not parse.");
    if (format != BUNDLE_FORMAT_VERSION)
        return corrupt(error, "header", "The format version is unknown.");
    *ret_info = info;
    return SYNC_OK;
}

/* Reads a chunk's fields and checks its digest. */
static enum sync_status chunk_read(struct slice message, uint64_t index, struct sync_error *error,
                                   struct chunk *ret_chunk) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    struct chunk chunk = {.index = 0};
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return corrupt(error, "chunks", "A chunk does not parse.");
        bool is_bytes = field.number == CHUNK_SHA256 || field.number == CHUNK_DATA;
        if (field.number <= CHUNK_DATA && field.type != (is_bytes ? WIRE_LEN : WIRE_VARINT))
            return corrupt(error, "chunks", "A chunk does not parse.");
        if (is_bytes)
            *(field.number == CHUNK_SHA256 ? &chunk.sha256 : &chunk.data) = field.bytes;
        else if (field.number == CHUNK_INDEX)
            chunk.index = field.bits;
        else if (field.number == CHUNK_CODEC)
            chunk.codec = field.bits;
        else if (field.number == CHUNK_RAW_SIZE)
            chunk.raw_size = field.bits;
    }
    uint8_t digest[SHA256_SIZE];
    sha256_of(chunk.data, digest);
    if (chunk.index != index)
        return corrupt(error, "chunks", "A chunk is missing or out of place.");
    if (!slice_equal(chunk.sha256, slice_of(digest, sizeof digest)))
        return corrupt(error, "chunks", "A chunk's SHA-256 differs.");
    if (chunk.raw_size > BUNDLE_CHUNK_RAW_MAX)
        return corrupt(error, "chunks", "A chunk is larger than allowed.");
    *ret_chunk = chunk;
    return SYNC_OK;
}

static enum sync_status trailer_read(struct slice message, uint64_t chunk_count, struct slice root,
                                     struct sync_error *error) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    uint64_t count = 0;
    struct slice sha256 = SLICE_EMPTY;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return corrupt(error, "trailer", "The trailer does not parse.");
        if (field.number == TRAILER_CHUNK_COUNT && field.type == WIRE_VARINT)
            count = field.bits;
        else if (field.number == TRAILER_ROOT_SHA256 && field.type == WIRE_LEN)
            sha256 = field.bytes;
    }
    if (count != chunk_count)
        return corrupt(error, "trailer", "The number of chunks differs.");
    if (!slice_equal(sha256, root))
        return corrupt(error, "trailer", "The SHA-256 over header and chunks differs.");
    return SYNC_OK;
}

/* Reads the container's next part, which must have the number given. */
static bool part_read(struct wire_reader *reader, uint32_t number, struct slice *ret_message) {
    struct wire_reader ahead = *reader;
    struct wire_field field;
    if (wire_at_end(&ahead) || !wire_read(&ahead, &field) || field.number != number ||
        field.type != WIRE_LEN)
        return false;
    *reader = ahead;
    *ret_message = field.bytes;
    return true;
}

/* Checks everything that needs no unpacking. `ret_chunks` is where the chunks begin. */
static enum sync_status container_verify(struct slice container, struct sync_error *error,
                                         struct bundle_info *ret_info,
                                         struct wire_reader *ret_chunks) {
    struct wire_reader reader = wire_reader_of(container);
    struct slice message;
    struct chunk chunk = {.index = 0};
    struct sha256 sha;
    uint64_t chunk_count = 0;
    if (!part_read(&reader, CONTAINER_HEADER, &message))
        return corrupt(error, "", "The container does not begin with a header.");
    enum sync_status status = header_read(message, error, ret_info);
    uint8_t root[SHA256_SIZE];
    *ret_chunks = reader;
    sha256_init(&sha);
    sha256_of(message, root);
    sha256_update(&sha, slice_of(root, sizeof root));
    while (!status && part_read(&reader, CONTAINER_CHUNKS, &message)) {
        status = chunk_read(message, chunk_count++, error, &chunk);
        if (!status)
            sha256_update(&sha, chunk.sha256);
    }
    if (status)
        return status;
    sha256_final(&sha, root);
    if (!part_read(&reader, CONTAINER_TRAILER, &message) || !wire_at_end(&reader))
        return corrupt(error, "", "The container does not end with its trailer.");
    return trailer_read(message, chunk_count, slice_of(root, sizeof root), error);
}

/* Takes one field of an entry. */
static bool entry_take(const struct wire_field *field, struct bundle_entry *entry) {
    bool is_bytes = field->number == ENTRY_DATA_ID || field->number == ENTRY_JSON ||
                    field->number == ENTRY_PATCH_JSON || field->number == ENTRY_OPERATIONS;
    if (field->number > ENTRY_OPERATIONS)
        return true; /* of a later version of the format */
    if (field->type != (is_bytes ? WIRE_LEN : WIRE_VARINT))
        return false;
    switch (field->number) {
    case ENTRY_DATA_TYPE:
        entry->key.type = (enum data_type)field->bits;
        return field->bits >= DATA_TYPE_FIRST && field->bits <= DATA_TYPE_LAST;
    case ENTRY_DATA_ID:
        entry->key.id = field->bytes;
        return is_text(field, DATA_ID_MAX);
    case ENTRY_VERSION:
        entry->version = field->bits;
        return field->bits <= INT64_MAX;
    case ENTRY_DELETED:
        entry->deleted = field->bits != 0;
        return true;
    case ENTRY_JSON:
        entry->json = field->bytes;
        return is_text(field, BUNDLE_CHUNK_RAW_MAX);
    case ENTRY_PATCH_JSON:
        entry->patch_json = field->bytes;
        return is_text(field, BUNDLE_CHUNK_RAW_MAX);
    case ENTRY_OPERATIONS:
        entry->operation_count++;
        return true;
    default:
        entry->updated_us = (int64_t)field->bits;
        return true;
    }
}

bool bundle_entry_operation_next(const struct bundle_entry *entry, size_t *position,
                                 struct slice *ret_message) {
    struct wire_reader reader = wire_reader_of(slice_after(entry->message, *position));
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number != ENTRY_OPERATIONS)
            continue;
        *position = (size_t)(reader.next - entry->message.data);
        *ret_message = field.bytes;
        return true;
    }
    return false;
}

/* An entry says exactly one of: deleted, the whole, a patch in one of its forms. */
static bool entry_read(struct slice message, struct bundle_entry *ret_entry) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    struct bundle_entry entry = {.message = message};
    while (!wire_at_end(&reader))
        if (!wire_read(&reader, &field) || !entry_take(&field, &entry))
            return false;
    *ret_entry = entry;
    return entry.key.type != 0 && entry.key.id.size > 0 && entry.version > 0 &&
           entry.deleted + (entry.json.size > 0) + (entry.patch_json.size > 0) +
                   (entry.operation_count > 0) ==
               1;
}

/* What unpacks the chunks, where entries go, and how many there were. */
struct entry_sink {
    const struct bundle_codecs *codecs;
    uint32_t dictionary_id; /* the header's */
    bundle_visit *visit;
    void *context;
    uint64_t count;
};

static enum sync_status entries_read(struct slice raw, struct sync_error *error,
                                     struct entry_sink *sink) {
    struct wire_reader reader = wire_reader_of(raw);
    while (!wire_at_end(&reader)) {
        struct bundle_entry entry;
        uint64_t size;
        if (!wire_read_varint(&reader, &size) || size > (uint64_t)(reader.end - reader.next) ||
            !entry_read(slice_of(reader.next, (size_t)size), &entry))
            return corrupt(error, "chunks", "An entry does not parse.");
        reader.next += size;
        sink->count++;
        if (sink->visit && !sink->visit(sink->context, &entry))
            return SYNC_ERR_CANCELLED;
    }
    return SYNC_OK;
}

/* The codec of a chunk, or NULL. */
static const struct bundle_codec *codec_find(const struct chunk *chunk,
                                             const struct entry_sink *sink) {
    uint32_t dictionary_id = chunk->codec == BUNDLE_CODEC_ZSTD ? sink->dictionary_id : 0;
    for (size_t i = 0; i < sink->codecs->count; i++) {
        const struct bundle_codec *codec = &sink->codecs->list[i];
        if (codec->number == chunk->codec && codec->dictionary_id == dictionary_id)
            return codec;
    }
    return NULL;
}

/* Unpacks a chunk that was verified, and reads its entries. */
static enum sync_status chunk_visit(const struct chunk *chunk, struct sync_error *error,
                                    struct entry_sink *sink) {
    if (chunk->codec == BUNDLE_CODEC_IDENTITY) {
        if (chunk->raw_size != chunk->data.size)
            return corrupt(error, "chunks", "A chunk's size differs.");
        return entries_read(chunk->data, error, sink);
    }
    const struct bundle_codec *codec = codec_find(chunk, sink);
    if (!codec)
        return sync_error_set(error, SYNC_ERR_UNIMPLEMENTED, "BUNDLE_CODEC_UNKNOWN", "chunks",
                              "A chunk is packed with codec %llu, the bundle with dictionary %u.",
                              (unsigned long long)chunk->codec, sink->dictionary_id);
    size_t size = (size_t)chunk->raw_size; /* within BUNDLE_CHUNK_RAW_MAX */
    if (size == 0 || !codec->is_of_size(chunk->data, size))
        return corrupt(error, "chunks", "A chunk's size differs.");
    uint8_t *raw = memory_alloc(size);
    if (!raw)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = codec->unpack(codec->context, chunk->data, raw, size);
    if (status == SYNC_OK)
        status = entries_read(slice_of(raw, size), error, sink);
    else if (status == SYNC_ERR_CORRUPT)
        status = corrupt(error, "chunks", "A chunk does not unpack.");
    memory_free(raw);
    return status;
}

enum sync_status bundle_read(struct slice container, const struct bundle_codecs *codecs,
                             struct sync_error *error, struct bundle_info *ret_info,
                             bundle_visit *visit, void *context) {
    assert(codecs);
    struct bundle_info info = {.types = 0};
    struct wire_reader reader = wire_reader_of(container);
    struct slice message;
    struct entry_sink sink = {.codecs = codecs, .visit = visit, .context = context};
    enum sync_status status = container_verify(container, error, &info, &reader);
    sink.dictionary_id = info.dictionary_id;
    for (uint64_t i = 0; !status && part_read(&reader, CONTAINER_CHUNKS, &message); i++) {
        struct chunk chunk = {.index = 0};
        status = chunk_read(message, i, error, &chunk);
        if (!status)
            status = chunk_visit(&chunk, error, &sink);
    }
    if (status)
        return status;
    if (sink.count != info.record_count)
        return corrupt(error, "header", "The number of records differs.");
    if (ret_info)
        *ret_info = info;
    return SYNC_OK;
}
