#include "service/store/change_index.h"

#include <assert.h>
#include <pthread.h>

#include "base/memory.h"
#include "service/store/thin_set.h"

enum { INDEX_BUCKETS_MIN = 256, INDEX_SLOTS_MIN = 16 };

/* A slot is the upper half of the fingerprint over the lower half of the revision; 0 is free. Eight
 * bytes a change, because there are many; who finds one compares what is stored anyway. */
static uint64_t slot_of(uint64_t fingerprint, uint64_t revision) {
    uint64_t tag = fingerprint >> 32;
    return (tag ? tag : 1) << 32 | (uint32_t)revision;
}

static uint32_t slot_tag(uint64_t slot) {
    return (uint32_t)(slot >> 32);
}

/* A user's part: an open-addressed table, filled to three quarters at most; or, when that was given
 * up, a thin set of what was in it and has come since, beside a table of only the latter. */
struct change_index_user {
    struct change_index_user *next;            /* in its bucket */
    struct change_index_user *older, *younger; /* among those with a table, by last use */
    uint64_t hash;
    struct slice name; /* behind this struct */
    unsigned pins;
    bool complete; /* the table has all that is stored */
    size_t used, reserved, slot_count;
    uint64_t *slots;
    struct thin_set *thin; /* has all that is stored; NULL: there is none */
};

struct change_index {
    pthread_mutex_t lock;
    uint64_t seed;
    size_t bytes, idle_bytes, idle_bytes_max; /* idle: of unpinned users */
    size_t user_count, bucket_count;
    struct change_index_user **buckets;
    struct change_index_user *newest; /* the one used last; NULL only when there is none */
    struct change_index_user *oldest_table, *youngest_table;
    uint64_t lot;
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
    index->idle_bytes_max = bytes_max;
    index->seed = seed;
    index->lot = seed | 1;
    pthread_mutex_init(&index->lock, NULL);
    return index;
}

static size_t user_bytes(const struct change_index_user *user) {
    return sizeof *user + user->name.size + user->slot_count * sizeof *user->slots +
           thin_set_bytes(user->thin);
}

/* Takes a user's bytes out of the counts, before they change, and into them. */
static void bytes_leave(struct change_index *index, const struct change_index_user *user) {
    index->bytes -= user_bytes(user);
    index->idle_bytes -= user->pins == 0 ? user_bytes(user) : 0;
}
static void bytes_enter(struct change_index *index, const struct change_index_user *user) {
    index->bytes += user_bytes(user);
    index->idle_bytes += user->pins == 0 ? user_bytes(user) : 0;
}

static struct change_index_user **index_bucket(struct change_index *index, uint64_t hash) {
    return &index->buckets[hash & (index->bucket_count - 1)];
}

/* Takes a user out of those with a table, if he is there. */
static void tables_leave(struct change_index *index, struct change_index_user *user) {
    if (user->older)
        user->older->younger = user->younger;
    else if (index->oldest_table == user)
        index->oldest_table = user->younger;
    if (user->younger)
        user->younger->older = user->older;
    else if (index->youngest_table == user)
        index->youngest_table = user->older;
    user->older = user->younger = NULL;
}

