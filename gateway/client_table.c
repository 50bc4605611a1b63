#include "gateway/client_table.h"

#include <assert.h>
#include <pthread.h>

#include "base/id.h"
#include "base/memory.h"

enum {
    TABLE_SHARDS = 16,
    SHARD_SLOTS = 1024,
    SHARD_CLIENTS_MAX = 4096, /* beyond it, those that hold nothing are forgotten, oldest first */
    SECOND_US = 1000000,
};

struct client {
    struct ip key;
    struct client *next;          /* of its slot */
    struct client *older, *newer; /* of those that hold nothing */
    struct shard *shard;
    unsigned connections, requests;
    uint64_t free_us; /* when all requests so far are paid for (GCRA's theoretical arrival) */
};

struct shard {
    pthread_mutex_t lock;
    struct client *slots[SHARD_SLOTS];
    struct client *oldest, *newest; /* that hold nothing */
    unsigned count;
};

struct client_table {
    struct client_limits limits;
    const struct clock *clock;
    uint64_t seed;
    struct shard shards[TABLE_SHARDS];
};

struct client_table *client_table_open(const struct client_limits *limits,
                                       const struct clock *clock) {
    struct client_table *table = memory_zalloc(1, sizeof(*table));
    if (!table)
        return NULL;
    const struct random_source *random = random_system();
    random->fill(random->context, (uint8_t *)&table->seed, sizeof(table->seed));
    table->limits = *limits;
    table->clock = clock;
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        pthread_mutex_init(&table->shards[i].lock, NULL);
    return table;
}

static void shard_done(struct shard *shard) {
    for (size_t i = 0; i < SHARD_SLOTS; i++) {
        while (shard->slots[i]) {
            struct client *client = shard->slots[i];
            assert(client->connections + client->requests == 0);
            shard->slots[i] = client->next;
            memory_free(client);
        }
    }
    pthread_mutex_destroy(&shard->lock);
}

struct client_table *client_table_close(struct client_table *table) {
    if (!table)
        return NULL;
    for (size_t i = 0; i < TABLE_SHARDS; i++)
        shard_done(&table->shards[i]);
    memory_free(table);
    return NULL;
}

static bool holds_nothing(const struct client *client) {
    return client->connections + client->requests == 0;
}

static uint64_t key_hash(const struct client_table *table, const struct ip *key) {
    return slice_hash(slice_of(key->bytes, sizeof(key->bytes)), table->seed);
}

static struct client **slot_of(const struct client_table *table, struct shard *shard,
                               const struct ip *key) {
    struct client **place = &shard->slots[key_hash(table, key) / TABLE_SHARDS % SHARD_SLOTS];
    while (*place && memcmp(&(*place)->key, key, sizeof(*key)) != 0)
        place = &(*place)->next;
    return place;
}

static void idle_remove(struct client *client) {
    struct shard *shard = client->shard;
    *(client->older ? &client->older->newer : &shard->oldest) = client->newer;
    *(client->newer ? &client->newer->older : &shard->newest) = client->older;
    client->older = client->newer = NULL;
}

static void idle_add(struct client *client) {
    struct shard *shard = client->shard;
    client->older = shard->newest;
    client->newer = NULL;
    *(shard->newest ? &shard->newest->newer : &shard->oldest) = client;
    shard->newest = client;
}

static void client_forget(struct client_table *table, struct client *client) {
    struct client **place = slot_of(table, client->shard, &client->key);
    idle_remove(client);
    *place = client->next;
    client->shard->count--;
    memory_free(client);
}

/* Finds or makes the client, under the shard's lock; NULL without memory. */
static struct client *client_find(struct client_table *table, struct shard *shard,
                                  const struct ip *key) {
    struct client **place = slot_of(table, shard, key);
    if (*place)
        return *place;
    struct client *client = memory_zalloc(1, sizeof(*client));
    if (!client)
        return NULL;
    client->key = *key;
    client->shard = shard;
    *place = client;
    shard->count++;
    idle_add(client);
    if (shard->count > SHARD_CLIENTS_MAX && shard->oldest != client)
        client_forget(table, shard->oldest);
    return client;
}

/* One more of what `count` counts, which is the client's. */
static void client_hold(struct client *client, unsigned *count) {
    if (holds_nothing(client))
        idle_remove(client);
    (*count)++;
}

static void client_release(struct client_table *table, struct client *client, unsigned *count) {
    assert(*count > 0);
    (*count)--;
    if (!holds_nothing(client))
        return;
    idle_add(client);
    if (client->free_us <= clock_monotonic_us(table->clock))
        client_forget(table, client);
}

static struct shard *shard_lock(struct client_table *table, const struct ip *key) {
    struct shard *shard = &table->shards[key_hash(table, key) % TABLE_SHARDS];
    pthread_mutex_lock(&shard->lock);
    return shard;
}

bool client_connect(struct client_table *table, const struct ip *ip, struct client **ret_client) {
    *ret_client = NULL;
    if (!table)
        return true;
    const struct ip key = ip_of_client(ip);
    struct shard *shard = shard_lock(table, &key);
    struct client *client = client_find(table, shard, &key);
    unsigned max = table->limits.connections_max;
    bool admitted = client && (max == 0 || client->connections < max);
    if (admitted) {
        client_hold(client, &client->connections);
        *ret_client = client;
    }
    pthread_mutex_unlock(&shard->lock);
    return admitted;
}

void client_disconnect(struct client_table *table, struct client *client) {
    if (!client)
        return;
    struct shard *shard = client->shard;
    pthread_mutex_lock(&shard->lock);
    client_release(table, client, &client->connections);
    pthread_mutex_unlock(&shard->lock);
}

/* Takes one request's time, by the generic cell rate algorithm; false when it came too soon. */
static bool client_pay(const struct client_table *table, struct client *client) {
    if (table->limits.requests_per_s == 0)
        return true;
    uint64_t now_us = clock_monotonic_us(table->clock);
    uint64_t price_us = SECOND_US / table->limits.requests_per_s;
    uint64_t free_us = client->free_us > now_us ? client->free_us : now_us;
    if (free_us + price_us > now_us + SECOND_US)
        return false;
    client->free_us = free_us + price_us;
    return true;
}

enum client_verdict client_request(struct client_table *table, const struct ip *ip,
                                   struct client **ret_client) {
    *ret_client = NULL;
    if (!table)
        return CLIENT_ADMITTED;
    const struct ip key = ip_of_client(ip);
    struct shard *shard = shard_lock(table, &key);
    struct client *client = client_find(table, shard, &key);
    unsigned max = table->limits.requests_max;
    enum client_verdict verdict = CLIENT_ADMITTED;
    if (!client || (max > 0 && client->requests >= max))
        verdict = CLIENT_TOO_MANY;
    else if (!client_pay(table, client))
        verdict = CLIENT_TOO_FAST;
    if (verdict == CLIENT_ADMITTED) {
        client_hold(client, &client->requests);
        *ret_client = client;
    }
    pthread_mutex_unlock(&shard->lock);
    return verdict;
}

void client_finish(struct client_table *table, struct client *client) {
    if (!client)
        return;
    struct shard *shard = client->shard;
    pthread_mutex_lock(&shard->lock);
    client_release(table, client, &client->requests);
    pthread_mutex_unlock(&shard->lock);
}
