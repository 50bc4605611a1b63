/* What a device that holds a record of some version needs, by the record's field stamps: as a merge
 * patch, or as operations. */
#include <assert.h>
#include <stdlib.h>

#include "service/core/delta_read.h"
#include "service/core/field_stamps_read.h"
#include "service/core/patch_operation.h"

/* ---- As a merge patch */

/* Takes the outermost of the fields that changed after `since`, as they are now; an array is one
 * value. `ret_can` is false when one has become an object and may have been another then: merged
 * into that, it would keep its members. */
static enum sync_status stamps_select(const struct field_stamps *stamps, struct path_finder *finder,
                                      uint64_t since, struct delta_item *items, size_t *ret_count,
                                      bool *ret_can) {
    struct record_path last = {0};
    size_t count = 0;
    *ret_can = false;
    for (size_t i = 0; i < stamps->count; i++) {
        const struct field_stamp *stamp = &stamps->fields[i];
        struct record_path path = record_path_of_members(stamp->path);
        const struct keyed_list *list;
        struct value value;
        bool is_there;
        if (stamp->version <= since || (count > 0 && record_path_is_in(path, last)))
            continue;
        enum sync_status status = path_finder_find(finder, path, &value, &list, &is_there);
        if (status)
            return status;
        if (is_there && value.kind == VALUE_OBJECT && stamp->before > since)
            return SYNC_OK;
        items[count++] = (struct delta_item){.path = path.segments,
                                             .path_size = path.size,
                                             .removed = !is_there,
                                             .value = is_there ? value.bytes : SLICE_EMPTY};
        last = path;
    }
    *ret_count = count;
    *ret_can = true;
    return SYNC_OK;
}

enum sync_status field_stamps_patch(const struct record *record, uint64_t since,
                                    struct arena *arena, struct slice *ret_patch, bool *ret_found) {
    assert(record && arena);
    assert(!record->deleted);
    struct field_stamps stamps = {.arena = arena};
    struct path_finder finder;
    enum sync_status status = field_stamps_read(&stamps, record);
    if (status)
        return status;
    if (since < stamps.floor) {
        *ret_found = false;
        return SYNC_OK;
    }
    struct delta_item *items = arena_alloc(arena, stamps.count * sizeof *items);
    if (!items)
        return SYNC_ERR_NO_MEMORY;
    path_finder_init(&finder, record->data, arena);
    size_t count;
    bool can;
    status = stamps_select(&stamps, &finder, since, items, &count, &can);
    if (!status)
        *ret_found = can && delta_items_to_merge_patch(items, count, arena, ret_patch);
    return status;
}
