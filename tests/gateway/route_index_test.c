/* The index of templates, against a look at each. */
#include "gateway/route_index.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"

enum { ROUNDS = 300, TEMPLATES = 60, PATHS = 200, ARENA_MAX = 16 << 20 };

/* SplitMix64: the whole sequence follows from the seed. */
static uint64_t random_next(uint64_t *seed) {
    uint64_t bits = *seed += 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

static const char *pick(uint64_t *seed, const char *const *words, size_t count) {
    return words[random_next(seed) % count];
}

/* A template or a path of few words, so that many match. */
static struct slice random_text(uint64_t *seed, bool is_template, char *room, size_t size) {
    static const char *const words[] = {"a", "b", "c", "a", "b", "*"};
    static const char *const texts[] = {"a", "b", "c", "a:go", "x", "", "%61"};
    static const char *const verbs[] = {"", "", ":go", ":stop"};
    size_t at = 0, count = 1 + random_next(seed) % 4;
    for (size_t i = 0; i < count; i++)
        at += (size_t)snprintf(room + at, size - at, "/%s",
                               is_template ? pick(seed, words, 6) : pick(seed, texts, 7));
    if (is_template && random_next(seed) % 5 == 0)
        at += (size_t)snprintf(room + at, size - at, "/**");
    at += (size_t)snprintf(room + at, size - at, "%s", pick(seed, verbs, 4));
    return slice_of(room, at);
}

/* Each template that matches is found, none twice. */
static void check(const struct route_index *index, const struct route_template *templates,
                  size_t count, struct slice text, struct arena *arena) {
    struct route_path path;
    struct sync_error error;
    uint32_t numbers[TEMPLATES];
    int found[TEMPLATES] = {0};
    if (route_path_parse(text, arena, &error, &path) != SYNC_OK)
        return;
    size_t size = route_index_find(index, &path, numbers);
    for (size_t i = 0; i < size; i++)
        found[numbers[i]]++;
    for (size_t i = 0; i < count; i++) {
        bool matches = route_template_matches(&templates[i], &path);
        if (found[i] > 1 || (matches && found[i] == 0))
            fail_msg("%.*s is found %d times for %.*s", (int)templates[i].text.size,
                     (const char *)templates[i].text.data, found[i], (int)text.size,
                     (const char *)text.data);
    }
}

static void what_matches_is_found(void **state) {
    (void)state;
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    for (int round = 0; round < ROUNDS; round++) {
        static char rooms[TEMPLATES + 1][100];
        struct route_template templates[TEMPLATES];
        struct route_index index;
        struct sync_error error;
        struct arena arena;
        size_t count = 0, segments = 0;
        arena_init(&arena, ARENA_MAX);
        while (count < TEMPLATES) {
            struct slice text = random_text(&seed, true, rooms[count], sizeof rooms[count]);
            if (route_template_parse(text, &arena, &error, &templates[count]) == SYNC_OK)
                segments += templates[count++].segment_count;
        }
        assert_true(route_index_init(&index, &arena, count, segments));
        for (size_t i = 0; i < count; i++)
            route_index_add(&index, &templates[i], (uint32_t)i);
        for (int i = 0; i < PATHS; i++)
            check(&index, templates, count,
                  random_text(&seed, false, rooms[TEMPLATES], sizeof rooms[TEMPLATES]), &arena);
        arena_done(&arena);
    }
}

static void an_empty_index_finds_nothing(void **state) {
    (void)state;
    struct route_index index;
    struct route_path path;
    struct sync_error error;
    struct arena arena;
    uint32_t numbers[1];
    arena_init(&arena, ARENA_MAX);
    assert_true(route_index_init(&index, &arena, 0, 0));
    assert_int_equal(route_path_parse(SLICE("/a/b"), &arena, &error, &path), SYNC_OK);
    assert_int_equal(route_index_find(&index, &path, numbers), 0);
    arena_done(&arena);
}

static void it_is_made_whole_or_not_at_all(void **state) {
    (void)state;
    bool made = false;
    for (uint64_t n = 1; !made; n++) {
        struct route_index index;
        struct arena arena;
        arena_init(&arena, ARENA_MAX);
        memory_fail_after(n);
        made = route_index_init(&index, &arena, 10000, 10000);
        memory_fail_after(0);
        arena_done(&arena);
        assert_true(n < 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_matches_is_found),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(it_is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("route_index", tests, NULL, NULL);
}
