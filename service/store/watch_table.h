/* Watch table: who wants to hear of which user's commits; for stores, which tell it of theirs.
 *
 * A hash table whose shards have a lock each, so that a commit costs one look-up however many other
 * users are watched. Thread-safe. */
#ifndef SERVICE_STORE_WATCH_TABLE_H
#define SERVICE_STORE_WATCH_TABLE_H

#include "service/store/store.h"

struct watch_table;

/* Opens an empty table; `seed` keeps users from choosing names that collide. NULL without memory.
 */
struct watch_table *watch_table_open(uint64_t seed);

/* Closes; nobody watches any more. NULL is allowed; returns NULL. */
struct watch_table *watch_table_close(struct watch_table *table);

/* As store_watch_add and store_watch_remove. */
void watch_table_add(struct watch_table *table, struct store_watch *watch);
void watch_table_remove(struct watch_table *table, struct store_watch *watch);

/* Calls every watcher of the user, on this thread. */
void watch_table_tell(struct watch_table *table, struct slice user,
                      const struct store_event *event);

#endif
