#include "service/store/rocks_codec.h"

#include <assert.h>
#include <snappy-c.h>

#include "base/sha256.h"

enum { RECORD_DELETED = 1, RECORD_PACKED = 2, RECORD_STAMPED = 4, RECORD_FLAGS = 7 };

static void rocks_key_append(struct rocks_key *key, struct slice bytes) {
    if (bytes.size > ROCKS_KEY_MAX - key->size) {
        key->failed = true;
    } else if (bytes.size > 0) {
        memcpy(key->bytes + key->size, bytes.data, bytes.size);
        key->size += bytes.size;
    }
}

static void rocks_key_append_byte(struct rocks_key *key, uint8_t byte) {
    rocks_key_append(key, slice_of(&byte, 1));
}

void rocks_key_user(struct rocks_key *key, struct slice user) {
    key->size = 0;
    key->failed = user.size == 0 || user.size > USER_ID_MAX || memchr(user.data, 0, user.size);
    if (!key->failed)
        rocks_key_append(key, user);
}

void rocks_key_record(struct rocks_key *key, struct slice user, enum data_type type,
                      struct slice id) {
    rocks_key_user(key, user);
    rocks_key_append_byte(key, 0);
    rocks_key_append_byte(key, (uint8_t)type);
    if (id.size > DATA_ID_MAX)
        key->failed = true;
    else
        rocks_key_append(key, id);
}

void rocks_key_numbered(struct rocks_key *key, struct slice user, uint64_t number) {
    uint8_t text[8];
    rocks_put_be64(text, number);
    rocks_key_user(key, user);
    rocks_key_append_byte(key, 0);
    rocks_key_append(key, slice_of(text, sizeof text));
}

void rocks_key_row(struct rocks_key *key, enum table table, struct slice row_key) {
    key->size = 0;
    key->failed = false;
    rocks_key_append_byte(key, (uint8_t)table);
    rocks_key_append(key, row_key);
}

void rocks_key_successor(struct rocks_key *key) {
    while (key->size > 0 && key->bytes[key->size - 1] == 0xff)
        key->size--;
    assert(key->size > 0); /* our keys begin with a table or a user, which is UTF-8 */
    key->bytes[key->size - 1]++;
}

bool rocks_key_read_number(struct slice key, uint64_t *ret_number) {
    if (key.size < 10 || key.data[key.size - 9] != 0)
        return false;
    *ret_number = rocks_get_be64(key.data + key.size - 8);
    return true;
}

static uint32_t rocks_crc(struct slice key, struct slice content) {
    return crc32c(crc32c(0, key), content);
}

void rocks_value_seal(struct buffer *out, size_t begin, struct slice key) {
    if (out->failed)
        return;
    uint32_t crc = rocks_crc(key, slice_of(out->data + begin, out->size - begin));
    buffer_append(out, slice_of(&crc, sizeof crc));
}

bool rocks_value_check(struct slice key, struct slice *value) {
    if (value->size < ROCKS_CRC_SIZE)
        return false;
    struct slice content = slice_first(*value, value->size - ROCKS_CRC_SIZE);
    uint32_t crc;
    memcpy(&crc, content.data + content.size, sizeof crc);
    if (crc != rocks_crc(key, content))
        return false;
    *value = content;
    return true;
}

bool rocks_append_packed(struct buffer *out, struct slice content) {
    if (content.size < ROCKS_COMPRESS_MIN)
        return false;
    size_t size = snappy_max_compressed_length(content.size);
    char *room = (char *)buffer_reserve(out, size);
    if (!room)
        return false;
    snappy_status status = snappy_compress((const char *)content.data, content.size, room, &size);
    if (status != SNAPPY_OK || size >= content.size - content.size / 16)
        return false;
    buffer_advance(out, size);
    return true;
}

bool rocks_unpacked_size(struct slice packed, size_t *ret_size) {
    size_t size;
    if (snappy_uncompressed_length((const char *)packed.data, packed.size, &size) != SNAPPY_OK)
        return false;
    if (size > ROCKS_VALUE_MAX)
        return false;
    *ret_size = size;
    return true;
}

bool rocks_unpack(struct slice packed, uint8_t *out, size_t size) {
    size_t room = size;
    return snappy_uncompress((const char *)packed.data, packed.size, (char *)out, &room) ==
               SNAPPY_OK &&
           room == size;
}

bool rocks_read_bytes(struct wire_reader *reader, size_t size, struct slice *ret_bytes) {
    if ((size_t)(reader->end - reader->next) < size)
        return false;
    *ret_bytes = slice_of(reader->next, size);
    reader->next += size;
    return true;
}

