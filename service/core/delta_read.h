/* Deltas taken apart, for the files of core/delta only. Pure. */
#ifndef SERVICE_CORE_DELTA_READ_H
#define SERVICE_CORE_DELTA_READ_H

#include "service/core/delta.h"

/* One changed field, with its path in the arena. */
struct delta_item {
    const struct slice *path;
    size_t path_size;
    size_t shared; /* leading segments that are those of the item before */
    bool removed;
    struct slice value;
};

/* All fields of a delta as an array in the arena, and the room that their members can take in a
 * document. SYNC_ERR_CORRUPT when malformed or out of order. */
enum sync_status delta_items(struct slice delta, struct arena *arena, struct delta_item **ret_items,
                             size_t *ret_count, size_t *ret_room);

#endif
