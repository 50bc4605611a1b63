/* Memory: the only file that calls the system's allocator. Everything else allocates through here,
 * so that a test can refuse the n-th allocation and walk every error path. Thread-safe. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* `size` bytes, uninitialized, or NULL. `size` > 0. Release with memory_free. */
void *memory_alloc(size_t size) __attribute__((malloc, warn_unused_result));

/* `count` × `size` zeroed bytes, or NULL (also when the product overflows). Either may be 0. */
void *memory_zalloc(size_t count, size_t size) __attribute__((malloc, warn_unused_result));

/* Resizes as realloc does; on NULL the old block is still there. */
void *memory_realloc(void *block, size_t size) __attribute__((warn_unused_result));

/* A NUL-terminated copy of `size` bytes, or NULL. */
char *memory_copy_text(const void *data, size_t size) __attribute__((malloc, warn_unused_result));

/* Releases a block of this file. NULL is allowed. */
void memory_free(void *block);

/* `size` zeroed bytes in pages of their own, or NULL. What is not touched takes no memory. Release
 * with memory_pages_free, by the same size. */
void *memory_pages_alloc(size_t size) __attribute__((malloc, warn_unused_result));

/* Releases pages. NULL is allowed. */
void memory_pages_free(void *pages, size_t size);

/* Zeroes pages by giving them back to the system until they are touched again. */
void memory_pages_rest(void *pages, size_t size);

/* Gives pages that hold no block back to the system: what a burst took stays with the process
 * otherwise. Takes milliseconds; not for the path of a call. */
void memory_trim(void);

/* For tests: the `n`-th allocation of this thread from now on (1 = the next) fails, once; 0
 * switches it off. */
void memory_fail_after(uint64_t n);

/* For tests: allocations of this thread since memory_fail_after was last called. */
uint64_t memory_count(void);

#endif
