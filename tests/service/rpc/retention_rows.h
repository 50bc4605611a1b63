/* Retention rows: what tests of retention store, to be removed. */
#ifndef TESTS_SERVICE_RPC_RETENTION_ROWS_H
#define TESTS_SERVICE_RPC_RETENTION_ROWS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "service/core/conflict.h"
#include "tests/service/rpc/service_fixture.h"

static const struct slice ANNA = {(const uint8_t *)"anna", 4};

/* A new id, of the fixture's time; lives in its arena. */
static inline char *make_id(struct service_fixture *fixture) {
    char *id = arena_alloc(&fixture->arena, UUID_TEXT_SIZE + 1);
    assert_non_null(id);
    uuid_v7(fixture->now_us, fixture->service.random, id);
    return id;
}

static inline void commit_rows(struct service_fixture *fixture, struct row_write *rows,
                               size_t count) {
    struct write_set set = {.rows = rows, .row_count = count};
    assert_int_equal(store_commit_wait(fixture->service.store, &set, NULL), SYNC_OK);
}

/* Stores a conflict of anna's, detected now; resolved at `resolved_us`, or open when that is 0. */
static inline struct slice put_conflict(struct service_fixture *fixture, int64_t resolved_us) {
    struct arena *arena = &fixture->arena;
    struct conflict conflict = {.id = slice_text(make_id(fixture)),
                                .user = ANNA,
                                .key = {DATA_TYPE_BOOKING, SLICE("b1")},
                                .type = CONFLICT_UPDATE_UPDATE,
                                .detected_us = (int64_t)fixture->now_us,
                                .resolved_us = resolved_us};
    struct row_write rows[] = {{.table = TABLE_CONFLICT, .key = conflict.id},
                               {.table = TABLE_CONFLICT_BY_USER}};
    assert_int_equal(conflict_pack(&conflict, arena, &rows[0].value), SYNC_OK);
    assert_int_equal(conflict_index_key(ANNA, resolved_us != 0, conflict.id, arena, &rows[1].key),
                     SYNC_OK);
    commit_rows(fixture, rows, 2);
    return conflict.id;
}

#endif
