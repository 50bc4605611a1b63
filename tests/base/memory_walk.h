/* Memory walk: something is done again and again, each time with another allocation refused, until
 * it asks for no more of them; or in an arena that is a little larger each time. Whatever place
 * asks for memory is so told once that there is none.
 *
 *     for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
 *         …                       // what is needed for it
 *         memory_walk_begin(&walk);
 *         status = …;             // on this thread
 *         assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
 *     }
 */
#ifndef TESTS_BASE_MEMORY_WALK_H
#define TESTS_BASE_MEMORY_WALK_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/arena.h"
#include "base/memory.h"

enum { MEMORY_WALK_STEPS_MAX = 10000, ARENA_WALK_STEP = 64 };

/* Zero to begin with. */
struct memory_walk {
    uint64_t at; /* the allocation that is refused, from 1 */
    bool is_over;
};

/* Goes on to the next allocation; false at the end. */
static inline bool memory_walk_next(struct memory_walk *walk) {
    assert_true(walk->at < MEMORY_WALK_STEPS_MAX);
    walk->at++;
    return !walk->is_over;
}

/* From here on allocations of this thread count. */
static inline void memory_walk_begin(const struct memory_walk *walk) {
    memory_fail_after(walk->at);
}

/* Allocations are refused no more; whether one has been. Where none was, the walk is over. */
static inline bool memory_walk_end(struct memory_walk *walk) {
    walk->is_over = memory_count() < walk->at;
    memory_fail_after(0);
    return !walk->is_over;
}

/* The same by arenas, which ask for memory seldom, and so have each place that asks them refused.
 * Zero to begin with. */
struct arena_walk {
    struct arena arena; /* to be used between next and end */
    size_t size;
    bool is_over;
};

/* Opens an arena that is a little larger; false at the end. */
static inline bool arena_walk_next(struct arena_walk *walk) {
    if (walk->is_over)
        return false;
    assert_true(walk->size < (size_t)MEMORY_WALK_STEPS_MAX * ARENA_WALK_STEP);
    arena_init(&walk->arena, walk->size);
    walk->size += ARENA_WALK_STEP;
    return true;
}

/* Closes it; what was done in it has ended well, or for want of memory alone. */
static inline void arena_walk_end(struct arena_walk *walk, enum sync_status status) {
    assert_true(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
    walk->is_over = status == SYNC_OK;
    arena_done(&walk->arena);
}

#endif
