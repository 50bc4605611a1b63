/* Document writer: writes canonical documents from their end to their beginning, so that every
 * length is known when it is written and nothing is moved. Internal to core; pure.
 *
 * The writer must be opened with room for the whole, which each caller can say beforehand. */
#ifndef SERVICE_CORE_DOCUMENT_WRITER_H
#define SERVICE_CORE_DOCUMENT_WRITER_H

#include <assert.h>

#include "base/arena.h"
#include "base/wire.h"
#include "service/core/document_read.h"

/* In the caller's memory; the bytes are the arena's. */
struct document_writer {
    uint8_t *begin, *at, *end;
};

/* What a member costs beside its name and the content of its value: four tags and four lengths. */
enum { DOCUMENT_MEMBER_COST = 4 + 4 * 5 };

/* Takes room for `size_max` bytes. False when there is no memory. */
static inline bool document_writer_open(struct document_writer *writer, struct arena *arena,
                                        size_t size_max) {
    uint8_t *room = arena_alloc(arena, size_max);
    if (!room)
        return false;
    *writer = (struct document_writer){room, room + size_max, room + size_max};
    return true;
}

/* How much is written; what document_writer_wrap counts from. */
static inline size_t document_writer_mark(const struct document_writer *writer) {
    return (size_t)(writer->end - writer->at);
}

/* Puts bytes before what is written. */
static inline void document_writer_put(struct document_writer *writer, struct slice bytes) {
    assert(bytes.size <= (size_t)(writer->at - writer->begin));
    writer->at -= bytes.size;
    if (bytes.size > 0)
        memcpy(writer->at, bytes.data, bytes.size);
}

/* Puts one byte before what is written. */
static inline void document_writer_put_byte(struct document_writer *writer, uint8_t byte) {
    assert(writer->at > writer->begin);
    *--writer->at = byte;
}

/* Puts the length of what was written since `mark`, and the tag, before it. */
static inline void document_writer_wrap(struct document_writer *writer, size_t mark, uint8_t tag) {
    size_t size = document_writer_mark(writer) - mark;
    if (size < 128) {
        document_writer_put_byte(writer, (uint8_t)size);
    } else {
        uint8_t bytes[WIRE_VARINT_MAX];
        document_writer_put(writer, slice_of(bytes, wire_put_varint(bytes, size)));
    }
    document_writer_put_byte(writer, tag);
}

/* Makes what was written since `mark`, a value, a member of the name. */
static inline void document_writer_member(struct document_writer *writer, size_t mark,
                                          struct slice name) {
    document_writer_wrap(writer, mark, TAG_VALUE);
    size_t before = document_writer_mark(writer);
    document_writer_put(writer, name);
    document_writer_wrap(writer, before, TAG_NAME);
    document_writer_wrap(writer, mark, TAG_ENTRY);
}

/* Takes back what was written since `mark`. */
static inline void document_writer_cut(struct document_writer *writer, size_t mark) {
    writer->at = writer->end - mark;
}

/* What is written since `mark`; lives as long as the arena. */
static inline struct slice document_writer_since(const struct document_writer *writer,
                                                 size_t mark) {
    return slice_of(writer->at, document_writer_mark(writer) - mark);
}

#endif
