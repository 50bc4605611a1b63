/* Story: a record, change by change, with its field stamps, for the tests of what devices get of
 * it.
 */
#ifndef TESTS_SERVICE_CORE_STORY_H
#define TESTS_SERVICE_CORE_STORY_H

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service/core/delta.h"
#include "service/core/field_stamps.h"
#include "tests/service/core/test_arena.h"

enum { STORY_VERSIONS_MAX = 40 };

/* A record and what it was at each version; version 1 made it. */
struct story {
    struct record record;
    struct slice documents[STORY_VERSIONS_MAX + 1];
    uint64_t wanted_above;
};

static inline void story_begin(struct story *story, struct slice document) {
    *story = (struct story){.record = {.version = 1, .data = document}};
    story->documents[1] = document;
}

static inline void story_change(struct story *story, struct slice document) {
    struct record *record = &story->record;
    struct field_change change = {.before = record,
                                  .document = document,
                                  .version = record->version + 1,
                                  .wanted_above = story->wanted_above};
    struct slice stamps;
    assert_true(change.version <= STORY_VERSIONS_MAX);
    assert_int_equal(delta_between(document, record->data, &arena, &change.undo), SYNC_OK);
    assert_int_equal(field_stamps_after(&change, &arena, &stamps), SYNC_OK);
    record->version = change.version;
    record->data = document;
    record->stamps = stamps;
    story->documents[record->version] = document;
}

static inline struct story story_of(const char *const *texts) {
    struct story story;
    story_begin(&story, doc(*texts));
    while (*++texts)
        story_change(&story, doc(*texts));
    return story;
}

/* The seed of random stories, which it prints: the time, or CORE_TEST_SEED. */
static inline uint64_t story_seed(void) {
    const char *given = getenv("CORE_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : clock_now_us(clock_system());
    printf("CORE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

#endif
