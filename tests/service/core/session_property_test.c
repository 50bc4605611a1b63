/* Sessions by chance, cut anywhere: what must hold is checked where it happens (session_world*.c).
 * The seed is printed; CORE_TEST_SEED sets it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/service/core/session_talk.h"
#include "tests/service/core/session_world.h"

enum { WORLDS = 400, SESSIONS = 6, STEPS = 400, DECIMAL = 10 };

static uint64_t first_seed(void) {
    const char *text = getenv("CORE_TEST_SEED");
    return text ? strtoull(text, NULL, DECIMAL) : 20261122;
}

/* Brings the device up to date in one quiet live session, and compares. */
static void check_final(struct world *world) {
    world_begin(world, false);
    world_settle(world);
    assert_false(world->has_ended);
    assert_true(world->device.has_completed);
    for (uint32_t i = 0; i < WORLD_RECORDS; i++) {
        struct world_record at = world_record_at(&world->store, i, world->store.head);
        const struct world_record *held = &world->device.records[i];
        if (!data_type_in(world->device.types, world_type(i)))
            continue;
        assert_int_equal(at.exists && !at.is_deleted, held->exists && !held->is_deleted);
        if (held->exists && !held->is_deleted)
            assert_int_equal(at.value, held->value);
    }
    struct session_view view;
    session_look(world->session, &view);
    assert_int_equal(view.phase, SESSION_LIVE);
    assert_int_equal(view.position, world->store.head);
    world_end(world);
}

/* Some sessions, each over by chance or by a cut, and then the comparison. */
static void run_world(struct world *world, uint64_t seed) {
    world_init(world, seed);
    for (int session = 0; session < SESSIONS; session++) {
        world_begin(world, true);
        for (int step = 0; step < STEPS && !world->has_ended && !world->was_cut; step++)
            world_step(world);
        if (world_pick(world, 3) == 0)
            world_settle(world);
        else
            world->was_cut = true;
        world_end(world);
    }
    check_final(world);
}

static struct world world;

static void whatever_happens_the_device_ends_with_what_there_is(void **state) {
    (void)state;
    uint64_t seed = first_seed(), sessions = 0, completes = 0, cursors = 0, laps = 0, resyncs = 0,
             duplicates = 0, checksums = 0;
    printf("seeds from %llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < WORLDS; i++) {
        run_world(&world, seed + i);
        sessions += world.sessions;
        completes += world.completes;
        cursors += world.cursors_in_outcomes;
        laps += world.lap_resumes;
        resyncs += world.resyncs;
        duplicates += world.duplicates;
        checksums += world.checksums;
    }
    printf("%llu sessions, %llu completes, %llu outcomes with a cursor, %llu laps resumed, "
           "%llu resyncs, %llu duplicates, %llu checksums\n",
           (unsigned long long)sessions, (unsigned long long)completes, (unsigned long long)cursors,
           (unsigned long long)laps, (unsigned long long)resyncs, (unsigned long long)duplicates,
           (unsigned long long)checksums);
    assert_true(completes > WORLDS && cursors > WORLDS / 4 && laps > WORLDS / 4);
    assert_true(resyncs > 10 && duplicates > WORLDS && checksums > WORLDS);
}

/* A checksum beside a cursor of outcomes, where the lap before had left records out. */
static void outcomes_after_an_inexact_lap_have_no_checksum(void **state) {
    (void)state;
    run_world(&world, 500129);
}

/* A resync and a drain while outcomes waited for a token. */
static void a_resync_does_not_overtake_outcomes(void **state) {
    (void)state;
    run_world(&world, 300071);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens_the_device_ends_with_what_there_is),
        cmocka_unit_test(outcomes_after_an_inexact_lap_have_no_checksum),
        cmocka_unit_test(a_resync_does_not_overtake_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
