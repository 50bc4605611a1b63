/* Changed keys: which records of some types changed after a sequence, to be loaded. */
#ifndef SERVICE_RPC_CHANGED_KEYS_H
#define SERVICE_RPC_CHANGED_KEYS_H

#include "base/arena.h"
#include "service/store/store.h"

enum {
    /* Keys in memory; where there are more, looking through all records takes less. */
    CHANGED_KEYS_MAX = 1 << 17,
    CHANGED_KEYS_AT_ONCE = 128, /* to be loaded, so that what is loaded and not kept stays small */
};

/* What to look for, and what was found; in the caller's memory. */
struct changed_keys {
    data_type_set types;
    uint64_t after;  /* records with a greater version, tombstones included */
    uint64_t target; /* and none above this */
    size_t count_max;
    /* ---- found */
    struct record_want *wants; /* by version; in the arena */
    size_t count;
    uint64_t last;  /* the newest version looked at; `after` when there was none */
    bool is_cut;    /* there are more than count_max */
    bool has_newer; /* there are some above the target */
    /* ---- of the reading */
    struct arena *arena;
    size_t capacity;
    enum sync_status status;
};

/* Reads them by the reader's snapshot or as of now. */
enum sync_status changed_keys_read(struct changed_keys *keys, struct store *store,
                                   struct store_reader *reader, struct slice user,
                                   struct arena *arena);

/* Whether the records are better loaded by these keys than all looked through. */
bool changed_keys_pay(const struct changed_keys *keys, const struct user_head *head);

#endif
