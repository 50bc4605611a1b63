/* Mark: how far the database has been promised to callers, kept beside it. RocksDB ends the reading
 * of a damaged write-ahead log quietly where it no longer makes sense; a database that then lies
 * behind its mark has lost commits that were acknowledged. */
#ifndef SERVICE_STORE_ROCKS_MARK_H
#define SERVICE_STORE_ROCKS_MARK_H

#include "base/status.h"

struct rocks_mark;

/* Opens the file MARK in the store's folder, or makes it with `sequence`, the database's own;
 * `ret_is_new` tells which. SYNC_ERR_CORRUPT when the database lies behind it, or it is damaged;
 * `error` is one line for the operator. */
enum sync_status rocks_mark_open(const char *folder, uint64_t sequence, struct sync_error *error,
                                 struct rocks_mark **ret_mark, bool *ret_is_new);

/* Closes; returns NULL. NULL is allowed. */
struct rocks_mark *rocks_mark_close(struct rocks_mark *mark);

/* Moves the mark to a sequence that is durable. It outlives the process at once; when the machine
 * fails it may fall back, and never lies ahead. One thread at a time. */
void rocks_mark_set(struct rocks_mark *mark, uint64_t sequence);

#endif
