/* Arena: memory that is given back all at once. One call of the service has one arena.
 *
 * Blocks come from base/memory.h; small first, doubling up to a cap. An arena belongs to one thread
 * at a time. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct ProtobufCAllocator;

struct arena_block;

enum { ARENA_ALIGN = _Alignof(max_align_t) };

/* In the caller's memory; fields are the arena's own. */
struct arena {
    struct arena_block *block; /* newest first */
    uint8_t *next, *end;       /* free room in `block` */
    size_t taken_bytes;        /* handed out in all, for bounds and metrics */
    size_t size_max;           /* arena_alloc refuses beyond this many bytes in all */
};

/* Prepares an empty arena that will hand out at most `size_max` bytes; takes no memory. */
void arena_init(struct arena *arena, size_t size_max);

/* Gives everything back. Pointers into the arena end here. NULL is allowed. */
void arena_done(struct arena *arena);

/* Empties the arena but keeps one block for the next use. Pointers into the arena end here. */
void arena_reset(struct arena *arena);

/* `size` bytes aligned for any type, uninitialized, or NULL. Size 0 gives a valid pointer. Lives
 * until arena_done. */
static inline void *arena_alloc(struct arena *arena, size_t size)
    __attribute__((warn_unused_result));

/* The slow path of arena_alloc, not for others: takes a block for `size` bytes, which are a
 * multiple of ARENA_ALIGN. NULL when there is no memory. */
void *arena_alloc_block(struct arena *arena, size_t size) __attribute__((warn_unused_result));

/* `count` × `size` zeroed bytes, or NULL (also when the product overflows). */
void *arena_zalloc(struct arena *arena, size_t count, size_t size)
    __attribute__((warn_unused_result));

/* Copies bytes into the arena. On failure returns false and leaves `ret_copy`. */
bool arena_copy(struct arena *arena, struct slice bytes, struct slice *ret_copy)
    __attribute__((warn_unused_result));

/* A NUL-terminated copy, or NULL. */
char *arena_copy_text(struct arena *arena, struct slice bytes) __attribute__((warn_unused_result));

/* Printf into the arena: NUL-terminated, or NULL. */
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));

/* Fills `ret_allocator` so that protobuf-c takes from the arena and frees nothing. The allocator
 * lives as long as the arena; declared by protobuf-c/protobuf-c.h. */
void arena_protobuf_allocator(struct arena *arena, struct ProtobufCAllocator *ret_allocator);

static inline void *arena_alloc(struct arena *arena, size_t size) {
    size_t size_max = arena->size_max;
    if (__builtin_expect(size > size_max || arena->taken_bytes > size_max - size, 0))
        return NULL;
    /* Size 0 takes a unit too, so that every pointer is its own. */
    size_t rounded = (size + (size == 0) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (__builtin_expect(rounded > (size_t)(arena->end - arena->next), 0))
        return arena_alloc_block(arena, rounded);
    void *memory = arena->next;
    arena->next += rounded;
    arena->taken_bytes += rounded;
    return memory;
}

#endif
