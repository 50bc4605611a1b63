#include "service/store/watch_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/memory.h"

enum { SHARDS = 64, SHARD_SLOTS = 256 }; /* both powers of two */

/* One lock and the lists of watchers under it. */
struct watch_shard {
    pthread_mutex_t lock;
    struct store_watch *slots[SHARD_SLOTS];
};

struct watch_table {
    uint64_t seed;
    atomic_size_t count; /* of watchers; a commit looks no further when there are none */
    struct watch_shard shards[SHARDS];
};

struct watch_table *watch_table_open(uint64_t seed) {
    struct watch_table *table = memory_zalloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->seed = seed;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&table->shards[i].lock, NULL);
    return table;
}

struct watch_table *watch_table_close(struct watch_table *table) {
    if (!table)
        return NULL;
    assert(atomic_load(&table->count) == 0);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_destroy(&table->shards[i].lock);
    memory_free(table);
    return NULL;
}

static struct watch_shard *shard_of(struct watch_table *table, uint64_t hash) {
    return &table->shards[hash % SHARDS];
}

static struct store_watch **slot_of(struct watch_shard *shard, uint64_t hash) {
    return &shard->slots[hash / SHARDS % SHARD_SLOTS];
}

void watch_table_add(struct watch_table *table, struct store_watch *watch) {
    assert(watch->changed);
    assert(watch->user.size > 0);
    watch->hash = slice_hash(watch->user, table->seed);
    struct watch_shard *shard = shard_of(table, watch->hash);
    struct store_watch **slot = slot_of(shard, watch->hash);
    pthread_mutex_lock(&shard->lock);
    watch->next = *slot;
    watch->link = slot;
    if (watch->next)
        watch->next->link = &watch->next;
    *slot = watch;
    atomic_fetch_add(&table->count, 1);
    pthread_mutex_unlock(&shard->lock);
}

void watch_table_remove(struct watch_table *table, struct store_watch *watch) {
    struct watch_shard *shard = shard_of(table, watch->hash);
    pthread_mutex_lock(&shard->lock);
    assert(*watch->link == watch);
    *watch->link = watch->next;
    if (watch->next)
        watch->next->link = watch->link;
    atomic_fetch_sub(&table->count, 1);
    pthread_mutex_unlock(&shard->lock);
}

void watch_table_tell(struct watch_table *table, struct slice user,
                      const struct store_event *event) {
    /* Who adds himself later reads what is visible by now, and needs no telling. */
    if (atomic_load(&table->count) == 0)
        return;
    uint64_t hash = slice_hash(user, table->seed);
    struct watch_shard *shard = shard_of(table, hash);
    pthread_mutex_lock(&shard->lock);
    for (struct store_watch *watch = *slot_of(shard, hash); watch; watch = watch->next) {
        if (watch->hash == hash && slice_equal(watch->user, user))
            watch->changed(watch, event);
    }
    pthread_mutex_unlock(&shard->lock);
}
