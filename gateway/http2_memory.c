#include "gateway/http2_memory.h"

#include <string.h>

#include "base/memory.h"

enum {
    TABLE_SIZE = 4 << 10,
    FRAME_SIZE_MIN = 16 << 10, /* a frame of the default size, and what nghttp2 puts around it */
    FRAME_SIZE_MAX = 20 << 10,
    PAGES_SIZE = TABLE_SIZE + FRAME_SIZE_MAX,
};

bool http2_memory_init(struct http2_memory *memory) {
    *memory = (struct http2_memory){.pages = memory_pages_alloc(PAGES_SIZE)};
    return memory->pages != NULL;
}

void http2_memory_done(struct http2_memory *memory) {
    memory_pages_free(memory->pages, PAGES_SIZE);
    memory->pages = NULL;
}

static uint8_t *table_of(const struct http2_memory *memory) {
    return memory->pages;
}

static uint8_t *frame_of(const struct http2_memory *memory) {
    return memory->pages + TABLE_SIZE;
}

/* The first block of a frame's size is the frame's for good; others are of a larger head. */
static void *mem_malloc(size_t size, void *context) {
    struct http2_memory *memory = context;
    if (memory->frame_taken || size < FRAME_SIZE_MIN || size > FRAME_SIZE_MAX)
        return memory_alloc(size > 0 ? size : 1);
    memory->frame_taken = true;
    return frame_of(memory);
}

static void *mem_calloc(size_t count, size_t size, void *context) {
    struct http2_memory *memory = context;
    if (memory->table_taken || count * size != TABLE_SIZE)
        return memory_zalloc(count, size);
    memory->table_taken = true;
    return table_of(memory);
}

/* A block of the pages is not given to another: the session ends soon, or has outgrown it. */
static void mem_free(void *block, void *context) {
    const struct http2_memory *memory = context;
    if (block != table_of(memory) && block != frame_of(memory))
        memory_free(block);
}

static void *mem_realloc(void *block, size_t size, void *context) {
    struct http2_memory *memory = context;
    if (!block)
        return mem_malloc(size, context);
    size_t had = block == table_of(memory) ? TABLE_SIZE : FRAME_SIZE_MAX;
    if (block != table_of(memory) && block != frame_of(memory))
        return memory_realloc(block, size > 0 ? size : 1);
    if (size <= had)
        return block;
    void *larger = memory_alloc(size);
    if (larger)
        memcpy(larger, block, had);
    return larger;
}

nghttp2_mem http2_memory_allocator(struct http2_memory *memory) {
    return (nghttp2_mem){memory, mem_malloc, mem_free, mem_calloc, mem_realloc};
}

static bool is_zero(const uint8_t *bytes, size_t size) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

void http2_memory_rest(struct http2_memory *memory) {
    memory_pages_rest(frame_of(memory), FRAME_SIZE_MAX);
    /* Zeros stay zeros, whatever they mean to the session. */
    if (is_zero(table_of(memory), TABLE_SIZE))
        memory_pages_rest(table_of(memory), TABLE_SIZE);
}
