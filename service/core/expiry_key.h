/* Expiry key: the key in TABLE_EXPIRY of what is due at a time. Rows lie in the order of their
 * times. Pure. */
#ifndef SERVICE_CORE_EXPIRY_KEY_H
#define SERVICE_CORE_EXPIRY_KEY_H

#include "base/arena.h"
#include "service/core/model.h"

/* Names the row of a table that is due then; a time before 1970 counts as that. Memory from the
 * arena; false when there is none. */
bool expiry_key_make(struct arena *arena, int64_t time_us, enum table table, struct slice key,
                     struct slice *ret_key);

/* Reads it back; `ret_key` borrows. False when it is none. */
bool expiry_key_parse(struct slice expiry_key, int64_t *ret_time_us, enum table *ret_table,
                      struct slice *ret_key);

#endif
