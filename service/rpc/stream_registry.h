/* Stream registry: the Sync streams that are open, by user and device, so that one of them can be
 * told what happened elsewhere. A device has one stream: a newer one supersedes the older.
 * Thread-safe. */
#ifndef SERVICE_RPC_STREAM_REGISTRY_H
#define SERVICE_RPC_STREAM_REGISTRY_H

#include "base/bytes.h"

struct stream_registry;

/* What a stream is told. */
enum stream_word {
    STREAM_SUPERSEDED, /* the device has opened another */
    STREAM_REVOKED,    /* the device may no longer synchronize */
};

/* A stream's place, in the caller's memory until it is removed. */
struct stream_entry {
    struct slice user, device; /* live until the removal; not empty */
    /* Called under the registry's lock: it does not block, adds and removes none, and takes no lock
     * that is held where the registry is called. */
    void (*told)(struct stream_entry *entry, enum stream_word word);
    /* ---- the registry's own */
    struct stream_entry *next, **link;
    uint64_t hash;
};

/* Opens an empty one; NULL without memory. */
struct stream_registry *stream_registry_open(void);

/* Closes an empty one; returns NULL. NULL is allowed. */
struct stream_registry *stream_registry_close(struct stream_registry *registry);

/* Adds a stream and tells the device's older ones that they are superseded. */
void stream_registry_add(struct stream_registry *registry, struct stream_entry *entry);

/* Removes it: after the return it is not being told and will not be. */
void stream_registry_remove(struct stream_registry *registry, struct stream_entry *entry);

/* Tells a device's stream that the device is revoked; returns how many were told. */
size_t stream_registry_revoke(struct stream_registry *registry, struct slice user,
                              struct slice device);

/* How many streams there are. */
size_t stream_registry_count(struct stream_registry *registry);

#endif
