/* Store rocks: how the tests of the embedded store open one and fill it. */
#ifndef TESTS_SERVICE_STORE_STORE_ROCKS_H
#define TESTS_SERVICE_STORE_STORE_ROCKS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/store/rocks_store.h"
#include "tests/service/store/store_fixture.h"

/* A new folder's path under the test's own, not made yet. Static memory of the newest four. */
static inline const char *fresh_path(void) {
    static char paths[4][512];
    static unsigned made;
    const char *top = getenv("TEST_TMPDIR") ? getenv("TEST_TMPDIR") : ".";
    char *path = paths[made % 4];
    snprintf(path, sizeof paths[0], "%s/rocks_%d_%u", top, (int)getpid(), made++);
    return path;
}

static inline struct store *open_at(const char *path) {
    struct store *store = NULL;
    struct sync_error error = {0};
    struct rocks_store_options options = {
        .path = path, .random = random_system(), .change_index_bytes = 64 << 10};
    if (rocks_store_open(&options, &error, &store) != SYNC_OK)
        fail_msg("%s", error.message);
    return store;
}

static inline struct fixture_wish wish_of(struct slice user, struct user_head head, size_t count) {
    return (struct fixture_wish){.user = user,
                                 .head = head,
                                 .type = DATA_TYPE_TRIP,
                                 .prefix = "t",
                                 .first = head.sequence,
                                 .count = count,
                                 .data = SLICE("some data that is stored"),
                                 .time_us = 1000};
}

static inline bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    ++*(size_t *)context;
    return true;
}

#endif
