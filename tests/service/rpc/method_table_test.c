#include "service/rpc/method_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"

static const struct rpc_policy policy = {.is_public = true};
static const struct rpc_method methods[] = {
    {"/a.B/One", RPC_UNARY, NULL, &policy},
    {"/a.B/Two", RPC_SERVER_STREAM, NULL, &policy},
    {"/a.C/One", RPC_BIDIRECTIONAL, NULL, &policy},
};

static void each_path_has_its_method_and_others_none(void **state) {
    (void)state;
    struct method_table *table = method_table_open(methods, 3, NULL);
    assert_non_null(table);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(method_entry_method(method_table_find(table, slice_text(methods[i].path))),
                         &methods[i]);
    static const char *const unknown[] = {"", "/", "/a.B/", "/a.B/one", "/a.B/Onee", "a.B/One"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(method_entry_method(method_table_find(table, slice_text(unknown[i]))));
    method_table_close(table);
}

static void thousand_methods_are_all_found(void **state) {
    (void)state;
    static char paths[1000][32];
    static struct rpc_method many[1000];
    for (size_t i = 0; i < 1000; i++) {
        snprintf(paths[i], sizeof paths[i], "/service.%zu/Method", i);
        many[i] = (struct rpc_method){paths[i], RPC_UNARY, NULL, &policy};
    }
    struct method_table *table = method_table_open(many, 1000, NULL);
    for (size_t i = 0; i < 1000; i++)
        assert_ptr_equal(method_entry_method(method_table_find(table, slice_text(paths[i]))),
                         &many[i]);
    method_table_close(table);
}

static void counting_without_a_registry_does_nothing(void **state) {
    (void)state;
    struct method_table *table = method_table_open(methods, 3, NULL);
    struct method_entry *entry = method_table_find(table, SLICE("/a.B/One"));
    method_entry_started(entry);
    method_entry_handled(entry, RPC_OK, 0.1);
    method_table_close(table);
}

static void every_failed_allocation_ends_without_a_table(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 10; n++) {
        memory_fail_after(n);
        struct method_table *table = method_table_open(methods, 3, NULL);
        assert_true(!table || memory_count() < n);
        memory_fail_after(0);
        method_table_close(table);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_path_has_its_method_and_others_none),
        cmocka_unit_test(thousand_methods_are_all_found),
        cmocka_unit_test(counting_without_a_registry_does_nothing),
        cmocka_unit_test(every_failed_allocation_ends_without_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
