/* Write build: gathers what a commit writes while records change one after the other, and keeps the
 * head right. Internal to core; everything lives in the arena, but the scratch buffer. Pure. */
#ifndef SERVICE_CORE_WRITE_BUILD_H
#define SERVICE_CORE_WRITE_BUILD_H

#include "base/arena.h"
#include "service/core/model.h"

/* In the caller's memory. */
struct write_build {
    struct arena *arena;
    struct slice user;
    uint64_t expected_revision;
    struct user_head head;
    struct log_entry *log;
    size_t log_count, log_max;
    struct settled *settled;
    size_t settled_count;
    struct row_write *rows;
    size_t row_count, row_capacity;
    struct buffer scratch; /* for JSON, where checksums are taken */
};

/* A record that changes: as it is now, with what the change log keeps of the change. */
struct record_change {
    enum change_kind kind;
    bool deleted;          /* the record after it is a tombstone */
    bool as_sent;          /* on what the device had: it has it just so */
    struct slice document; /* the record after it, unless deleted */
    struct slice device, change_id;
    int64_t device_us, corrected_us;
    int64_t now_us;
};

/* A record on the way. */
struct record_state {
    struct record record; /* its key is set, also when nothing was found */
    bool found;           /* there is one, or a tombstone */
    bool dirty;           /* it must be written */
};

/* Starts from a user's head; at most `change_max` changes will be written. SYNC_ERR_NO_MEMORY. Call
 * write_build_done in every case. */
enum sync_status write_build_init(struct write_build *build, struct slice user,
                                  const struct user_head *head, size_t change_max,
                                  struct arena *arena);

/* Gives the scratch buffer back. */
void write_build_done(struct write_build *build);

/* Changes a record: takes the next sequence, logs, moves the head's sums. On failure the build is
 * spent. */
enum sync_status write_build_change(struct write_build *build, struct record_state *state,
                                    const struct record_change *change);

/* Adds a row. */
enum sync_status write_build_row(struct write_build *build, struct row_write row);

/* The write set. `states`: all records that may have changed, each once. */
enum sync_status write_build_finish(struct write_build *build, const struct record_state *states,
                                    size_t state_count, size_t state_size,
                                    struct write_set *ret_set);

/* Tells whether a record lives: it is found, and no tombstone. */
static inline bool record_state_lives(const struct record_state *state) {
    return state->found && !state->record.deleted;
}

#endif
