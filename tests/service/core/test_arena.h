/* One arena per test, and cmocka with what it must be included after. */
#ifndef TESTS_SERVICE_CORE_TEST_ARENA_H
#define TESTS_SERVICE_CORE_TEST_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "tests/service/core/json_document.h"

/* What a test takes from it lives until the test ends. */
static struct arena arena;

static inline int arena_set_up(void **state) {
    (void)state;
    arena_init(&arena, (size_t)1 << 30);
    return 0;
}

static inline int arena_tear_down(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

/* A test with an arena of its own. */
#define ARENA_TEST(test) cmocka_unit_test_setup_teardown(test, arena_set_up, arena_tear_down)

/* The canonical document of JSON text. */
static inline struct slice doc(const char *json) {
    return json_document(json, &arena);
}

/* Expects a document to be the JSON text, which must be canonical itself. */
#define assert_document(document, json) assert_string_equal(json_text(document, &arena), json)

#endif
