/* Fault store: a store over another one that fails on demand, for tests of what a client then sees.
 *
 * While the file at the path given holds "load", loads, scans and readers fail with SYNC_ERR_IO;
 * "snapshot": readers alone do; "commit": commits and trims do; "all": all of them, and the health
 * is SYNC_ERR_IO. "record ID": loads that want a record with this id fail with SYNC_ERR_IO, and
 * with "damage ID" with SYNC_ERR_CORRUPT. Without the file, or with other content, every call goes
 * through. */
#ifndef SERVICE_STORE_FAULT_STORE_H
#define SERVICE_STORE_FAULT_STORE_H

#include "service/store/store.h"

/* Opens over `inner`, which it closes when it is closed. `path` is copied. SYNC_ERR_NO_MEMORY. */
enum sync_status fault_store_open(struct store *inner, const char *path, struct store **ret_store);

#endif
