/* Delta: what turns one document into another, field by field, exactly.
 *
 * A delta lists paths with their new value or their absence. Unlike a merge patch it can set a
 * field to null. Arrays are one value. The encoding is versioned and stored in the change log.
 * Pure. */
#ifndef SERVICE_CORE_DELTA_H
#define SERVICE_CORE_DELTA_H

#include "base/arena.h"
#include "base/bytes.h"
#include "service/core/document.h"

enum {
    DELTA_PATH_MAX = 64,        /* segments: DOCUMENT_DEPTH_MAX */
    DELTA_PATH_TEXT_MAX = 1024, /* bytes of a path shown as text */
};

/* One changed field. Segments and value borrow from the delta. */
struct delta_field {
    struct slice path[DELTA_PATH_MAX];
    size_t path_size;
    bool removed;
    struct slice value; /* google.protobuf.Value bytes, unless removed */
};

/* Makes the delta from `before` to `after`, both canonical; an empty slice is a document without
 * members. Equal documents give an empty delta. */
enum sync_status delta_between(struct slice before, struct slice after, struct arena *arena,
                               struct slice *ret_delta);

/* Applies a delta to a canonical document. SYNC_ERR_CORRUPT when it does not parse. */
enum sync_status delta_apply(struct slice document, struct slice delta, struct arena *arena,
                             struct slice *ret_document);

/* Steps through the fields: start with *position = 0 and give the same field each time, as a path
 * builds on the one before; false at the end or when malformed. */
bool delta_next(struct slice delta, size_t *position, struct delta_field *ret_field);

/* Turns a delta into a merge patch (RFC 7396) as a canonical document. False when a merge patch
 * cannot say it (a field set to null, or an object that holds null): send the whole record then. */
bool delta_to_merge_patch(struct slice delta, struct arena *arena, struct slice *ret_patch);

/* Formats a field's path as dotted text, "reservationFor.departureTime", cut to
 * DELTA_PATH_TEXT_MAX bytes. The slice lives as long as the arena; it is empty when there is no
 * memory. */
struct slice delta_path_text(const struct delta_field *field, struct arena *arena);

/* The same for a path's segments. */
struct slice delta_path_join(const struct slice *path, size_t path_size, struct arena *arena);

#endif
