/* Names of open objects: told apart by object, let go in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gateway/json_names.h"

static void a_name_is_new_once_in_an_object(void **state) {
    struct json_names names = {.seed = 1};
    (void)state;
    size_t outer = json_names_object(&names), inner = json_names_object(&names);
    assert_int_equal(json_names_add(&names, outer, SLICE("a")), JSON_NAMES_NEW);
    assert_int_equal(json_names_add(&names, inner, SLICE("a")), JSON_NAMES_NEW);
    assert_int_equal(json_names_add(&names, inner, SLICE("a")), JSON_NAMES_TWICE);
    assert_int_equal(json_names_add(&names, outer, SLICE("a")), JSON_NAMES_TWICE);
    assert_int_equal(json_names_add(&names, outer, SLICE_EMPTY), JSON_NAMES_NEW);
    assert_int_equal(json_names_add(&names, outer, SLICE("")), JSON_NAMES_TWICE);
    json_names_done(&names);
}

static void names_let_go_are_new_again(void **state) {
    static char texts[5000][16];
    struct json_names names = {.seed = 7};
    (void)state;
    size_t object = json_names_object(&names);
    for (int i = 0; i < 5000; i++) {
        snprintf(texts[i], sizeof texts[i], "%d", i);
        assert_int_equal(json_names_add(&names, object, slice_text(texts[i])), JSON_NAMES_NEW);
    }
    json_names_keep(&names, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(json_names_add(&names, object, slice_text(texts[i])), JSON_NAMES_TWICE);
    for (int i = 1000; i < 5000; i++)
        assert_int_equal(json_names_add(&names, object, slice_text(texts[i])), JSON_NAMES_NEW);
    json_names_done(&names);
}

static void no_memory_is_told(void **state) {
    struct json_names names = {.seed = 1};
    (void)state;
    memory_fail_after(1);
    assert_int_equal(json_names_add(&names, 1, SLICE("a")), JSON_NAMES_NO_MEMORY);
    memory_fail_after(2);
    assert_int_equal(json_names_add(&names, 1, SLICE("a")), JSON_NAMES_NO_MEMORY);
    memory_fail_after(0);
    assert_int_equal(json_names_add(&names, 1, SLICE("a")), JSON_NAMES_NEW);
    json_names_done(&names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_new_once_in_an_object),
        cmocka_unit_test(names_let_go_are_new_again),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
