/* One user's data in memory, as a store keeps them: for tests of the core. Checks on every commit
 * what any store may rely on, and ends the process where it does not hold. */
#ifndef TESTS_SERVICE_CORE_MEMORY_USER_H
#define TESTS_SERVICE_CORE_MEMORY_USER_H

#include "base/arena.h"
#include "service/core/change_batch.h"

enum { MEMORY_RECORDS_MAX = 2048, MEMORY_LOG_MAX = 16384, MEMORY_ROWS_MAX = 2048 };

/* In the caller's memory (large: static, or on the heap). */
struct memory_user {
    struct arena arena; /* of what is stored */
    struct user_head head;
    struct record records[MEMORY_RECORDS_MAX];
    size_t record_count;
    struct log_entry log[MEMORY_LOG_MAX];
    size_t log_count;
    struct settled settled[MEMORY_LOG_MAX];
    size_t settled_count;
    struct row rows[MEMORY_ROWS_MAX];
    size_t row_count;
};

/* Prepares an empty user; call memory_user_done after. */
void memory_user_init(struct memory_user *user);

/* Gives everything back. */
void memory_user_done(struct memory_user *user);

/* Loads what was asked for into the arena. */
void memory_user_load(const struct memory_user *user, const struct touched *want,
                      struct arena *arena, struct user_view *ret_view);

/* Commits, as a store does, after checking the set. */
void memory_user_commit(struct memory_user *user, const struct write_set *set);

/* The record, or NULL. */
struct record *memory_user_find(struct memory_user *user, enum data_type type, const char *id);

/* The row, or NULL. */
struct row *memory_user_row(struct memory_user *user, enum table table, struct slice key);

/* Trims the log up to a sequence. */
void memory_user_trim(struct memory_user *user, uint64_t floor);

#endif
