/* Messages whose fields come in another order, twice or split: they are put in order first. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/wire_encoder.h"

/* One field as read, and its place. */
struct wire_item {
    const struct schema_field *field;
    struct wire_field value;
    size_t place;
    bool dropped;
};

static int item_order(const void *a, const void *b) {
    const struct wire_item *x = a, *y = b;
    if (x->field != y->field)
        return x->field->index < y->field->index ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

/* Gathers the known fields in an array. */
static bool items_read(struct wire_encoder *encoder, const struct schema_message *message,
                       struct slice bytes, struct wire_item **ret_items, size_t *ret_count) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    size_t count = 0, made = 0;
    while (wire_encode_next(encoder, &reader, &part))
        count++;
    struct wire_item *items = arena_zalloc(&encoder->arena, count, sizeof *items);
    if (encoder->status)
        return false;
    if (!items)
        return wire_encode_memory(encoder);
    reader = wire_reader_of(bytes);
    while (wire_encode_next(encoder, &reader, &part)) {
        const struct schema_field *field = wire_encode_field(message, &part);
        if (!field)
            continue;
        items[made] = (struct wire_item){.field = field, .value = part, .place = made};
        made++;
    }
    *ret_items = items;
    *ret_count = made;
    return true;
}

/* Of a oneof only what is behind the last field of another member counts. */
static bool oneofs_settle(struct wire_encoder *encoder, const struct schema_message *message,
                          struct wire_item *items, size_t count) {
    const struct schema_field **last =
        arena_zalloc(&encoder->arena, message->oneof_count, sizeof(void *));
    bool *closed = arena_zalloc(&encoder->arena, message->oneof_count, sizeof *closed);
    if (!last || !closed)
        return wire_encode_memory(encoder);
    for (size_t i = count; i-- > 0;) {
        int oneof = items[i].field->oneof;
        if (oneof < 0)
            continue;
        if (!last[oneof])
            last[oneof] = items[i].field;
        closed[oneof] |= last[oneof] != items[i].field;
        items[i].dropped = closed[oneof];
    }
    return true;
}

/* Entries of one map, in order: of a key given twice the last counts. */
static bool map_settle(struct wire_encoder *encoder, struct wire_item *items, size_t count) {
    size_t object = json_names_object(&encoder->names), names = encoder->names.count;
    const struct schema_message *entry = items[0].field->message;
    struct wire_field key, value;
    for (size_t i = count; i-- > 0;)
        if (!wire_entry_read(encoder, entry, items[i].value.bytes, &key, &value) ||
            !wire_key_note(encoder, object, schema_field_at(entry, 1), &key, &items[i].dropped))
            return false;
    json_names_keep(&encoder->names, names);
    return true;
}

/* Values of one singular field: the last one, or of messages all together. */
static bool single_settle(struct wire_encoder *encoder, struct wire_item *items, size_t count) {
    struct wire_item *last = &items[count - 1];
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += items[i].dropped ? 0 : items[i].value.bytes.size;
    if (last->field->message && count > 1) {
        uint8_t *joined = arena_alloc(&encoder->arena, size), *at = joined;
        if (!joined)
            return wire_encode_memory(encoder);
        for (size_t i = 0; i < count; i++) {
            struct slice part = items[i].dropped ? SLICE_EMPTY : items[i].value.bytes;
            if (part.size > 0)
                memcpy(at, part.data, part.size);
            at += part.size;
        }
        last->value.bytes = slice_of(joined, size);
    }
    for (size_t i = 0; i + 1 < count; i++)
        items[i].dropped = true;
    return true;
}

bool wire_encode_unordered(struct wire_encoder *encoder, const struct schema_message *message,
                           struct slice bytes, struct wire_members *members) {
    struct wire_item *items = NULL;
    size_t count = 0, end;
    if (!items_read(encoder, message, bytes, &items, &count) ||
        !oneofs_settle(encoder, message, items, count))
        return false;
    if (count > 0)
        qsort(items, count, sizeof *items, item_order);
    for (size_t begin = 0; begin < count; begin = end) {
        const struct schema_field *field = items[begin].field;
        for (end = begin + 1; end < count && items[end].field == field;)
            end++;
        bool well = true;
        if (field->map)
            well = map_settle(encoder, items + begin, end - begin);
        else if (!field->repeated)
            well = single_settle(encoder, items + begin, end - begin);
        for (size_t i = begin; well && i < end; i++)
            well = items[i].dropped ||
                   wire_encode_member(encoder, message, field, &items[i].value, members);
        if (!well)
            return false;
    }
    return true;
}
