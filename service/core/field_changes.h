/* Field changes: which fields a change of a record touched, as finely as a patch can say it:
 * members of objects, elements of arrays by their ids and what is in them, and where a large value
 * only got another name. Internal to core. Pure. */
#ifndef SERVICE_CORE_FIELD_CHANGES_H
#define SERVICE_CORE_FIELD_CHANGES_H

#include "service/core/record_path.h"

enum {
    FIELD_CHANGES_LIST_MAX = 16,  /* places named one by one in an array: beyond, it counts whole */
    FIELD_CHANGES_MOVES_MAX = 64, /* changes that are looked through for moved values */
    FIELD_CHANGES_MOVE_MIN = 64,  /* bytes of a value that is worth telling its way */
};

/* A field that a change set, removed or moved. An array's order is such a field too: it changed
 * unless elements were only removed, or added behind the rest in their order. */
struct changed_field {
    struct record_path path;
    struct record_path from; /* where the same value stood before, and no longer does; no segments:
                               nowhere */
};

/* Finds the fields, in the order of record_path_compare, none in another. `undo` is the delta
 * (core/delta.h) from `after`, the document as it is, to what it was. Everything lives in the
 * arena, or borrows. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY. */
enum sync_status changed_fields_find(struct slice after, struct slice undo, struct arena *arena,
                                     struct changed_field **ret_fields, size_t *ret_count);

#endif
