#include "base/field_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_path_holds_itself_and_what_lies_in_it(void **state) {
    (void)state;
    static const struct {
        const char *outer, *inner;
        bool holds;
    } cases[] = {
        {"a", "a", true},         {"a", "a.b", true},        {"a", "a[0]", true},
        {"a", "ab", false},       {"a.b", "a", false},       {"a[1]", "a[1].b", true},
        {"a[1]", "a[10]", false}, {"data", "dataId", false}, {"", "", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(field_path_holds(slice_text(cases[i].outer), slice_text(cases[i].inner)),
                         cases[i].holds);
}

/* All in their order: each pair is compared both ways. */
static void paths_come_in_the_order_of_elements_and_names(void **state) {
    (void)state;
    static const char *const paths[] = {
        "",
        "changes",
        "changes.x",
        "changes[\"a b\"]",
        "changes[0]",
        "changes[0].data",
        "changes[0].data.a",
        "changes[0].data.a[2]",
        "changes[0].data.a[11]",
        "changes[0].data[\"a b\"]",
        "changes[0].dataId",
        "changes[0].id",
        "changes[2].id",
        "changes[9]",
        "changes[10].id",
        "changes[999].a",
        "changes[1000]",
        "changesToo",
        "deviceId",
        "x10",
        "x9",
    };
    size_t count = sizeof paths / sizeof paths[0];
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            int order = field_path_compare(slice_text(paths[i]), slice_text(paths[j]));
            if ((order < 0) != (i < j) || (order > 0) != (i > j))
                fail_msg("%s against %s: %d", paths[i], paths[j], order);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_holds_itself_and_what_lies_in_it),
        cmocka_unit_test(paths_come_in_the_order_of_elements_and_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
