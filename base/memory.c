#include "base/memory.h"

#include <assert.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Per thread, so that a test that refuses an allocation leaves the other threads alone. */
static __thread uint64_t fail_countdown;
static __thread uint64_t allocations;

/* Counts one allocation; tells whether a test wants it refused. */
static inline bool memory_refused(void) {
    allocations++;
    return fail_countdown != 0 && --fail_countdown == 0;
}

void *memory_alloc(size_t size) {
    assert(size > 0);
    return memory_refused() ? NULL : malloc(size);
}

void *memory_zalloc(size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || memory_refused())
        return NULL;
    return calloc(1, bytes > 0 ? bytes : 1); /* NULL always means refused */
}

void *memory_realloc(void *block, size_t size) {
    assert(size > 0);
    return memory_refused() ? NULL : realloc(block, size);
}

char *memory_copy_text(const void *data, size_t size) {
    assert(data || size == 0);
    char *copy = size < SIZE_MAX ? memory_alloc(size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

void memory_free(void *block) {
    free(block);
}

void *memory_pages_alloc(size_t size) {
    assert(size > 0);
    if (memory_refused())
        return NULL;
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void memory_pages_free(void *pages, size_t size) {
    if (!pages)
        return;
    int rc = munmap(pages, size);
    assert(rc == 0);
    (void)rc;
}

void memory_pages_rest(void *pages, size_t size) {
    int rc = madvise(pages, size, MADV_DONTNEED);
    assert(rc == 0);
    (void)rc;
}

void memory_trim(void) {
    malloc_trim(0);
}

void memory_fail_after(uint64_t n) {
    fail_countdown = n;
    allocations = 0;
}

uint64_t memory_count(void) {
    return allocations;
}
