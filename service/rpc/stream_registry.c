#include "service/rpc/stream_registry.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"

enum { SLOTS = 1 << 14 };

struct stream_registry {
    pthread_mutex_t lock; /* guards all below, and the entries' own */
    size_t count;
    struct stream_entry *slots[SLOTS];
};

struct stream_registry *stream_registry_open(void) {
    struct stream_registry *registry = memory_zalloc(1, sizeof *registry);
    if (registry)
        pthread_mutex_init(&registry->lock, NULL);
    return registry;
}

struct stream_registry *stream_registry_close(struct stream_registry *registry) {
    if (!registry)
        return NULL;
    assert(registry->count == 0);
    pthread_mutex_destroy(&registry->lock);
    memory_free(registry);
    return NULL;
}

static uint64_t hash_of(struct slice user, struct slice device) {
    return slice_hash(device, slice_hash(user, 0));
}

/* Tells all streams of the device; under the lock. */
static size_t tell(struct stream_registry *registry, uint64_t hash, struct slice user,
                   struct slice device, enum stream_word word) {
    size_t count = 0;
    for (struct stream_entry *entry = registry->slots[hash % SLOTS]; entry; entry = entry->next) {
        if (entry->hash == hash && slice_equal(entry->user, user) &&
            slice_equal(entry->device, device)) {
            entry->told(entry, word);
            count++;
        }
    }
    return count;
}

void stream_registry_add(struct stream_registry *registry, struct stream_entry *entry) {
    assert(entry->told);
    assert(entry->user.size > 0 && entry->device.size > 0);
    entry->hash = hash_of(entry->user, entry->device);
    pthread_mutex_lock(&registry->lock);
    tell(registry, entry->hash, entry->user, entry->device, STREAM_SUPERSEDED);
    struct stream_entry **slot = &registry->slots[entry->hash % SLOTS];
    entry->next = *slot;
    entry->link = slot;
    if (entry->next)
        entry->next->link = &entry->next;
    *slot = entry;
    registry->count++;
    pthread_mutex_unlock(&registry->lock);
}

void stream_registry_remove(struct stream_registry *registry, struct stream_entry *entry) {
    pthread_mutex_lock(&registry->lock);
    assert(*entry->link == entry);
    *entry->link = entry->next;
    if (entry->next)
        entry->next->link = entry->link;
    registry->count--;
    pthread_mutex_unlock(&registry->lock);
}

size_t stream_registry_revoke(struct stream_registry *registry, struct slice user,
                              struct slice device) {
    pthread_mutex_lock(&registry->lock);
    size_t count = tell(registry, hash_of(user, device), user, device, STREAM_REVOKED);
    pthread_mutex_unlock(&registry->lock);
    return count;
}

size_t stream_registry_count(struct stream_registry *registry) {
    pthread_mutex_lock(&registry->lock);
    size_t count = registry->count;
    pthread_mutex_unlock(&registry->lock);
    return count;
}
