/* Field path: how a fault names the field it is in, such as "changes[3].data.price". Pure. */
#ifndef BASE_FIELD_PATH_H
#define BASE_FIELD_PATH_H

#include "base/bytes.h"

/* Whether `inner` is the path `outer` or lies in it. */
bool field_path_holds(struct slice outer, struct slice inner);

/* Orders paths: what lies in a field comes right behind it, elements of a list by their numbers,
 * fields by the bytes of their names. Negative, 0 or positive. */
int field_path_compare(struct slice a, struct slice b);

#endif
