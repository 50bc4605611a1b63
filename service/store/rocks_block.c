#include "service/store/rocks_block.h"

#include <assert.h>

enum { BLOCK_PACKED = 1, BLOCK_FLAGS = 1 };

/* An entry's first byte: its kind, and in higher bits whether the record was deleted before, and
 * whether it is now as the device has it. */
enum { ENTRY_KIND = 3, ENTRY_PREVIOUS_DELETED = 4, ENTRY_AS_SENT = 8, ENTRY_LEAD = 15 };

static void block_encode(struct buffer *out, struct slice key, int64_t time_us,
                         const struct buffer *body) {
    size_t begin = out->size;
    buffer_append_byte(out, 0);
    wire_write_varint(out, wire_zigzag(time_us));
    if (rocks_append_packed(out, buffer_slice(body)))
        out->data[begin] |= BLOCK_PACKED;
    else
        buffer_append(out, buffer_slice(body));
    rocks_value_seal(out, begin, key);
}

/* The sequence is written as the step from the entry before. */
static void log_entry_write(struct buffer *body, uint64_t before, const struct log_entry *entry) {
    assert(entry->sequence > before);
    assert(entry->kind >= CHANGE_CREATE);
    assert(entry->kind <= CHANGE_DELETE);
    buffer_append_byte(body, (uint8_t)(entry->kind |
                                       (entry->previous_deleted ? ENTRY_PREVIOUS_DELETED : 0) |
                                       (entry->as_sent ? ENTRY_AS_SENT : 0)));
    wire_write_varint(body, entry->sequence - before);
    buffer_append_byte(body, (uint8_t)entry->key.type);
    rocks_write_sized(body, entry->key.id);
    wire_write_varint(body, entry->previous_version);
    rocks_write_sized(body, entry->undo);
    rocks_write_sized(body, entry->device);
    rocks_write_sized(body, entry->change_id);
    wire_write_varint(body, wire_zigzag(entry->device_us));
    wire_write_varint(body, wire_zigzag(entry->corrected_us));
}

size_t rocks_log_encode(struct buffer *out, struct slice user, int64_t time_us,
                        const struct log_entry *entries, size_t count, struct buffer *scratch,
                        struct rocks_key *key) {
    assert(count > 0);
    buffer_clear(scratch);
    size_t taken = 0;
    uint64_t sequence = 0;
    do {
        const struct log_entry *entry = &entries[taken++];
        log_entry_write(scratch, sequence, entry);
        sequence = entry->sequence;
    } while (taken < count && scratch->size < ROCKS_LOG_BLOCK_BYTES && !scratch->failed);
    rocks_key_numbered(key, user, sequence);
    block_encode(out, rocks_key_slice(key), time_us, scratch);
    return taken;
}

void rocks_settled_encode(struct buffer *out, struct slice key, int64_t time_us,
                          const struct settled *settled, size_t count, struct buffer *scratch) {
    buffer_clear(scratch);
    for (size_t i = 0; i < count; i++) {
        rocks_write_sized(scratch, settled[i].device);
        rocks_write_sized(scratch, settled[i].change_id);
        buffer_append(scratch, slice_of(settled[i].payload_hash, PAYLOAD_HASH_SIZE));
        rocks_write_sized(scratch, settled[i].outcome);
    }
    block_encode(out, key, time_us, scratch);
}

/* Checks a block and reads what stands before its body; `value` becomes the stored body. */
static bool block_begin(struct slice key, struct slice *value, bool *ret_packed,
                        int64_t *ret_time_us) {
    struct slice content = *value, flags;
    uint64_t time;
    if (!rocks_value_check(key, &content))
        return false;
    struct wire_reader reader = wire_reader_of(content);
    if (!rocks_read_bytes(&reader, 1, &flags) || flags.data[0] > BLOCK_FLAGS ||
        !wire_read_varint(&reader, &time))
        return false;
    *value = slice_of(reader.next, (size_t)(reader.end - reader.next));
    *ret_packed = flags.data[0] & BLOCK_PACKED;
    *ret_time_us = wire_unzigzag(time);
    return true;
}

enum sync_status rocks_block_time(struct slice key, struct slice value, int64_t *ret_time_us) {
    bool packed;
    return block_begin(key, &value, &packed, ret_time_us) ? SYNC_OK : SYNC_ERR_CORRUPT;
}

enum sync_status rocks_block_open(struct slice key, struct slice value, struct buffer *body,
                                  int64_t *ret_time_us) {
    bool packed;
    size_t size;
    buffer_clear(body);
    if (!block_begin(key, &value, &packed, ret_time_us))
        return SYNC_ERR_CORRUPT;
    if (!packed) {
        buffer_append(body, value);
        return buffer_status(body);
    }
    if (!rocks_unpacked_size(value, &size))
        return SYNC_ERR_CORRUPT;
    uint8_t *room = buffer_reserve(body, size);
    if (!room)
        return buffer_status(body);
    if (!rocks_unpack(value, room, size))
        return SYNC_ERR_CORRUPT;
    buffer_advance(body, size);
    return SYNC_OK;
}

bool rocks_log_next(struct wire_reader *body, uint64_t *sequence, struct log_entry *ret_entry) {
    struct log_entry entry = {0};
    struct slice lead, type;
    uint64_t step, device_us, corrected_us;
    bool well = rocks_read_bytes(body, 1, &lead) && wire_read_varint(body, &step) &&
                rocks_read_bytes(body, 1, &type) && rocks_read_sized(body, &entry.key.id) &&
                wire_read_varint(body, &entry.previous_version) &&
                rocks_read_sized(body, &entry.undo) && rocks_read_sized(body, &entry.device) &&
                rocks_read_sized(body, &entry.change_id) && wire_read_varint(body, &device_us) &&
                wire_read_varint(body, &corrected_us);
    if (!well || lead.data[0] > ENTRY_LEAD || (lead.data[0] & ENTRY_KIND) == 0 || step == 0)
        return false;
    entry.kind = (enum change_kind)(lead.data[0] & ENTRY_KIND);
    entry.previous_deleted = lead.data[0] & ENTRY_PREVIOUS_DELETED;
    entry.as_sent = lead.data[0] & ENTRY_AS_SENT;
    entry.key.type = (enum data_type)type.data[0];
    entry.sequence = *sequence += step;
    entry.device_us = wire_unzigzag(device_us);
    entry.corrected_us = wire_unzigzag(corrected_us);
    *ret_entry = entry;
    return true;
}

bool rocks_settled_next(struct wire_reader *body, struct settled *ret_settled) {
    struct settled settled;
    struct slice hash;
    if (!rocks_read_sized(body, &settled.device) || !rocks_read_sized(body, &settled.change_id) ||
        !rocks_read_bytes(body, PAYLOAD_HASH_SIZE, &hash) ||
        !rocks_read_sized(body, &settled.outcome))
        return false;
    memcpy(settled.payload_hash, hash.data, PAYLOAD_HASH_SIZE);
    *ret_settled = settled;
    return true;
}
