/* Lap keys: which records the log names, each once. */
#ifndef SERVICE_RPC_LAP_KEYS_H
#define SERVICE_RPC_LAP_KEYS_H

#include "base/arena.h"
#include "service/store/store.h"

/* What to look for, and what was found; in the caller's memory. */
struct lap_keys {
    data_type_set types;
    uint64_t after, target; /* entries with a sequence above `after`, up to `target` */
    bool history;           /* whether the wants ask for the records' history since `after` */
    size_t entries_max;
    /* ---- found */
    struct record_want *wants; /* in the arena */
    size_t count;
    uint64_t last; /* sequence of the last entry looked at; `after` when there was none */
    bool is_cut;   /* there are more entries than entries_max */
    /* ---- of the reading */
    struct arena *arena;
    size_t entries, capacity, slot_count;
    uint32_t *slots; /* place + 1 by the key's hash */
    enum sync_status status;
};

/* Reads the log by the reader's snapshot or as of now. */
enum sync_status lap_keys_read(struct lap_keys *keys, struct store *store,
                               struct store_reader *reader, struct slice user, struct arena *arena);

#endif
