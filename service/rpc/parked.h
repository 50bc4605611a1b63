/* Parked: changes that were accepted and could not be applied, by a fault of the service: each is a
 * job (change_job.h), and in TABLE_PARKED an entry of its user's list, by which it answers when it
 * is sent again, and holds back later changes of its device to the same record.
 *
 * Values are protobuf wire bytes. Everything made or read lives in the arena, or borrows from the
 * value. */
#ifndef SERVICE_RPC_PARKED_H
#define SERVICE_RPC_PARKED_H

#include "base/arena.h"
#include "service/core/change_batch.h"

/* One entry. */
struct parked {
    struct slice device, change_id; /* device empty: a service */
    struct record_key key;
    uint8_t payload_hash[PAYLOAD_HASH_SIZE];
    struct slice job_id;
};

/* A user's, in the order in which they came; at most USER_PARKED_MAX. */
struct parked_list {
    struct parked *items;
    size_t count;
};

/* Reads the list of a row; one that was not found is empty. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY.
 */
enum sync_status parked_list_read(const struct row *row, struct arena *arena,
                                  struct parked_list *ret_list);

/* Makes the row of a user's list; of an empty one, its removal. False without memory. */
bool parked_list_write(const struct parked_list *list, struct slice user, struct arena *arena,
                       struct row_write *ret_row);

/* Copies the list without the entry of a job, and with room for `more`. False without memory. */
bool parked_list_copy(const struct parked_list *list, struct slice without_job, size_t more,
                      struct arena *arena, struct parked_list *ret_list);

/* The entry of a device's change, or of a device's first change of a record; NULL: none. */
const struct parked *parked_find_change(const struct parked_list *list, struct slice device,
                                        struct slice change_id);
const struct parked *parked_find_record(const struct parked_list *list, struct slice device,
                                        const struct record_key *key);

/* A change as its job keeps it. */
struct parked_change {
    struct slice device; /* empty: a service */
    uint64_t acknowledged;
    int64_t clock_offset_us, received_us;
    struct change change;
};

/* Packs it; false without memory. */
bool parked_change_pack(const struct parked_change *parked, struct arena *arena,
                        struct slice *ret_value);

/* Reads it. SYNC_ERR_CORRUPT when it does not parse. */
enum sync_status parked_change_unpack(struct slice value, struct parked_change *ret_parked);

#endif
