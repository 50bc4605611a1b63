#include "service/store/rocks_digest.h"

#include <assert.h>

enum { DIGEST_FLAGS = 0, LEVEL_SHIFT = 56 };

void rocks_key_digest(struct rocks_key *key, struct slice user, unsigned level, uint64_t last) {
    assert(level >= 1 && level <= ROCKS_DIGEST_LEVELS);
    assert(last >> LEVEL_SHIFT == 0);
    rocks_key_numbered(key, user, (uint64_t)level << LEVEL_SHIFT | last);
}

int rocks_digest_order(const struct record_key *left, const struct record_key *right) {
    if (left->type != right->type)
        return left->type < right->type ? -1 : 1;
    return slice_compare(left->id, right->id);
}

void rocks_digest_begin(struct rocks_digest_writer *writer, struct buffer *out, uint64_t last) {
    writer->out = out;
    writer->begin = out->size;
    writer->last = last;
    writer->id_size = 0;
    buffer_append_byte(out, DIGEST_FLAGS);
}

static size_t shared_size(struct slice a, struct slice b) {
    size_t size = 0, size_max = a.size < b.size ? a.size : b.size;
    while (size < size_max && a.data[size] == b.data[size])
        size++;
    return size;
}

void rocks_digest_put(struct rocks_digest_writer *writer, const struct record_version *record) {
    struct slice id = record->key.id;
    assert(record->version <= writer->last);
    assert(id.size <= DATA_ID_MAX);
    size_t shared = shared_size(slice_of(writer->id, writer->id_size), id);
    buffer_append_byte(writer->out, (uint8_t)record->key.type);
    wire_write_varint(writer->out, shared);
    rocks_write_sized(writer->out, slice_after(id, shared));
    wire_write_varint(writer->out, writer->last - record->version);
    if (id.size > shared)
        memcpy(writer->id + shared, id.data + shared, id.size - shared);
    writer->id_size = id.size;
}

void rocks_digest_end(struct rocks_digest_writer *writer, struct slice key) {
    rocks_value_seal(writer->out, writer->begin, key);
}

enum sync_status rocks_digest_open(struct rocks_digest_reader *reader, struct slice key,
                                   struct slice value, unsigned level, uint64_t last) {
    if (!rocks_value_check(key, &value) || value.size == 0 || value.data[0] != DIGEST_FLAGS)
        return SYNC_ERR_CORRUPT;
    reader->wire = wire_reader_of(slice_after(value, 1));
    reader->last = last;
    reader->span = rocks_digest_span(level);
    reader->is_at_end = reader->is_damaged = false;
    reader->record = (struct record_version){.key.id = slice_of(reader->id, 0)};
    return SYNC_OK;
}

/* Takes over a record's place and its id's end. */
static bool digest_take(struct rocks_digest_reader *reader) {
    struct slice type, rest;
    uint64_t shared, before;
    if (!rocks_read_bytes(&reader->wire, 1, &type) || !wire_read_varint(&reader->wire, &shared) ||
        !rocks_read_sized(&reader->wire, &rest) || !wire_read_varint(&reader->wire, &before))
        return false;
    if (shared > reader->record.key.id.size || rest.size > DATA_ID_MAX - shared ||
        before >= reader->span)
        return false;
    if (rest.size > 0)
        memcpy(reader->id + shared, rest.data, rest.size);
    reader->record =
        (struct record_version){.key = {.type = (enum data_type)type.data[0],
                                        .id = slice_of(reader->id, shared + rest.size)},
                                .version = reader->last - before};
    return true;
}

bool rocks_digest_next(struct rocks_digest_reader *reader) {
    reader->is_at_end = wire_at_end(&reader->wire);
    reader->is_damaged = !reader->is_at_end && !digest_take(reader);
    return !reader->is_at_end && !reader->is_damaged;
}
