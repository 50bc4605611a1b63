#include "service/store/change_index.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"

enum { INDEX_BUCKETS_MIN = 256, INDEX_SLOTS_MIN = 16, INDEX_CANDIDATES = 2 };

/* A slot is the upper half of the fingerprint over the lower half of the revision; 0 is free. Eight
 * bytes a change, because there are many; who finds one compares what is stored anyway. */
static uint64_t slot_of(uint64_t fingerprint, uint64_t revision) {
    uint64_t tag = fingerprint >> 32;
    return (tag ? tag : 1) << 32 | (uint32_t)revision;
}

static size_t slot_home(uint64_t slot) {
    return (size_t)(slot >> 32);
}

/* A user's part: an open-addressed table, filled to three quarters at most. */
struct change_index_user {
    struct change_index_user *next; /* in its bucket */
    uint64_t hash;
    uint64_t used_at;  /* the index's count of uses */
    struct slice name; /* behind this struct */
    unsigned pins;
    bool complete;
    size_t used, reserved, slot_count;
    uint64_t *slots;
};

struct change_index {
    pthread_mutex_t lock;
    uint64_t seed;
    size_t bytes, bytes_max;
    size_t user_count, bucket_count;
    struct change_index_user **buckets;
    struct change_index_user *newest; /* the one used last; NULL only when there is none */
    uint64_t uses, lot;
};

struct change_index *change_index_open(size_t bytes_max, uint64_t seed) {
    struct change_index *index = memory_zalloc(1, sizeof *index);
    if (!index)
        return NULL;
    index->bucket_count = INDEX_BUCKETS_MIN;
    index->buckets = memory_zalloc(index->bucket_count, sizeof(struct change_index_user *));
    if (!index->buckets) {
        memory_free(index);
        return NULL;
    }
    index->bytes_max = bytes_max;
    index->seed = seed;
    index->lot = seed | 1;
    pthread_mutex_init(&index->lock, NULL);
    return index;
}

static size_t user_bytes(const struct change_index_user *user) {
    return sizeof *user + user->name.size + user->slot_count * sizeof *user->slots;
}

static struct change_index_user **index_bucket(struct change_index *index, uint64_t hash) {
    return &index->buckets[hash & (index->bucket_count - 1)];
}

static void index_drop(struct change_index *index, struct change_index_user *user) {
    assert(user->pins == 0);
    struct change_index_user **at = index_bucket(index, user->hash);
    while (*at != user)
        at = &(*at)->next;
    *at = user->next;
    index->bytes -= user_bytes(user);
    index->user_count--;
    memory_free(user->slots);
    memory_free(user);
}

struct change_index *change_index_close(struct change_index *index) {
    if (!index)
        return NULL;
    for (size_t i = 0; i < index->bucket_count; i++)
        while (index->buckets[i])
            index_drop(index, index->buckets[i]);
    pthread_mutex_destroy(&index->lock);
    memory_free(index->buckets);
    memory_free(index);
    return NULL;
}

/* An unpinned user by lot, never the newest; NULL when there is none. */
static struct change_index_user *index_draw(struct change_index *index) {
    index->lot ^= index->lot << 13;
    index->lot ^= index->lot >> 7;
    index->lot ^= index->lot << 17;
    for (size_t i = 0; i < index->bucket_count; i++) {
        struct change_index_user *user = *index_bucket(index, index->lot + i);
        while (user && (user->pins > 0 || user == index->newest))
            user = user->next;
        if (user)
            return user;
    }
    return NULL;
}

/* Drops users until the bound holds: each time the longer unused one of some drawn by lot. Always
 * the longest unused of all would be the worst choice where a few more users than fit come in
 * turns: every one would be dropped just before he comes again. */
static void index_shrink(struct change_index *index) {
    while (index->bytes > index->bytes_max) {
        struct change_index_user *drop = index_draw(index);
        for (int i = 1; drop && i < INDEX_CANDIDATES; i++) {
            struct change_index_user *other = index_draw(index);
            if (other->used_at < drop->used_at)
                drop = other;
        }
        if (!drop)
            return;
        index_drop(index, drop);
    }
}

uint64_t change_index_fingerprint(const struct change_index *index, struct slice device,
                                  struct slice change_id) {
    return slice_hash(change_id, slice_hash(device, index->seed));
}

/* Doubles the buckets when users outnumber them; without memory the chains grow instead. */
static void index_grow_buckets(struct change_index *index) {
    size_t count = index->bucket_count * 2;
    if (index->user_count <= index->bucket_count)
        return;
    struct change_index_user **buckets = memory_zalloc(count, sizeof(struct change_index_user *));
    if (!buckets)
        return;
    for (size_t i = 0; i < index->bucket_count; i++)
        for (struct change_index_user *user = index->buckets[i], *next; user; user = next) {
            next = user->next;
            user->next = buckets[user->hash & (count - 1)];
            buckets[user->hash & (count - 1)] = user;
        }
    memory_free(index->buckets);
    index->buckets = buckets;
    index->bucket_count = count;
}

static struct change_index_user *index_make_user(struct change_index *index, struct slice name,
                                                 uint64_t hash) {
    struct change_index_user *user = memory_alloc(sizeof *user + name.size);
    if (!user)
        return NULL;
    *user = (struct change_index_user){.hash = hash};
    if (name.size > 0)
        memcpy(user + 1, name.data, name.size);
    user->name = slice_of(user + 1, name.size);
    struct change_index_user **bucket = index_bucket(index, hash);
    user->next = *bucket;
    *bucket = user;
    index->bytes += user_bytes(user);
    index->user_count++;
    index_grow_buckets(index);
    return user;
}

