/* Method table: from a path to its method, its labels and its metrics. Made at start, then only
 * read; look-ups and counting are thread-safe. */
#ifndef SERVICE_RPC_METHOD_TABLE_H
#define SERVICE_RPC_METHOD_TABLE_H

#include "base/metrics.h"
#include "service/rpc/call.h"
#include "service/rpc/status_map.h"

struct method_table;
struct method_entry;

/* Opens a table over `methods`, which outlive it; `metrics` may be NULL. NULL without memory. */
struct method_table *method_table_open(const struct rpc_method *methods, size_t count,
                                       struct metrics *metrics);

/* Closes; returns NULL. */
struct method_table *method_table_close(struct method_table *table);

/* The entry of a path, or the one that stands for all unknown paths, whose method is NULL. */
struct method_entry *method_table_find(struct method_table *table, struct slice path);

/* The method; NULL for the unknown. */
const struct rpc_method *method_entry_method(const struct method_entry *entry);

/* Counts a call as begun. */
void method_entry_started(struct method_entry *entry);

/* Counts a call as ended with `code` after `seconds`. */
void method_entry_handled(struct method_entry *entry, enum rpc_code code, double seconds);

#endif
