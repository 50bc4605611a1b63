/* Change result as stored: a packed travelsense.sync.v1.ChangeResult. Internal to core; pure. */
#ifndef SERVICE_CORE_CHANGE_RESULT_H
#define SERVICE_CORE_CHANGE_RESULT_H

#include "service/core/change_batch.h"

/* Packs a result, without its change id and `duplicate`, into the arena. */
enum sync_status change_result_pack(const struct change_result *result, struct arena *arena,
                                    struct slice *ret_outcome);

/* Reads it back; the slices borrow from `outcome`. SYNC_ERR_CORRUPT when it does not parse. */
enum sync_status change_result_unpack(struct slice outcome, struct arena *arena,
                                      struct change_result *ret_result);

#endif
