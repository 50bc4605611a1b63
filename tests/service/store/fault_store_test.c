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

#include "service/store/fault_store.h"
#include "service/store/rocks_store.h"
#include "tests/service/store/store_contract.h"

static char path[512], order[560];

static enum sync_status open_fault(void *context, struct store **ret_store) {
    static unsigned made;
    const char *top = getenv("TEST_TMPDIR") ? getenv("TEST_TMPDIR") : ".";
    struct store *inner;
    struct sync_error error;
    (void)context;
    snprintf(path, sizeof path, "%s/fault_%d_%u", top, (int)getpid(), made++);
    snprintf(order, sizeof order, "%s.order", path);
    struct rocks_store_options options = {.path = path, .random = random_system()};
    if (rocks_store_open(&options, &error, &inner) != SYNC_OK)
        fail_msg("%s", error.message);
    return fault_store_open(inner, order, ret_store);
}

static void give_order(const char *text) {
    FILE *file = fopen(order, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static bool visit_nothing(void *context, const struct scan_item *item) {
    (void)context;
    (void)item;
    return true;
}

/* Which calls fail now: opening a reader, load and scan, commit and trim, health. */
static void assert_faults(struct store *store, bool reader, bool load, bool commit, bool health) {
    struct row_write row = {.table = TABLE_CONFIG, .key = SLICE("k"), .value = SLICE("v")};
    struct write_set set = {.rows = &row, .row_count = 1};
    struct arena arena;
    struct user_view view;
    struct scan scan = {.kind = SCAN_ROWS, .table = TABLE_CONFIG};
    struct store_reader *opened = NULL;
    enum sync_status loads = load ? SYNC_ERR_IO : SYNC_OK;
    enum sync_status commits = commit ? SYNC_ERR_IO : SYNC_OK;
    arena_init(&arena, 1 << 20);
    assert_int_equal(store_reader_open(store, &opened), reader ? SYNC_ERR_IO : SYNC_OK);
    store_reader_close(store, opened);
    assert_int_equal(store_load(store, NULL, &(struct touched){.user = SLICE("u")}, &arena, &view),
                     loads);
    assert_int_equal(store_scan(store, NULL, &scan, visit_nothing, NULL), loads);
    assert_int_equal(store_commit_wait(store, &set, NULL), commits);
    assert_int_equal(store_trim(store, &(struct store_trim){.user = SLICE("u")}), commits);
    assert_int_equal(store_health(store), health ? SYNC_ERR_IO : SYNC_OK);
    arena_done(&arena);
}

static void calls_fail_while_the_file_orders_it(void **state) {
    (void)state;
    struct store *store;
    assert_int_equal(open_fault(NULL, &store), SYNC_OK);
    assert_faults(store, false, false, false, false);
    give_order("load");
    assert_faults(store, true, true, false, false);
    give_order("snapshot");
    assert_faults(store, true, false, false, false);
    give_order("commit\n");
    assert_faults(store, false, false, true, false);
    give_order("all");
    assert_faults(store, true, true, true, true);
    give_order("");
    assert_faults(store, false, false, false, false);
    unlink(order);
    assert_faults(store, false, false, false, false);
    assert_null(store_close(store));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(calls_fail_while_the_file_orders_it)};
    const struct store_factory factory = {.open = open_fault};
    return cmocka_run_group_tests(tests, NULL, NULL) +
           store_contract_run("fault_store without orders keeps the contract", &factory);
}
