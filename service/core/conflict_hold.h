/* Conflict hold: which open conflicts hold back a device's further changes of a record. What comes
 * behind a change that waits for the user waits too, in whatever batch it is sent. Pure. */
#ifndef SERVICE_CORE_CONFLICT_HOLD_H
#define SERVICE_CORE_CONFLICT_HOLD_H

#include "service/core/conflict.h"

/* The key in TABLE_CONFLICT_HOLD of a device and a record; the device is not empty. Memory from the
 * arena. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_key(struct slice user, struct slice device,
                                   const struct record_key *key, struct arena *arena,
                                   struct slice *ret_key);

/* The conflict that has held for longest of those that a row names: its id, which lives as long as
 * the row; empty when nothing holds. */
struct slice conflict_hold_first(const struct row *row);

/* Makes the conflict, which has just been opened, hold; or lets go of what it held. `row` is the
 * row of its device and record as loaded. A conflict of a service's holds nothing: then `row` is
 * not looked at. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_begin(struct write_build *build, const struct row *row,
                                     const struct conflict *conflict);
enum sync_status conflict_hold_end(struct write_build *build, const struct row *row,
                                   const struct conflict *conflict);

#endif
