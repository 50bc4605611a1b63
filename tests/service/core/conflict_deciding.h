/* Deciding a conflict of a user in memory: what its tests share. */
#ifndef TESTS_SERVICE_CORE_CONFLICT_DECIDING_H
#define TESTS_SERVICE_CORE_CONFLICT_DECIDING_H

#include "service/core/conflict.h"
#include "tests/service/core/memory_user.h"
#include "tests/service/core/test_arena.h"

/* Loads what deciding the conflict needs, as the service does: what it holds back first. */
static inline void deciding_load(const struct memory_user *of, const struct conflict *conflict,
                                 struct user_view *view) {
    struct row row;
    struct touched want = {.rows = &row, .row_count = 1};
    struct user_view first;
    bool holds;
    assert_int_equal(conflict_hold_row(conflict, &arena, &holds, &row), SYNC_OK);
    if (holds) {
        memory_user_load(of, &want, &arena, &first);
        row = first.rows[0];
    }
    assert_int_equal(conflict_touch(conflict, holds ? &row : NULL, &arena, &want), SYNC_OK);
    memory_user_load(of, &want, &arena, view);
}

/* At a time, by the built-in policies; what is left open waits. */
static inline struct batch_context deciding_at(int64_t now_us) {
    return (struct batch_context){
        .now_us = now_us, .policies = policy_set_default(), .strategy = STRATEGY_MANUAL};
}

/* Resolves a conflict at a time, or is shown it as it waits on, and commits. */
static inline struct conflict deciding_resolve(struct memory_user *of,
                                               const struct conflict *conflict,
                                               struct resolution_request request, int64_t now_us) {
    struct batch_context context = deciding_at(now_us);
    struct conflict after;
    struct user_view view;
    struct sync_error error;
    struct write_set set;
    struct record record;
    deciding_load(of, conflict, &view);
    assert_int_equal(conflict_resolve(&view, conflict, &request, &context, &arena, &error, &set,
                                      &after, &record),
                     SYNC_OK);
    memory_user_commit(of, &set);
    return after;
}

#endif
