/* Field stamps taken apart, for the files of core/field_stamps only. Pure. */
#ifndef SERVICE_CORE_FIELD_STAMPS_READ_H
#define SERVICE_CORE_FIELD_STAMPS_READ_H

#include "service/core/field_stamps.h"
#include "service/core/record_path.h"

/* One field's stamp; its paths borrow. */
struct field_stamp {
    struct record_path path;
    uint64_t version;
    uint64_t
        before; /* of the last change at it or in it before that one; 0: none above the floor */
    struct record_path from; /* where the change took its value from; no segments: it set one */
};

/* Stamps in the document's order, an object or array before what is in it: both are there when it
 * was set as a whole and something in it changed later. */
struct field_stamps {
    struct arena *arena;
    struct field_stamp *fields;
    size_t count;
    uint64_t floor;
};

/* Reads a record's stamps; `stamps->arena` is set. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY. */
enum sync_status field_stamps_read(struct field_stamps *stamps, const struct record *record);

#endif
