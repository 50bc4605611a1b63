#include "base/arena.h"

#include <assert.h>
#include <protobuf-c/protobuf-c.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"

enum {
    ARENA_BLOCK_FIRST = 4 << 10, /* whole block, header included */
    ARENA_BLOCK_CAP = 256 << 10, /* blocks stop doubling here */
};

/* A block: this header, then the room that allocations share. */
struct arena_block {
    struct arena_block *older;
    size_t size; /* of the room */
    alignas(ARENA_ALIGN) uint8_t room[];
};

void arena_init(struct arena *arena, size_t size_max) {
    assert(arena);
    /* Half the address space, so that rounding up cannot overflow. */
    *arena = (struct arena){.size_max = size_max < SIZE_MAX / 2 ? size_max : SIZE_MAX / 2};
}

/* Releases a block and all that are older. */
static void arena_release(struct arena_block *block) {
    while (block) {
        struct arena_block *older = block->older;
        memory_free(block);
        block = older;
    }
}

void arena_done(struct arena *arena) {
    if (!arena)
        return;
    arena_release(arena->block);
    arena_init(arena, arena->size_max);
}

void arena_reset(struct arena *arena) {
    assert(arena);
    struct arena_block *kept = arena->block;
    arena->taken_bytes = 0;
    if (!kept)
        return;
    arena_release(kept->older);
    kept->older = NULL;
    arena->next = kept->room;
    arena->end = kept->room + kept->size;
}

/* The size of the next shared block: the newest one's double, up to the cap. */
static size_t arena_block_size(const struct arena *arena) {
    if (!arena->block)
        return ARENA_BLOCK_FIRST;
    size_t size = (arena->block->size + sizeof(struct arena_block)) * 2;
    return size < ARENA_BLOCK_CAP ? size : ARENA_BLOCK_CAP;
}

/* Takes a block with `room` bytes, or returns NULL. */
static struct arena_block *arena_block_take(size_t room) {
    if (room > SIZE_MAX - sizeof(struct arena_block))
        return NULL;
    struct arena_block *block = memory_alloc(sizeof *block + room);
    if (block)
        *block = (struct arena_block){.size = room};
    return block;
}

/* What is large gets a block of its own, behind the newest, so that the newest one's free room
 * stays in use. */
void *arena_alloc_block(struct arena *arena, size_t size) {
    assert(arena);
    assert(size % ARENA_ALIGN == 0);
    size_t room = arena_block_size(arena) - sizeof(struct arena_block);
    bool alone = size > room / 2 && arena->block;
    struct arena_block *block = arena_block_take(alone || size > room ? size : room);
    if (!block)
        return NULL;
    arena->taken_bytes += size;
    if (alone) {
        block->older = arena->block->older;
        arena->block->older = block;
        return block->room;
    }
    block->older = arena->block;
    arena->block = block;
    arena->next = block->room + size;
    arena->end = block->room + block->size;
    return block->room;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    void *memory = arena_alloc(arena, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

bool arena_copy(struct arena *arena, struct slice bytes, struct slice *ret_copy) {
    void *copy = arena_alloc(arena, bytes.size);
    if (!copy)
        return false;
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    *ret_copy = slice_of(copy, bytes.size);
    return true;
}

char *arena_copy_text(struct arena *arena, struct slice bytes) {
    char *copy = bytes.size < SIZE_MAX ? arena_alloc(arena, bytes.size + 1) : NULL;
    if (!copy)
        return NULL;
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    copy[bytes.size] = '\0';
    return copy;
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    char *text = size < 0 ? NULL : arena_alloc(arena, (size_t)size + 1);
    if (text)
        vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    va_end(arguments);
    return text;
}

static void *arena_protobuf_alloc(void *arena, size_t size) {
    return arena_alloc(arena, size);
}

/* The arena gives back all at once. */
static void arena_protobuf_free(void *arena, void *block) {
    (void)arena;
    (void)block;
}

void arena_protobuf_allocator(struct arena *arena, struct ProtobufCAllocator *ret_allocator) {
    assert(arena);
    *ret_allocator = (struct ProtobufCAllocator){
        .alloc = arena_protobuf_alloc,
        .free = arena_protobuf_free,
        .allocator_data = arena,
    };
}
