/* Small makers of records, changes and write sets, for tests of stores. */
#ifndef TESTS_SERVICE_STORE_STORE_FIXTURE_H
#define TESTS_SERVICE_STORE_STORE_FIXTURE_H

#include "service/store/store.h"

enum { FIXTURE_ID_MAX = 32, FIXTURE_CHANGES_MAX = 1000 };

/* A commit of `count` changes of one user, one record each, as the core would make it. Everything
 * it needs lies inside or in the arena. */
struct fixture_commit {
    struct write_set set;
    struct record records[FIXTURE_CHANGES_MAX];
    struct log_entry log[FIXTURE_CHANGES_MAX];
    struct settled settled[FIXTURE_CHANGES_MAX];
};

/* What to make: records `prefix`<first> … of the type, each at the sequence that follows the
 * head's. The change ids are `change`<sequence>. */
struct fixture_wish {
    struct slice user;
    struct user_head head; /* as loaded */
    enum data_type type;
    const char *prefix;
    size_t first, count;
    struct slice data;         /* of every record */
    uint64_t previous_version; /* of every record */
    int64_t time_us;           /* of the first; the next are 1 later */
    bool deleted;
    bool as_sent;
};

/* Fills `commit`; NULL arena memory fails the test. */
void fixture_make(struct fixture_commit *commit, struct arena *arena,
                  const struct fixture_wish *wish);

/* The id of record `number`, and the change id of a sequence, in the arena. */
struct slice fixture_id(struct arena *arena, const char *prefix, uint64_t number);

/* The user's head; fails the test when it cannot be read. */
struct user_head fixture_head(struct store *store, struct slice user);

/* Makes and commits; fails the test when it is refused. The new head. */
struct user_head fixture_commit_of(struct store *store, const struct fixture_wish *wish);

#endif
