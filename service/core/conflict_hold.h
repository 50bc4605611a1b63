/* Conflict hold: which open conflicts hold back a device's further changes of a record, and those
 * changes. What comes behind a change that waits for the user waits too, in whatever batch it is
 * sent: it is kept, and applied when the last of the conflicts is decided. Pure. */
#ifndef SERVICE_CORE_CONFLICT_HOLD_H
#define SERVICE_CORE_CONFLICT_HOLD_H

#include "service/core/conflict.h"

/* A change that waits. Its base version is what it is based on by the device's word or by what the
 * device had acknowledged then; 0: nothing. */
struct held_change {
    struct change change;
    int64_t corrected_us;     /* when it was made, as it was judged when it came */
    struct slice conflict_id; /* that it came behind */
};

/* The change that a conflict is of. */
struct hold_cause {
    struct slice change_id;                  /* empty: unknown, of a row from before it was kept */
    uint8_t payload_hash[PAYLOAD_HASH_SIZE]; /* zero: unknown */
};

/* What is held of a device and a record. Lives in the arena that it was opened with. */
struct conflict_hold {
    struct slice key;          /* of the row; empty: a service's, which holds nothing */
    struct slice *ids;         /* the open conflicts, oldest first */
    struct hold_cause *causes; /* parallel */
    size_t id_count;
    struct held_change *changes; /* in the order they were made */
    size_t change_count;
    size_t bytes;     /* of the changes, as the head counts them */
    size_t row_bytes; /* the same of those in the row */
    bool is_full;     /* one was refused: so are those after it, until the conflicts are decided */
    bool is_dirty;    /* differs from the row */
};

/* The key in TABLE_CONFLICT_HOLD of a device and a record; the device is not empty. Memory from the
 * arena. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_key(struct slice user, struct slice device,
                                   const struct record_key *key, struct arena *arena,
                                   struct slice *ret_key);

/* Reads a row; NULL is a service's. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_open(const struct row *row, const struct record_key *key,
                                    struct arena *arena, struct conflict_hold *ret_hold);

/* The conflict that has held for longest, and that of the latest change; empty when nothing holds.
 */
struct slice conflict_hold_first(const struct conflict_hold *hold);
struct slice conflict_hold_latest(const struct conflict_hold *hold);

/* Makes the conflict of a change, which has just been opened, hold; or lets go of what it held. Of
 * a service's nothing is done. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_begin(struct conflict_hold *hold, struct slice conflict_id,
                                     const struct hold_cause *cause, struct arena *arena);
void conflict_hold_end(struct conflict_hold *hold, struct slice conflict_id);

/* The open conflict of the change of this id, however long ago that was settled, and what is known
 * of the change; empty: there is none. */
struct slice conflict_hold_of(const struct conflict_hold *hold, struct slice change_id,
                              const struct hold_cause **ret_cause);

/* The change of this id that is held, or NULL. */
const struct held_change *conflict_hold_find(const struct conflict_hold *hold, struct slice id);

/* Holds a change behind the latest of the conflicts, of which there is one. SYNC_ERR_EXHAUSTED when
 * it, or one before it, has no room within HELD_CHANGES_MAX and HELD_BYTES_MAX, or within
 * USER_HELD_BYTES_MAX of what the head counts; SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_add(struct conflict_hold *hold, const struct user_head *head,
                                   const struct change *change, int64_t corrected_us,
                                   struct arena *arena);

/* Lets go of the first `count` changes; those that stay wait behind what holds now. */
void conflict_hold_release(struct conflict_hold *hold, size_t count);

/* Adds the row and what it weighs to the head, if it has changed. SYNC_ERR_NO_MEMORY. */
struct write_build;
enum sync_status conflict_hold_write(struct write_build *build, struct conflict_hold *hold);

#endif
