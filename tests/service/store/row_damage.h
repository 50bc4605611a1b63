/* Row damage: spoils a row of an embedded store that is closed, as a fault of the memory would: the
 * database is whole, and the row fails its checksum. */
#ifndef TESTS_SERVICE_STORE_ROW_DAMAGE_H
#define TESTS_SERVICE_STORE_ROW_DAMAGE_H

#include "service/core/model.h"

/* Flips a bit of the row's value; fails the test when there is no such row. `path` is the store's.
 */
void row_damage(const char *path, enum table table, struct slice key);

#endif
