/* Patch pointers: JSON Pointers (RFC 6901) in which an element of an array is named by its id.
 * Internal to core. Pure. */
#ifndef SERVICE_CORE_PATCH_POINTER_H
#define SERVICE_CORE_PATCH_POINTER_H

#include "service/core/record_path.h"

/* Formats a path, without an array's order at its end, in the arena; NULL data when there is no
 * memory. */
struct slice patch_pointer_format(struct record_path path, struct arena *arena);

/* Takes a pointer apart into unescaped segments in the arena. SYNC_ERR_INVALID when it is none, or
 * leads to the whole document, or has more than DELTA_PATH_MAX segments; SYNC_ERR_NO_MEMORY. */
enum sync_status patch_pointer_parse(struct slice pointer, struct arena *arena,
                                     struct record_path *ret_path);

/* The key (keyed_list.h) that a segment means in an array whose ids have this tag of
 * google.protobuf.Value. It lives in the arena; empty when it can be none, or there is no memory.
 */
struct slice patch_pointer_key(struct slice segment, uint8_t id_tag, struct arena *arena);

#endif
