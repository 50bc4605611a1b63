/* Documents: JSON objects as google.protobuf.Struct wire bytes.
 *
 * A canonical document has the names of every object in RFC 8785 order (UTF-16 code units) with no
 * duplicates, every value set, minimal varints and no unknown fields: equal JSON has equal bytes.
 * I-JSON (RFC 7493): integers within ±(2^53-1), finite numbers, valid UTF-8. Depth at most
 * DOCUMENT_DEPTH_MAX. Pure; memory from the arena. */
#ifndef SERVICE_CORE_DOCUMENT_H
#define SERVICE_CORE_DOCUMENT_H

#include "base/arena.h"
#include "base/bytes.h"

/* What a JSON value is. */
enum value_kind { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_STRING, VALUE_OBJECT, VALUE_LIST };

/* One JSON value inside a document. `bytes` is the whole google.protobuf.Value; `text`, `object` or
 * `list` (a Struct's or ListValue's bytes) count by kind. Slices borrow from the document. */
struct value {
    enum value_kind kind;
    bool boolean;
    double number;
    struct slice text, object, list;
    struct slice bytes;
};

/* One member of an object. */
struct member {
    struct slice name;
    struct value value;
};

/* Checks a Struct as it came from outside and makes it canonical; returns the input itself when it
 * already is. On error `error` names the path inside the document ("reservationFor.departureTime")
 * and the bound or rule broken. */
enum sync_status document_normalize(struct slice input, struct arena *arena,
                                    struct sync_error *error, struct slice *ret_document);

/* Steps through the members of a canonical object: start with *position = 0; false at the end. */
bool document_next(struct slice object, size_t *position, struct member *ret_member);

/* Steps through a list's values. */
bool document_list_next(struct slice list, size_t *position, struct value *ret_value);

/* Finds a member of a canonical object by name. */
bool document_find(struct slice object, struct slice name, struct value *ret_value);

/* Appends canonical JSON (RFC 8785) of a canonical document. */
void document_append_json(struct slice document, struct buffer *out);

/* Appends canonical JSON of one value. */
void value_append_json(const struct value *value, struct buffer *out);

/* RFC 8785 order of names: <0, 0, >0. */
int document_name_compare(struct slice a, struct slice b);

/* Writing canonical documents: members must be added in order. */
void document_append_member(struct buffer *out, struct slice name, struct slice value_bytes);

/* Applies a merge patch (RFC 7396), itself a canonical document, to a canonical document (empty for
 * none). */
enum sync_status document_merge_patch(struct slice document, struct slice patch,
                                      struct arena *arena, struct slice *ret_document);

/* Where a document has what another no longer has: a document with null for each member that is
 * gone, unless it was null. With `in_lists` arrays whose elements have ids (keyed_list.h) are
 * looked through as well: each element that is gone, or lost something, is there with its id.
 * Canonical; lives in the arena. SYNC_ERR_NO_MEMORY, SYNC_ERR_CORRUPT. */
enum sync_status document_removals(struct slice document, struct slice after, bool in_lists,
                                   struct arena *arena, struct slice *ret_removals);

#endif
