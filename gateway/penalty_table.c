#include "gateway/penalty_table.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/id.h"
#include "base/memory.h"

enum { TABLE_WAYS = 4, TABLE_SETS = PENALTY_ADDRESSES_MAX / TABLE_WAYS };

/* An address; zeroed where the place is free. */
struct penalty {
    struct ip key;
    unsigned cuts;
    uint64_t last_us;
};

struct penalty_table {
    const struct clock *clock;
    uint64_t seed;
    atomic_ullong quiet_from_us; /* nobody is to wait any more; spares the lock in quiet times */
    pthread_mutex_t lock;        /* of what follows */
    struct penalty sets[TABLE_SETS][TABLE_WAYS];
};

struct penalty_table *penalty_table_open(const struct clock *clock) {
    struct penalty_table *table = memory_zalloc(1, sizeof(*table));
    if (!table)
        return NULL;
    const struct random_source *random = random_system();
    random->fill(random->context, (uint8_t *)&table->seed, sizeof(table->seed));
    table->clock = clock;
    pthread_mutex_init(&table->lock, NULL);
    return table;
}

struct penalty_table *penalty_table_close(struct penalty_table *table) {
    if (!table)
        return NULL;
    pthread_mutex_destroy(&table->lock);
    memory_free(table);
    return NULL;
}

static bool penalty_is_over(const struct penalty *penalty, uint64_t now_us) {
    return now_us - penalty->last_us > PENALTY_TIME_US;
}

/* The address's place, or the one that it may take. */
static struct penalty *penalty_find(struct penalty_table *table, const struct ip *key) {
    uint64_t hash = slice_hash(slice_of(key->bytes, sizeof(key->bytes)), table->seed);
    struct penalty *set = table->sets[hash % TABLE_SETS], *oldest = set;
    for (size_t i = 0; i < TABLE_WAYS; i++) {
        if (set[i].cuts > 0 && memcmp(&set[i].key, key, sizeof(*key)) == 0)
            return &set[i];
        if (set[i].last_us < oldest->last_us)
            oldest = &set[i];
    }
    return oldest;
}

void penalty_note(struct penalty_table *table, const struct ip *ip) {
    if (!table)
        return;
    const struct ip key = ip_of_client(ip);
    uint64_t now_us = clock_monotonic_us(table->clock);
    pthread_mutex_lock(&table->lock);
    struct penalty *penalty = penalty_find(table, &key);
    bool goes_on = memcmp(&penalty->key, &key, sizeof(key)) == 0 &&
                   !penalty_is_over(penalty, now_us) && penalty->cuts > 0;
    unsigned cuts = goes_on ? penalty->cuts : 0;
    *penalty = (struct penalty){key, cuts < PENALTY_CUTS_MIN ? cuts + 1 : cuts, now_us};
    pthread_mutex_unlock(&table->lock);
    atomic_store_explicit(&table->quiet_from_us, now_us + PENALTY_TIME_US, memory_order_relaxed);
}

bool penalty_is_due(struct penalty_table *table, const struct ip *ip) {
    if (!table)
        return false;
    uint64_t now_us = clock_monotonic_us(table->clock);
    if (now_us > atomic_load_explicit(&table->quiet_from_us, memory_order_relaxed))
        return false;
    const struct ip key = ip_of_client(ip);
    pthread_mutex_lock(&table->lock);
    const struct penalty *penalty = penalty_find(table, &key);
    bool due = memcmp(&penalty->key, &key, sizeof(key)) == 0 && penalty->cuts >= PENALTY_CUTS_MIN &&
               !penalty_is_over(penalty, now_us);
    pthread_mutex_unlock(&table->lock);
    return due;
}
