#include "gateway/hpack_encoder.h"

#include <assert.h>

enum {
    HPACK_STATIC_ENTRIES = 61,
    HPACK_INTEGER_MAX = 6, /* bytes of an integer of 32 bits */
    /* The first bits of a field's forms, and of a change of the table's bound. */
    HPACK_INDEXED = 0x80,
    HPACK_WITH_INDEXING = 0x40,
    HPACK_NEVER_INDEXED = 0x10,
    HPACK_WITHOUT_INDEXING = 0x00,
    HPACK_RESIZE = 0x20,
};

void hpack_encoder_init(struct hpack_encoder *encoder, uint64_t seed) {
    *encoder = (struct hpack_encoder){.seed = seed, .size_max = HPACK_TABLE_SIZE, .oldest = 1};
}

static struct hpack_entry *entry_at(struct hpack_encoder *encoder, uint64_t number) {
    return &encoder->entries[number % HPACK_ENTRIES_MAX];
}

static void table_evict(struct hpack_encoder *encoder, size_t size_max) {
    while (encoder->size > size_max) {
        const struct hpack_entry *entry = entry_at(encoder, encoder->oldest++);
        encoder->size -= HPACK_ENTRY_OVERHEAD + entry->name_size + entry->value_size;
    }
}

void hpack_encoder_bound(struct hpack_encoder *encoder, uint32_t size_max) {
    size_t bound = size_max < HPACK_TABLE_SIZE ? size_max : HPACK_TABLE_SIZE;
    if (bound == encoder->size_max)
        return;
    encoder->size_max = bound;
    encoder->resized = true;
    table_evict(encoder, bound);
}

/* Puts an integer into `at` behind the first byte's `bits` (section 5.1); the end of it. */
static uint8_t *integer_put(uint8_t *at, uint8_t first, unsigned prefix, size_t value) {
    size_t full = ((size_t)1 << prefix) - 1;
    if (value < full) {
        *at++ = (uint8_t)(first | value);
        return at;
    }
    *at++ = (uint8_t)(first | full);
    for (value -= full; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(0x80 | value);
    *at++ = (uint8_t)value;
    return at;
}

void hpack_encoder_begin(struct hpack_encoder *encoder, struct buffer *out) {
    if (!encoder->resized)
        return;
    encoder->resized = false;
    uint8_t bytes[2 * HPACK_INTEGER_MAX];
    /* It may have been lower for a while (section 4.2); nothing is left that this would cost. */
    uint8_t *at = integer_put(bytes, HPACK_RESIZE, 5, 0);
    at = integer_put(at, HPACK_RESIZE, 5, encoder->size_max);
    table_evict(encoder, 0);
    buffer_append(out, slice_of(bytes, (size_t)(at - bytes)));
}

static bool entry_has_name(const struct hpack_entry *entry, struct slice name) {
    return slice_equal(slice_of(entry->text, entry->name_size), name);
}

static bool entry_has(const struct hpack_entry *entry, struct slice name, struct slice value) {
    return entry_has_name(entry, name) &&
           slice_equal(slice_of(entry->text + entry->name_size, entry->value_size), value);
}

/* The index by which the other side knows an entry. */
static size_t index_of(const struct hpack_encoder *encoder, uint64_t number) {
    return HPACK_STATIC_ENTRIES + 1 + (encoder->newest - number);
}

static bool is_kept(const struct hpack_encoder *encoder, uint64_t number) {
    return number >= encoder->oldest && number <= encoder->newest;
}

/* Keeps a field, as the other side does; both tables evict alike. */
static void table_add(struct hpack_encoder *encoder, struct slice name, struct slice value,
                      uint64_t *field_slot, uint64_t *name_slot) {
    size_t size = HPACK_ENTRY_OVERHEAD + name.size + value.size;
    assert(size <= encoder->size_max);
    table_evict(encoder, encoder->size_max - size);
    struct hpack_entry *entry = entry_at(encoder, ++encoder->newest);
    entry->name_size = (uint8_t)name.size;
    entry->value_size = (uint8_t)value.size;
    memcpy(entry->text, name.data, name.size);
    if (value.size > 0)
        memcpy(entry->text + name.size, value.data, value.size);
    encoder->size += size;
    *field_slot = *name_slot = encoder->newest;
}

static uint8_t *text_put(uint8_t *at, struct slice text) {
    at = integer_put(at, 0, 7, text.size);
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

/* Appends a field that stands for itself; `index` is that of its name, or 0. */
static void literal_put(struct buffer *out, uint8_t first, unsigned prefix, size_t index,
                        struct slice name, struct slice value) {
    size_t size_max = 3 * HPACK_INTEGER_MAX + name.size + value.size;
    uint8_t *begin = buffer_reserve(out, size_max);
    if (!begin)
        return;
    uint8_t *at = integer_put(begin, first, prefix, index);
    if (index == 0)
        at = text_put(at, name);
    at = text_put(at, value);
    buffer_advance(out, (size_t)(at - begin));
}

void hpack_encoder_put(struct hpack_encoder *encoder, struct buffer *out, struct slice name,
                       struct slice value, enum hpack_form form) {
    assert(name.size > 0);
    if (form == HPACK_SECRET) {
        literal_put(out, HPACK_NEVER_INDEXED, 4, 0, name, value);
        return;
    }
    uint64_t name_hash = slice_hash(name, encoder->seed);
    uint64_t hash = form == HPACK_CONSTANT ? slice_hash(value, name_hash) : name_hash;
    uint64_t *name_slot = &encoder->names[name_hash % HPACK_SLOTS];
    uint64_t *slot = &encoder->fields[hash % HPACK_SLOTS];
    if (form == HPACK_CONSTANT && is_kept(encoder, *slot) &&
        entry_has(entry_at(encoder, *slot), name, value)) {
        uint8_t bytes[HPACK_INTEGER_MAX];
        uint8_t *at = integer_put(bytes, HPACK_INDEXED, 7, index_of(encoder, *slot));
        buffer_append(out, slice_of(bytes, (size_t)(at - bytes)));
        return;
    }
    size_t index = 0;
    if (is_kept(encoder, *name_slot) && entry_has_name(entry_at(encoder, *name_slot), name))
        index = index_of(encoder, *name_slot);
    bool fits = name.size + value.size <= HPACK_TEXT_MAX &&
                HPACK_ENTRY_OVERHEAD + name.size + value.size <= encoder->size_max;
    /* A name that is not known yet comes in with the first value it has. */
    if (fits && (form == HPACK_CONSTANT || index == 0)) {
        literal_put(out, HPACK_WITH_INDEXING, 6, index, name, value);
        table_add(encoder, name, value, slot, name_slot);
        return;
    }
    literal_put(out, HPACK_WITHOUT_INDEXING, 4, index, name, value);
}