/* Puts a slot into the table, which has a free one. False when the same was there. */
static bool slots_put(uint64_t *slots, size_t count, uint64_t slot) {
    for (size_t i = slot_home(slot) & (count - 1);; i = (i + 1) & (count - 1)) {
        if (slots[i] == 0) {
            slots[i] = slot;
            return true;
        }
        if (slots[i] == slot)
            return false;
    }
}

/* Moves a user's slots into a table that takes `wanted` of them; with `trim` without those whose
 * revision is `trim` or up to 2^31 less. */
static bool user_rebuild(struct change_index *index, struct change_index_user *user, size_t wanted,
                         const uint64_t *trim) {
    size_t count = INDEX_SLOTS_MIN;
    while (count - count / 4 < wanted)
        count *= 2;
    uint64_t *slots = memory_zalloc(count, sizeof *slots);
    if (!slots)
        return false;
    index->bytes -= user_bytes(user);
    size_t used = 0;
    for (size_t i = 0; i < user->slot_count; i++)
        if (user->slots[i] && !(trim && (int32_t)((uint32_t)user->slots[i] - (uint32_t)*trim) <= 0))
            used += slots_put(slots, count, user->slots[i]);
    memory_free(user->slots);
    user->slots = slots;
    user->slot_count = count;
    user->used = used;
    index->bytes += user_bytes(user);
    return true;
}

/* Makes sure that `room` pairs beyond the used and reserved ones fit. */
static bool user_reserve(struct change_index *index, struct change_index_user *user, size_t room) {
    size_t wanted = user->used + user->reserved + room;
    return wanted <= user->slot_count - user->slot_count / 4 ||
           user_rebuild(index, user, wanted, NULL);
}

static struct change_index_user *index_user(struct change_index *index, struct slice name) {
    uint64_t hash = slice_hash(name, index->seed);
    struct change_index_user *user = *index_bucket(index, hash);
    while (user && !(user->hash == hash && slice_equal(user->name, name)))
        user = user->next;
    if (!user)
        user = index_make_user(index, name, hash);
    if (!user)
        return NULL;
    user->used_at = ++index->uses;
    index->newest = user;
    return user;
}

struct change_index_user *change_index_pin(struct change_index *index, struct slice name,
                                           size_t room) {
    pthread_mutex_lock(&index->lock);
    struct change_index_user *user = index_user(index, name);
    if (user && room > 0 && !user_reserve(index, user, room))
        user = NULL;
    if (user) {
        user->pins++;
        user->reserved += room;
        index_shrink(index);
    }
    pthread_mutex_unlock(&index->lock);
    return user;
}

void change_index_unpin(struct change_index *index, struct change_index_user *user, size_t room) {
    pthread_mutex_lock(&index->lock);
    assert(user->pins > 0);
    assert(user->reserved >= room);
    user->pins--;
    user->reserved -= room;
    if (user->pins == 0)
        index_shrink(index);
    pthread_mutex_unlock(&index->lock);
}

void change_index_add(struct change_index *index, struct change_index_user *user,
                      uint64_t fingerprint, uint64_t revision) {
    pthread_mutex_lock(&index->lock);
    assert(revision > 0);
    assert(user->reserved > 0);
    user->reserved--;
    user->used += slots_put(user->slots, user->slot_count, slot_of(fingerprint, revision));
    pthread_mutex_unlock(&index->lock);
}

bool change_index_add_stored(struct change_index *index, struct change_index_user *user,
                             uint64_t fingerprint, uint64_t revision) {
    pthread_mutex_lock(&index->lock);
    assert(revision > 0);
    bool well = user_reserve(index, user, 1);
    if (well)
        user->used += slots_put(user->slots, user->slot_count, slot_of(fingerprint, revision));
    pthread_mutex_unlock(&index->lock);
    return well;
}

bool change_index_is_complete(struct change_index *index, struct change_index_user *user) {
    pthread_mutex_lock(&index->lock);
    bool complete = user->complete;
    pthread_mutex_unlock(&index->lock);
    return complete;
}

void change_index_set_complete(struct change_index *index, struct change_index_user *user) {
    pthread_mutex_lock(&index->lock);
    assert(user->pins > 0);
    user->complete = true;
    pthread_mutex_unlock(&index->lock);
}

size_t change_index_find(struct change_index *index, struct change_index_user *user,
                         uint64_t fingerprint, uint64_t newest, uint64_t *revisions, size_t max) {
    uint64_t wanted = slot_of(fingerprint, 0);
    size_t found = 0;
    pthread_mutex_lock(&index->lock);
    size_t mask = user->slot_count - 1;
    for (size_t i = slot_home(wanted) & mask; user->slot_count > 0 && user->slots[i];
         i = (i + 1) & mask)
        if (slot_home(user->slots[i]) == slot_home(wanted) && found < max)
            revisions[found++] = newest - (uint32_t)((uint32_t)newest - (uint32_t)user->slots[i]);
    pthread_mutex_unlock(&index->lock);
    return found;
}

void change_index_trim(struct change_index *index, struct change_index_user *user,
                       uint64_t revision) {
    pthread_mutex_lock(&index->lock);
    /* Without memory they stay: they then point at rows that are gone, which finds nothing. */
    if (user->slot_count > 0)
        (void)!user_rebuild(index, user, user->used + user->reserved, &revision);
    pthread_mutex_unlock(&index->lock);
}

void change_index_stats(struct change_index *index, size_t *ret_bytes, size_t *ret_users) {
    pthread_mutex_lock(&index->lock);
    *ret_bytes = index->bytes;
    *ret_users = index->user_count;
    pthread_mutex_unlock(&index->lock);
}
