/* Field stamps: at which version each field of a record last changed. They are kept with the
 * record, so that a device gets just the fields that changed since it last asked, by the record
 * alone, and however often it changed since.
 *
 * Stamps are known from their floor on: it is the version from which on every change is in them.
 * They are bounded (FIELD_STAMPS_MAX, and a share of the document's size); what finds no room
 * raises the floor. No stamps at all: the floor is the record's version. The encoding is versioned
 * and stored by the store as bytes. Pure. */
#ifndef SERVICE_CORE_FIELD_STAMPS_H
#define SERVICE_CORE_FIELD_STAMPS_H

#include "base/arena.h"
#include "service/core/model.h"

enum {
    FIELD_STAMPS_MAX = 64,        /* fields */
    FIELD_STAMPS_BYTES_MIN = 128, /* so many bytes are allowed with any document, */
    FIELD_STAMPS_SHARE = 4,       /* and this part of a larger one's */
};

/* A change of a record that lives before and after it. */
struct field_change {
    const struct record *before;
    struct slice document; /* after it */
    struct slice undo;     /* the delta (core/delta.h) from after it to before it */
    uint64_t version;      /* after it */
    uint64_t wanted_above; /* no earlier version will be asked for */
};

/* Makes the stamps of the record after a change. SYNC_ERR_CORRUPT when the record's own, or the
 * delta, do not parse. */
enum sync_status field_stamps_after(const struct field_change *change, struct arena *arena,
                                    struct slice *ret_stamps);

/* Makes a merge patch (RFC 7396) from what a live record was at a version, or sequence, up to its
 * own to what it is now; a canonical document. `ret_found` is false where there is none: the stamps
 * do not reach back so far, or a merge patch cannot say it (a field set to null, or to an object
 * that holds null). SYNC_ERR_CORRUPT when the stamps do not parse. */
enum sync_status field_stamps_patch(const struct record *record, uint64_t since,
                                    struct arena *arena, struct slice *ret_patch, bool *ret_found);

/* Makes the same as patch operations (core/patch_operation.h), packed: elements of arrays that have
 * ids one by one, and where a field only got another name, its move. `ret_found` is false where the
 * stamps do not reach back so far. */
enum sync_status field_stamps_operations(const struct record *record, uint64_t since,
                                         struct arena *arena, struct slice *ret_packed,
                                         bool *ret_found);

#endif
