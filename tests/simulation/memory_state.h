/* Memory state: all that a memory_store holds at one time. For the files of memory_ only.
 *
 * A state is shared by the store and its readers; who changes one that is shared takes a copy.
 * Bytes lie in the store's arena and are never changed. */
#ifndef TESTS_SIMULATION_MEMORY_STATE_H
#define TESTS_SIMULATION_MEMORY_STATE_H

#include "base/arena.h"
#include "service/store/store.h"

/* What is kept of an entry, or of a settled change, beside itself: when its commit was. */
struct memory_entry {
    struct log_entry entry;
    int64_t commit_us;
};
struct memory_settled {
    struct settled settled;
    int64_t commit_us;
};

/* One user's data. Records in the order of their keys; the log without gaps. */
struct memory_user_data {
    struct slice user;
    struct user_head head;
    struct record *records;
    size_t record_count, record_capacity;
    struct memory_entry *log;
    size_t log_count, log_capacity;
    struct memory_settled *settled;
    size_t settled_count, settled_capacity;
};

/* Users, and rows in the order of table and key. */
struct memory_state {
    size_t holders;
    struct memory_user_data *users;
    size_t user_count, user_capacity;
    struct row *rows;
    size_t row_count, row_capacity;
};

/* A copy with one holder, or NULL. */
struct memory_state *memory_state_copy(const struct memory_state *state);

/* One holder less; the last one frees it. NULL is allowed; returns NULL. */
struct memory_state *memory_state_release(struct memory_state *state);

/* The user's place, and whether he is there. */
size_t memory_user_place(const struct memory_state *state, struct slice user, bool *ret_found);

/* A record's place among a user's, and whether it is there. */
size_t memory_record_place(const struct memory_user_data *data, const struct record_key *key,
                           bool *ret_found);

/* A row's place, and whether it is there. */
size_t memory_row_place(const struct memory_state *state, enum table table, struct slice key,
                        bool *ret_found);

/* Writes a checked set; its bytes are copied into the arena. SYNC_ERR_NO_MEMORY leaves the state
 * half written: let go of it. */
enum sync_status memory_state_write(struct memory_state *state, const struct write_set *set,
                                    struct arena *arena);

/* Removes what retention no longer wants. */
void memory_state_trim(struct memory_user_data *data, const struct store_trim *what);

/* Reads, as store_load and store_scan do. */
enum sync_status memory_state_load(const struct memory_state *state, const struct touched *want,
                                   struct arena *arena, struct user_view *ret_view);
enum sync_status memory_state_scan(const struct memory_state *state, const struct scan *what,
                                   scan_visit *visit, void *context);
uint64_t memory_state_sequence_before(const struct memory_state *state, struct slice user,
                                      int64_t time_us);

#endif
