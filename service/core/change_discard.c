#include <assert.h>

#include "service/core/change_result.h"
#include "service/core/change_work.h"

enum sync_status change_discard(const struct user_view *view, const struct change_batch *batch,
                                const char *reason, struct slice message, struct arena *arena,
                                struct write_set *ret_set) {
    assert(view && batch && batch->count == 1);
    assert(arena && ret_set);
    const struct change *change = &batch->changes[0];
    struct change_result result = {.type = change->type, .data_id = change->data_id};
    struct settled *settled = arena_zalloc(arena, 1, sizeof *settled);
    if (!settled)
        return SYNC_ERR_NO_MEMORY;
    change_reject(&result, reason, SLICE_EMPTY, message);
    *settled = (struct settled){.device = batch->device, .change_id = change->id};
    memcpy(settled->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE);
    enum sync_status status = change_result_pack(&result, arena, &settled->outcome);
    if (status)
        return status;
    *ret_set = (struct write_set){.user = batch->user,
                                  .expected_revision = view->head.revision,
                                  .head = view->head,
                                  .settled = settled,
                                  .settled_count = 1};
    return SYNC_OK;
}