static void index_drop(struct change_index *index, struct change_index_user *user) {
    assert(user->pins == 0);
    struct change_index_user **at = index_bucket(index, user->hash);
    while (*at != user)
        at = &(*at)->next;
    *at = user->next;
    tables_leave(index, user);
    bytes_leave(index, user);
    index->user_count--;
    thin_set_close(user->thin);
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

/* Makes a user with a table the youngest of them. */
static void tables_enter(struct change_index *index, struct change_index_user *user) {
    tables_leave(index, user);
    if (user->slot_count == 0)
        return;
    user->older = index->youngest_table;
    *(user->older ? &user->older->younger : &index->oldest_table) = user;
    index->youngest_table = user;
}

/* Gives a user's table up; what it had is in the thin set, where there is memory for one. Nobody
 * commits for him, so nothing that is in no row yet gets lost. */
static void index_make_thin(struct change_index *index, struct change_index_user *user) {
    assert(user->pins == 0);
    bytes_leave(index, user);
    if (user->complete) {
        user->thin = thin_set_open(user->used);
        for (size_t i = 0; user->thin && i < user->slot_count; i++)
            if (user->slots[i])
                thin_set_add(user->thin, slot_tag(user->slots[i]));
    }
    memory_free(user->slots);
    user->slots = NULL;
    user->slot_count = user->used = 0;
    user->complete = false;
    tables_leave(index, user);
    bytes_enter(index, user);
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

/* Makes users thin, then drops some, until the bound holds. The drops go by lot: always the longest
 * unused would be the worst choice where a few more users than fit come in turns, since every one
 * would be dropped just before he comes again. */
static void index_shrink(struct change_index *index) {
    for (struct change_index_user *user = index->oldest_table, *younger;
         user && index->idle_bytes > index->idle_bytes_max; user = younger) {
        younger = user->younger;
        if (user->pins == 0 && user != index->newest)
            index_make_thin(index, user);
    }
    while (index->idle_bytes > index->idle_bytes_max) {
        struct change_index_user *drop = index_draw(index);
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
    bytes_enter(index, user);
    index->user_count++;
    index_grow_buckets(index);
    return user;
}

/* Puts a slot into the table, which has a free one. False when the same was there. */
static bool slots_put(uint64_t *slots, size_t count, uint64_t slot) {
    for (size_t i = slot_tag(slot) & (count - 1);; i = (i + 1) & (count - 1)) {
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
    bytes_leave(index, user);
    size_t used = 0;
    for (size_t i = 0; i < user->slot_count; i++)
        if (user->slots[i] && !(trim && (int32_t)((uint32_t)user->slots[i] - (uint32_t)*trim) <= 0))
            used += slots_put(slots, count, user->slots[i]);
    memory_free(user->slots);
    user->slots = slots;
    user->slot_count = count;
    user->used = used;
    bytes_enter(index, user);
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
        bytes_leave(index, user);
        user->pins++;
        user->reserved += room;
        bytes_enter(index, user);
        tables_enter(index, user);
        index_shrink(index);
    }
    pthread_mutex_unlock(&index->lock);
    return user;
}

void change_index_unpin(struct change_index *index, struct change_index_user *user, size_t room) {
    pthread_mutex_lock(&index->lock);
    assert(user->pins > 0);
    assert(user->reserved >= room);
    bytes_leave(index, user);
    user->pins--;
    user->reserved -= room;
    bytes_enter(index, user);
    if (user->pins == 0)
        index_shrink(index);
    pthread_mutex_unlock(&index->lock);
}

static void user_drop_thin(struct change_index *index, struct change_index_user *user) {
    bytes_leave(index, user);
    user->thin = thin_set_close(user->thin);
    bytes_enter(index, user);
}

void change_index_add(struct change_index *index, struct change_index_user *user,
                      uint64_t fingerprint, uint64_t revision) {
    pthread_mutex_lock(&index->lock);
    assert(revision > 0);
    assert(user->reserved > 0);
    user->reserved--;
    user->used += slots_put(user->slots, user->slot_count, slot_of(fingerprint, revision));
    if (user->thin && !thin_set_add(user->thin, slot_tag(slot_of(fingerprint, revision))))
        user_drop_thin(index, user); /* it is full: what is stored must be read again */
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

bool change_index_excludes(struct change_index *index, struct change_index_user *user,
                           uint64_t fingerprint) {
    pthread_mutex_lock(&index->lock);
    bool excludes = user->complete;
    if (!excludes && user->thin)
        excludes = !thin_set_has(user->thin, slot_tag(slot_of(fingerprint, 0)));
    pthread_mutex_unlock(&index->lock);
    return excludes;
}

void change_index_set_complete(struct change_index *index, struct change_index_user *user) {
    pthread_mutex_lock(&index->lock);
    assert(user->pins > 0);
    user->complete = true;
    user_drop_thin(index, user);
    tables_enter(index, user);
    pthread_mutex_unlock(&index->lock);
}

size_t change_index_find(struct change_index *index, struct change_index_user *user,
                         uint64_t fingerprint, uint64_t newest, uint64_t *revisions, size_t max) {
    uint64_t wanted = slot_of(fingerprint, 0);
    size_t found = 0;
    pthread_mutex_lock(&index->lock);
    size_t mask = user->slot_count - 1;
    for (size_t i = slot_tag(wanted) & mask; user->slot_count > 0 && user->slots[i];
         i = (i + 1) & mask)
        if (slot_tag(user->slots[i]) == slot_tag(wanted) && found < max)
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
