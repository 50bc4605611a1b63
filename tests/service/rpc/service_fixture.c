// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "tests/service/rpc/service_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/store/rocks_store.h"
#include "tests/service/core/json_document.h"

enum { ARENA_MAX = 256 << 20, THREADS = 4, TASKS_MAX = 256 };

static uint64_t fixture_now(void *context) {
    return ((struct service_fixture *)context)->now_us;
}

int service_fixture_setup(void **state) {
    struct service_fixture *fixture = calloc(1, sizeof *fixture);
    const char *folder = getenv("TEST_TMPDIR");
    assert_non_null(fixture);
    snprintf(fixture->path, sizeof fixture->path, "%s/service.XXXXXX", folder ? folder : "/tmp");
    assert_non_null(mkdtemp(fixture->path));
    fixture->now_us = 1700000000000000;
    fixture->clock =
        (struct clock){.now_us = fixture_now, .monotonic_us = fixture_now, .context = fixture};
    arena_init(&fixture->arena, ARENA_MAX);
    struct service *service = &fixture->service;
    *service = (struct service){
        .clock = &fixture->clock,
        .random = random_system(),
        .policies = policy_set_default(),
        .retention = {.bundle_us = 1000000000, .operation_us = 2000000000, .log_us = 3000000000},
        .operations_max = 50,
    };
    struct rocks_store_options options = {.path = fixture->path, .random = random_system()};
    assert_int_equal(rocks_store_open(&options, NULL, &service->store), SYNC_OK);
    assert_int_equal(timers_open(&fixture->clock, &service->timers), SYNC_OK);
    assert_int_equal(work_pool_open("test", THREADS, TASKS_MAX, &service->pool), SYNC_OK);
    assert_int_equal(user_lanes_open(service->pool, &service->lanes), SYNC_OK);
    *state = fixture;
    return 0;
}

int service_fixture_teardown(void **state) {
    struct service_fixture *fixture = *state;
    struct service *service = &fixture->service;
    work_pool_close(service->pool);
    timers_close(service->timers);
    user_lanes_close(service->lanes);
    store_close(service->store);
    arena_done(&fixture->arena);
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture->path);
    int left = system(command);
    free(fixture);
    return left;
}

void service_fixture_change(struct service_fixture *fixture, const char *user,
                            enum change_kind kind, const char *data_id, const char *json) {
    struct arena *arena = &fixture->arena;
    struct change change = {
        .id = slice_text(arena_format(arena, "c%u", fixture->changes++)),
        .kind = kind,
        .type = DATA_TYPE_BOOKING,
        .data_id = slice_text(data_id),
        .data = json ? json_document(json, arena) : SLICE_EMPTY,
        .device_us = 1600000000000000, /* long ago: the device was offline */
    };
    change_payload_hash(&change, change.payload_hash);
    struct change_batch batch = {
        .user = slice_text(user), .device = SLICE("device"), .changes = &change, .count = 1};
    struct batch_context context = {.now_us = (int64_t)fixture->now_us,
                                    .random = fixture->service.random,
                                    .policies = fixture->service.policies,
                                    .strategy = STRATEGY_CLIENT};
    struct touched want = {0};
    struct user_view view;
    struct write_set set = {0};
    struct change_result *results;
    assert_int_equal(change_batch_touch(&batch, arena, &want), SYNC_OK);
    want.user = batch.user;
    assert_int_equal(store_load(fixture->service.store, NULL, &want, arena, &view), SYNC_OK);
    assert_int_equal(change_batch_apply(&view, &batch, &context, arena, &set, &results), SYNC_OK);
    assert_true(results[0].outcome == OUTCOME_APPLIED || results[0].outcome == OUTCOME_MERGED);
    assert_int_equal(store_commit_wait(fixture->service.store, &set, NULL), SYNC_OK);
}

struct user_head service_fixture_head(struct service_fixture *fixture, const char *user) {
    struct touched want = {.user = slice_text(user)};
    struct user_view view;
    assert_int_equal(store_load(fixture->service.store, NULL, &want, &fixture->arena, &view),
                     SYNC_OK);
    return view.head;
}

static bool count_visit(void *context, const struct scan_item *item) {
    (void)item;
    ++*(size_t *)context;
    return true;
}

size_t service_fixture_count(struct service_fixture *fixture, enum table table,
                             struct slice prefix) {
    struct scan scan = {.kind = SCAN_ROWS, .table = table, .prefix = prefix};
    size_t count = 0;
    assert_int_equal(store_scan(fixture->service.store, NULL, &scan, count_visit, &count), SYNC_OK);
    return count;
}
