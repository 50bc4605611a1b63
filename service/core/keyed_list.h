/* Keyed list: a document's array and where to find its elements by what names each: their ids, or
 * their whole values. Internal to core; lives in the arena. Pure. */
#ifndef SERVICE_CORE_KEYED_LIST_H
#define SERVICE_CORE_KEYED_LIST_H

#include "service/core/document_read.h"
#include "service/core/slice_index.h"

/* Values and keys are in the array's order; keys borrow. */
struct keyed_list {
    struct value *values;
    struct slice *keys; /* bytes of a google.protobuf.Value: the element's member "id", or itself */
    size_t count;
    struct slice_index index;
    bool is_keyed; /* each value has a key of its own; by ids, else the rest may be unread */
};

/* Reads a list, keyed by ids (texts or numbers) or by the whole values. NULL and what is no list
 * count as empty. SYNC_ERR_NO_MEMORY, SYNC_ERR_CORRUPT. */
enum sync_status keyed_list_read(struct arena *arena, const struct value *value, bool by_id,
                                 struct keyed_list *ret_list);

/* The value of a key, or NULL. */
const struct value *keyed_list_find(const struct keyed_list *list, struct slice key);

/* The key of an element by its id, a text or a number; false when it has none. */
bool keyed_list_id(const struct value *element, struct slice *ret_key);

#endif
