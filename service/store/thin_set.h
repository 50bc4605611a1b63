/* Thin set: which 32-bit tags were added, in 2.7 (full) to 4 bytes each. It never says no of one in
 * it, and yes of another in about one of 10,000 cases. Tags cannot be taken out. */
#ifndef SERVICE_STORE_THIN_SET_H
#define SERVICE_STORE_THIN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct thin_set;

/* Opens an empty set that takes half as many again as `count` tags. NULL without memory. */
struct thin_set *thin_set_open(size_t count);

/* Closes; NULL is allowed. Returns NULL. */
struct thin_set *thin_set_close(struct thin_set *set);

/* Adds a tag; one that seems to be there changes nothing. False when the set is full. */
bool thin_set_add(struct thin_set *set, uint32_t tag);

/* Whether the tag may be in the set. */
bool thin_set_has(const struct thin_set *set, uint32_t tag);

/* The bytes it takes; 0 for NULL. */
size_t thin_set_bytes(const struct thin_set *set);

#endif
