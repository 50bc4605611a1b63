#include "base/random_pool.h"

#include <assert.h>
#include <string.h>

static void random_pool_fill(void *context, uint8_t *bytes, size_t size) {
    struct random_pool *pool = context;
    if (size > RANDOM_POOL_SIZE) {
        pool->origin->fill(pool->origin->context, bytes, size);
        return;
    }
    if (size > pool->left) {
        pool->origin->fill(pool->origin->context, pool->bytes, RANDOM_POOL_SIZE);
        pool->left = RANDOM_POOL_SIZE;
    }
    uint8_t *from = pool->bytes + RANDOM_POOL_SIZE - pool->left;
    memcpy(bytes, from, size);
    explicit_bzero(from, size);
    pool->left -= size;
}

void random_pool_init(struct random_pool *pool, const struct random_source *origin) {
    assert(pool && origin);
    *pool = (struct random_pool){.source = {random_pool_fill, pool}, .origin = origin};
}
