/* The embedded store: RocksDB with one committer, which writes all waiting sets as one batch with
 * one sync. */
#ifndef SERVICE_STORE_ROCKS_STORE_H
#define SERVICE_STORE_ROCKS_STORE_H

#include "base/id.h"
#include "base/log.h"
#include "service/store/store.h"

struct rocks_store_options {
    const char *path;                   /* folder; made when absent */
    size_t block_cache_bytes;           /* 0: 64 MiB */
    size_t write_buffer_bytes;          /* 0: 64 MiB */
    size_t change_index_bytes;          /* memory for the index of settled changes; 0: 128 MiB */
    const struct random_source *random; /* for the epoch */
    struct metrics *metrics;            /* NULL: none */
    struct log *log;                    /* NULL: none */
};

/* Opens or makes the store. On failure `error` holds one line for the operator: locked by another
 * process, not ours, damaged, no permission. */
enum sync_status rocks_store_open(const struct rocks_store_options *options,
                                  struct sync_error *error, struct store **ret_store);

#endif