bool rocks_read_sized(struct wire_reader *reader, struct slice *ret_bytes) {
    uint64_t size;
    return wire_read_varint(reader, &size) && size <= SIZE_MAX &&
           rocks_read_bytes(reader, (size_t)size, ret_bytes);
}

void rocks_write_sized(struct buffer *out, struct slice bytes) {
    wire_write_varint(out, bytes.size);
    buffer_append(out, bytes);
}

static void checksum_write(struct buffer *out, const struct checksum *checksum) {
    uint8_t text[CHECKSUM_SIZE];
    rocks_put_be64(text, checksum->high);
    rocks_put_be64(text + 8, checksum->low);
    buffer_append(out, slice_of(text, sizeof text));
}

static bool checksum_read(struct wire_reader *reader, struct checksum *ret_checksum) {
    struct slice text;
    if (!rocks_read_bytes(reader, CHECKSUM_SIZE, &text))
        return false;
    *ret_checksum = (struct checksum){rocks_get_be64(text.data), rocks_get_be64(text.data + 8)};
    return true;
}

void rocks_head_encode(struct buffer *out, struct slice key, const struct user_head *head) {
    assert(head->log_floor <= head->sequence);
    size_t begin = out->size;
    wire_write_varint(out, head->sequence);
    wire_write_varint(out, head->revision);
    wire_write_varint(out, head->log_floor);
    wire_write_varint(out, wire_zigzag(head->time_us));
    checksum_write(out, &head->checksum);
    wire_write_varint(out, head->data_bytes);
    wire_write_varint(out, head->record_count);
    wire_write_varint(out, head->conflicts_open);
    if (head->held_bytes > 0) /* heads from before it was counted end here, too */
        wire_write_varint(out, head->held_bytes);
    rocks_value_seal(out, begin, key);
}

enum sync_status rocks_head_decode(struct slice key, struct slice value,
                                   struct user_head *ret_head) {
    if (!rocks_value_check(key, &value))
        return SYNC_ERR_CORRUPT;
    struct wire_reader reader = wire_reader_of(value);
    struct user_head head = {0};
    uint64_t time, records, conflicts;
    bool well =
        wire_read_varint(&reader, &head.sequence) && wire_read_varint(&reader, &head.revision) &&
        wire_read_varint(&reader, &head.log_floor) && wire_read_varint(&reader, &time) &&
        checksum_read(&reader, &head.checksum) && wire_read_varint(&reader, &head.data_bytes) &&
        wire_read_varint(&reader, &records) && wire_read_varint(&reader, &conflicts);
    if (well && !wire_at_end(&reader))
        well = wire_read_varint(&reader, &head.held_bytes);
    if (!well || !wire_at_end(&reader) || records > UINT32_MAX || conflicts > UINT32_MAX)
        return SYNC_ERR_CORRUPT;
    head.time_us = wire_unzigzag(time);
    head.record_count = (uint32_t)records;
    head.conflicts_open = (uint32_t)conflicts;
    *ret_head = head;
    return SYNC_OK;
}

/* Appends content, compressed where that saves; true when it is. */
static bool record_append(struct buffer *out, struct slice content) {
    bool is_packed = rocks_append_packed(out, content);
    if (!is_packed)
        buffer_append(out, content);
    return is_packed;
}

/* Appends a record's stamps, which mostly repeat its names, in one with the document. */
static bool record_append_stamped(struct buffer *out, const struct record *record) {
    struct buffer content;
    buffer_init(&content, out->size_max);
    buffer_reserve(&content, record->stamps.size + record->data.size);
    buffer_append(&content, record->stamps);
    buffer_append(&content, record->data);
    wire_write_varint(out, record->stamps.size);
    bool is_packed = record_append(out, buffer_slice(&content));
    out->failed = out->failed || content.failed;
    buffer_done(&content);
    return is_packed;
}

/* flags, version, updated; then, of a live record, its element and its document, of a stamped one
 * with the size of its stamps before it, and them. */
void rocks_record_encode(struct buffer *out, struct slice key, const struct record *record) {
    assert(record->version > 0);
    size_t begin = out->size;
    buffer_append_byte(out, record->deleted ? RECORD_DELETED : 0);
    wire_write_varint(out, record->version);
    wire_write_varint(out, wire_zigzag(record->updated_us));
    if (!record->deleted) {
        checksum_write(out, &record->element);
        bool is_stamped = record->stamps.size > 0;
        bool is_packed =
            is_stamped ? record_append_stamped(out, record) : record_append(out, record->data);
        if (!out->failed)
            out->data[begin] |=
                (uint8_t)((is_packed ? RECORD_PACKED : 0) | (is_stamped ? RECORD_STAMPED : 0));
    }
    rocks_value_seal(out, begin, key);
}

