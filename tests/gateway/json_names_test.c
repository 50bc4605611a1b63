/* Names of open objects: told apart by object, let go in order. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gateway/json_names.h"

static void a_name_is_new_once_in_an_object(void **state) {
    struct json_names names = {.seed = 1};
    (void)state;
    size_t outer = json_names_object(&names);
    assert_int_equal(json_names_add(&names, outer, SLICE("a")), JSON_NAMES_NEW);
    size_t inner = json_names_object(&names);
    assert_int_equal(json_names_add(&names, inner, SLICE("a")), JSON_NAMES_NEW);
    assert_int_equal(json_names_add(&names, inner, SLICE("a")), JSON_NAMES_TWICE);
    json_names_keep(&names, inner);
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

/* Objects of all sizes around the few, in each other, cut and filled again. */
static void names_of_nested_objects_do_not_meet(void **state) {
    static char texts[40][32];
    struct json_names names = {.seed = 3};
    (void)state;
    for (int i = 0; i < 40; i++)
        snprintf(texts[i], sizeof texts[i], "name %d", i);
    for (int size = JSON_NAMES_FEW - 2; size < 40; size++) {
        size_t objects[4];
        for (int depth = 0; depth < 4; depth++) {
            objects[depth] = json_names_object(&names);
            for (int i = 0; i < size; i++)
                assert_int_equal(json_names_add(&names, objects[depth], slice_text(texts[i])),
                                 JSON_NAMES_NEW);
        }
        for (int depth = 3; depth >= 0; depth--) {
            json_names_keep(&names, objects[depth] + (size_t)size);
            for (int keep = size; keep >= 0; keep -= 5) {
                json_names_keep(&names, objects[depth] + (size_t)keep);
                for (int i = 0; i < size; i++)
                    assert_int_equal(json_names_add(&names, objects[depth], slice_text(texts[i])),
                                     i < keep ? JSON_NAMES_TWICE : JSON_NAMES_NEW);
            }
        }
        json_names_keep(&names, 0);
    }
    json_names_done(&names);
}

/* Whatever allocation fails, the names that came before are there, and the next comes again. */
static void no_memory_is_told(void **state) {
    static char texts[300][16];
    (void)state;
    for (int i = 0; i < 300; i++)
        snprintf(texts[i], sizeof texts[i], "%d", i);
    for (uint64_t n = 1, failures = 1; failures > 0; n++) {
        struct json_names names = {.seed = 1};
        failures = 0;
        memory_fail_after(n);
        for (int i = 0; i < 300; i++) {
            enum json_names_answer answer = json_names_add(&names, 0, slice_text(texts[i]));
            if (answer == JSON_NAMES_NO_MEMORY) {
                memory_fail_after(0);
                failures++;
                answer = json_names_add(&names, 0, slice_text(texts[i]));
            }
            assert_int_equal(answer, JSON_NAMES_NEW);
        }
        memory_fail_after(0);
        for (int i = 0; i < 300; i++)
            assert_int_equal(json_names_add(&names, 0, slice_text(texts[i])), JSON_NAMES_TWICE);
        json_names_done(&names);
        assert_true(n < 100);
    }
}

/* As nested objects with faults do: names come, leave and come again, against a plain list. */
static void names_that_come_and_go_are_those_of_a_list(void **state) {
    enum { TEXTS = 60, OPEN_MAX = 6, NAMES_MAX = 400, STEPS = 200000 };
    static char texts[TEXTS][20];
    int list[NAMES_MAX];
    size_t count = 0, objects[OPEN_MAX] = {0}, open = 0;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    struct json_names names = {.seed = seed};
    (void)state;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (int i = 0; i < TEXTS; i++)
        snprintf(texts[i], sizeof texts[i], "name %d", i);
    for (int step = 0; step < STEPS; step++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        unsigned kind = (unsigned)(seed >> 33) % 32;
        int name = (int)(seed >> 40) % TEXTS;
        if (kind == 0 && open + 1 < OPEN_MAX && count > objects[open]) {
            objects[++open] = json_names_object(&names);
        } else if (kind == 1 && open > 0) {
            count = objects[open--];
            json_names_keep(&names, count);
        } else if (kind == 2) {
            count = objects[open] + (count - objects[open]) * (size_t)name / TEXTS;
            json_names_keep(&names, count);
        } else if (count < NAMES_MAX) {
            bool there = false;
            for (size_t i = objects[open]; i < count; i++)
                there = there || list[i] == name;
            assert_int_equal(json_names_add(&names, objects[open], slice_text(texts[name])),
                             there ? JSON_NAMES_TWICE : JSON_NAMES_NEW);
            if (!there)
                list[count++] = name;
        }
    }
    json_names_done(&names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_new_once_in_an_object),
        cmocka_unit_test(names_let_go_are_new_again),
        cmocka_unit_test(names_of_nested_objects_do_not_meet),
        cmocka_unit_test(names_that_come_and_go_are_those_of_a_list),
        cmocka_unit_test(no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
