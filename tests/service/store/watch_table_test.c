/* The table of watchers by itself; what stores promise of it is in store_contract_watch.c. */
#include "service/store/watch_table.h"

#include <stdio.h>

#include "tests/base/memory_walk.h"

enum { WATCHES = 3000 };

/* A watch that counts what it hears. */
struct listener {
    struct store_watch watch; /* first: found from it */
    unsigned heard;
};

static void listener_changed(struct store_watch *watch, const struct store_event *event) {
    (void)event;
    ((struct listener *)watch)->heard++;
}

static void without_memory_there_is_no_table(void **state) {
    (void)state;
    unsigned failures = 0;
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        memory_walk_begin(&walk);
        struct watch_table *table = watch_table_open(7);
        bool has_failed = memory_walk_end(&walk);
        failures += has_failed;
        assert_int_equal(table == NULL, has_failed);
        assert_null(watch_table_close(table));
    }
    assert_true(failures > 0);
}

/* Adding, telling and removing take none: a commit cannot fail over its watchers. */
static void watching_takes_no_memory(void **state) {
    (void)state;
    static struct listener listeners[WATCHES];
    static char names[WATCHES][16];
    const struct store_event event = {.tables = 1};
    struct watch_table *table = watch_table_open(7);
    assert_non_null(table);
    memory_fail_after(1);
    for (size_t i = 0; i < WATCHES; i++) {
        snprintf(names[i], sizeof names[i], "user%zu", i / 2); /* two of each */
        listeners[i].watch =
            (struct store_watch){.user = slice_text(names[i]), .changed = listener_changed};
        watch_table_add(table, &listeners[i].watch);
    }
    for (size_t i = 0; i < WATCHES; i += 4) /* every second one */
        watch_table_tell(table, slice_text(names[i]), &event);
    for (size_t i = 0; i < WATCHES; i++)
        watch_table_remove(table, &listeners[i].watch);
    watch_table_tell(table, slice_text(names[0]), &event);
    assert_int_equal(memory_count(), 0);
    memory_fail_after(0);
    for (size_t i = 0; i < WATCHES; i++)
        assert_int_equal(listeners[i].heard, i % 4 < 2);
    watch_table_close(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_there_is_no_table),
        cmocka_unit_test(watching_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
