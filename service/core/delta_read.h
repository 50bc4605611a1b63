/* Deltas taken apart, inside core. Pure. */
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

/* Marks the fields at which, or in or around which, another delta changes something; `marks` is
 * parallel, and what is marked stays so. */
void delta_items_mark(const struct delta_item *items, size_t count, struct slice delta,
                      bool *marks);

/* Applies fields, in order and none inside another, to a canonical document; `room` is theirs, or
 * more. SYNC_ERR_NO_MEMORY, SYNC_ERR_CORRUPT. */
enum sync_status delta_items_apply(struct slice document, const struct delta_item *items,
                                   size_t count, size_t room, struct arena *arena,
                                   struct slice *ret_document);

/* Turns fields, in order and none inside another, into a merge patch, as delta_to_merge_patch does.
 */
bool delta_items_to_merge_patch(const struct delta_item *items, size_t count, struct arena *arena,
                                struct slice *ret_patch);

/* The room in a document that the field can take beyond those before it. */
size_t delta_item_room(const struct delta_item *item);

#endif
