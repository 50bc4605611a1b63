/* Bundle position: where the next page of a bundle goes on, as the payload of a page token. Pure.
 */
#ifndef SERVICE_RPC_BUNDLE_POSITION_H
#define SERVICE_RPC_BUNDLE_POSITION_H

#include "base/arena.h"
#include "service/core/model.h"
#include "service/core/pull.h"

/* What all pages share, as the first one found it, and the last record of the page before. */
struct bundle_position {
    struct slice bundle_id;
    uint64_t sequence; /* of the cursor */
    struct checksum checksum;
    bool has_from;
    uint64_t from;
    int64_t rank_us; /* the time that the order is as of */
    int64_t expires_us, next_since_us;
    uint64_t rank; /* of the last record */
    enum data_type type;
    struct slice id;
};

/* Packs into the arena; false when there is no room. */
bool bundle_position_pack(const struct bundle_position *position, struct arena *arena,
                          struct slice *ret_bytes);

/* Reads; slices borrow from the bytes. SYNC_ERR_INVALID when they do not parse. */
enum sync_status bundle_position_unpack(struct slice bytes, struct bundle_position *ret_position);

/* The first of the ordered items that comes behind the position. */
size_t bundle_position_find(const struct bundle_position *position, const struct pulled *items,
                            size_t count);

#endif
