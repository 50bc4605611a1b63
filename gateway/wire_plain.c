/* Members as most are: scalars in order, each once. They are written as they are read, before it is
 * known what comes behind them. What is anything else is left to others, so nothing here can fail.
 */
#include "base/json_text.h"
#include "gateway/wire_encoder.h"

enum { NUMBER_TEXT_MAX = 32 }; /* what a number takes, its quotes and a bracket or comma */

/* A field as read: the bits of a varint, or the bytes behind a length. */
struct wire_part {
    uint64_t bits;
    struct slice bytes;
};

/* Reads a varint of one byte or two; returns where it ends, or NULL. */
static inline const uint8_t *short_read(const uint8_t *at, const uint8_t *end,
                                        uint64_t *ret_value) {
    if (end - at >= 1 && at[0] < 128) {
        *ret_value = at[0];
        return at + 1;
    }
    if (end - at < 2 || at[1] >= 128)
        return NULL;
    *ret_value = (uint64_t)(at[0] & 127) | (uint64_t)at[1] << 7;
    return at + 2;
}

static const uint8_t *varint_read(const uint8_t *at, const uint8_t *end, uint64_t *ret_value) {
    struct wire_reader reader = {at, end};
    return wire_read_varint(&reader, ret_value) ? reader.next : NULL;
}

/* Reads what is behind a tag of this type; returns where it ends, or NULL where it is neither a
 * varint nor some bytes, or not whole. */
static inline const uint8_t *part_read(const uint8_t *at, const uint8_t *end, unsigned type,
                                       struct wire_part *ret_part) {
    uint64_t value = 0;
    const uint8_t *after = short_read(at, end, &value);
    struct slice bytes = SLICE_EMPTY;
    if (type == WIRE_LEN && after && value <= (uint64_t)(end - after)) {
        bytes = slice_of(after, (size_t)value);
        after += value;
    } else if (type == WIRE_VARINT && !after) {
        uint64_t bits;
        after = varint_read(at, end, &bits);
        value = bits;
    } else if (type != WIRE_VARINT) {
        return NULL;
    }
    *ret_part = (struct wire_part){value, bytes};
    return after;
}

/* Writes the member's label, or of a list's next element the comma, at `at`; returns where it
 * ends. */
static inline uint8_t *label_write(uint8_t *at, const struct schema_field *field, bool is_first,
                                   const struct wire_members *members) {
    if (is_first)
        at = wire_label_copy(at, slice_after(field->json_label, !members->some));
    if (field->repeated)
        *at++ = is_first ? '[' : ',';
    return at;
}

/* Notes what is written, for errors of what follows and for the closing bracket. */
static inline void member_note(struct wire_encoder *encoder, const struct schema_field *field,
                               bool is_first, struct wire_members *members) {
    members->some = true;
    members->cursor = field->index + 1;
    if (!field->repeated)
        return;
    members->open = field;
    if (is_first) {
        wire_step_push(encoder)->field = field;
        wire_step_push(encoder)->index = 0;
    } else {
        encoder->steps[encoder->step_count - 1].index++;
    }
}

static void scalar_write(struct wire_encoder *encoder, const struct schema_field *field,
                         struct wire_part part) {
    wire_encode_scalar(encoder, field,
                       &(struct wire_field){.number = field->number,
                                            .type = (enum wire_type)field->wire_type,
                                            .bits = part.bits,
                                            .bytes = part.bytes});
}

/* Writes a member; false, and nothing is written, where it is a text that is not UTF-8, or there is
 * no memory. */
static inline bool member_write(struct wire_encoder *encoder, const struct schema_field *field,
                                struct wire_part part, bool is_first,
                                struct wire_members *members) {
    struct buffer *out = encoder->out;
    struct slice text = part.bytes;
    size_t size = field->json_label.size + SCHEMA_LABEL_WIDE + NUMBER_TEXT_MAX;
    if (!buffer_has_room(out, size + text.size + WIRE_COPY_WIDE))
        return false;
    uint8_t *begin = out->data + out->size, *at = label_write(begin, field, is_first, members);
    if (field->type == SCHEMA_STRING && wire_copy_plain(encoder, at + 1, text)) {
        at[0] = at[text.size + 1] = '"';
        buffer_advance(out, (size_t)(at - begin) + text.size + 2);
    } else if (field->type != SCHEMA_STRING) {
        buffer_advance(out, (size_t)(at - begin));
        scalar_write(encoder, field, part);
    } else if (slice_is_utf8(text)) {
        buffer_advance(out, (size_t)(at - begin));
        json_append_string(out, text);
    } else {
        return false;
    }
    member_note(encoder, field, is_first, members);
    return true;
}

uint32_t wire_encode_plain(struct wire_encoder *encoder, const struct schema_message *message,
                           struct wire_reader *reader, struct wire_members *members) {
    const uint8_t *at = reader->next, *const end = reader->end;
    uint32_t last = 0;
    while (at < end) {
        uint64_t tag;
        struct wire_part part;
        const uint8_t *after = short_read(at, end, &tag);
        const struct schema_field *field =
            after && tag >> 3 < message->dense_count ? message->dense[tag >> 3] : NULL;
        if (!field || !field->plain || field->wire_type != (tag & 7))
            break;
        if (field->number <= last && (field->number < last || !field->repeated))
            break;
        after = part_read(after, end, field->wire_type, &part);
        if (!after)
            break;
        bool is_first = members->open != field;
        if (is_first && members->open) {
            wire_members_close(encoder, members);
            encoder->step_count--;
        }
        if (is_first && message->has_always)
            wire_members_defaults(encoder, message, field->index, members);
        /* Zero, or empty: then it is left out. */
        bool is_default = part.bits == 0 && !field->presence && !field->always && !field->repeated;
        if (!is_default && !member_write(encoder, field, part, is_first, members))
            break;
        last = field->number;
        at = after;
    }
    reader->next = at;
    return last;
}
