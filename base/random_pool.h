/* Random pool: random bytes by the handful without a system call for each: a source that asks
 * another one for many at a time. What it has given out it forgets.
 *
 * Belongs to one thread. Not for keys: what is still to be given lies in memory. */
#ifndef BASE_RANDOM_POOL_H
#define BASE_RANDOM_POOL_H

#include <stddef.h>

#include "base/id.h"

enum { RANDOM_POOL_SIZE = 4096 };

/* In the caller's memory, which must not move; `source` is for reading. */
struct random_pool {
    struct random_source source; /* draws from the pool */
    const struct random_source *origin;
    size_t left; /* not given out yet: the last bytes */
    uint8_t bytes[RANDOM_POOL_SIZE];
};

/* Prepares an empty pool; draws nothing yet. `origin` outlives it. */
void random_pool_init(struct random_pool *pool, const struct random_source *origin);

#endif