/* Copies or unpacks a document into the arena. */
static enum sync_status document_take(struct slice stored, bool packed, struct arena *arena,
                                      struct slice *ret_data) {
    if (!packed)
        return arena_copy(arena, stored, ret_data) ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    size_t size;
    if (!rocks_unpacked_size(stored, &size))
        return SYNC_ERR_CORRUPT;
    uint8_t *data = arena_alloc(arena, size);
    if (!data)
        return SYNC_ERR_NO_MEMORY;
    if (!rocks_unpack(stored, data, size))
        return SYNC_ERR_CORRUPT;
    *ret_data = slice_of(data, size);
    return SYNC_OK;
}

/* Finds type and id in a record's key. */
static bool record_key_read(struct slice key, struct record_key *ret_key) {
    const uint8_t *end = key.size > 0 ? memchr(key.data, 0, key.size) : NULL;
    if (!end || (size_t)(key.data + key.size - end) < 2)
        return false;
    ret_key->type = (enum data_type)end[1];
    ret_key->id = slice_after(key, (size_t)(end + 2 - key.data));
    return true;
}

/* Checks a record's value and reads what stands first in it; `ret_rest` is behind that. */
static bool record_begin(struct slice key, struct slice value, struct record *ret_record,
                         uint8_t *ret_flags, struct wire_reader *ret_rest) {
    struct record record = {0};
    struct slice flags;
    uint64_t updated;
    if (!rocks_value_check(key, &value) || !record_key_read(key, &record.key))
        return false;
    struct wire_reader reader = wire_reader_of(value);
    if (!rocks_read_bytes(&reader, 1, &flags) || !wire_read_varint(&reader, &record.version) ||
        !wire_read_varint(&reader, &updated) || flags.data[0] > RECORD_FLAGS)
        return false;
    record.updated_us = wire_unzigzag(updated);
    record.deleted = flags.data[0] & RECORD_DELETED;
    *ret_record = record;
    *ret_flags = flags.data[0];
    *ret_rest = reader;
    return true;
}

enum sync_status rocks_record_decode_version(struct slice key, struct slice value,
                                             struct record_version *ret_record,
                                             int64_t *ret_updated_us) {
    struct record record;
    struct wire_reader rest;
    uint8_t flags;
    if (!record_begin(key, value, &record, &flags, &rest))
        return SYNC_ERR_CORRUPT;
    *ret_record = (struct record_version){.key = record.key, .version = record.version};
    *ret_updated_us = record.updated_us;
    return SYNC_OK;
}

enum sync_status rocks_record_decode(struct slice key, struct slice value, struct arena *arena,
                                     struct record *ret_record) {
    struct record record;
    struct wire_reader reader;
    uint8_t flags;
    if (!record_begin(key, value, &record, &flags, &reader))
        return SYNC_ERR_CORRUPT;
    if (!arena_copy(arena, record.key.id, &record.key.id))
        return SYNC_ERR_NO_MEMORY;
    if (!record.deleted) {
        uint64_t stamps_size = 0;
        if (!checksum_read(&reader, &record.element) ||
            ((flags & RECORD_STAMPED) && !wire_read_varint(&reader, &stamps_size)))
            return SYNC_ERR_CORRUPT;
        struct slice stored = slice_of(reader.next, (size_t)(reader.end - reader.next));
        enum sync_status status = document_take(stored, flags & RECORD_PACKED, arena, &record.data);
        if (status != SYNC_OK)
            return status;
        if (stamps_size > record.data.size)
            return SYNC_ERR_CORRUPT;
        record.stamps = slice_first(record.data, (size_t)stamps_size);
        record.data = slice_after(record.data, (size_t)stamps_size);
    } else if (!wire_at_end(&reader)) {
        return SYNC_ERR_CORRUPT;
    }
    *ret_record = record;
    return SYNC_OK;
}

void rocks_row_encode(struct buffer *out, struct slice key, struct slice value) {
    size_t begin = out->size;
    buffer_append(out, value);
    rocks_value_seal(out, begin, key);
}

enum sync_status rocks_row_decode(struct slice key, struct slice value, struct slice *ret_value) {
    if (!rocks_value_check(key, &value))
        return SYNC_ERR_CORRUPT;
    *ret_value = value;
    return SYNC_OK;
}
