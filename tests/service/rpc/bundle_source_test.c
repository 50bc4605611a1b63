/* What a bundle brings, against a look at everything: a random history, and devices that are behind
 * it by all there is to be behind. The seed is printed; BUNDLE_TEST_SEED sets it. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>

#include "service/core/document.h"
#include "service/rpc/bundle_source.h"
#include "tests/service/rpc/service_fixture.h"

enum { RECORDS = 9, CHANGES = 320, STATES = 8, USER_SIZE = 4 };

static const char USER[] = "anna";

/* What a device holds: all that there was at a sequence. */
struct device_state {
    uint64_t sequence;
    bool lives[RECORDS];
    uint64_t versions[RECORDS]; /* of tombstones too; 0: never there */
    struct slice documents[RECORDS];
};

static uint64_t seed;

static uint64_t pick(uint64_t below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed >> 20) % below;
}

static size_t number_of(struct slice id) {
    assert_int_equal(id.size, 2);
    assert_true(id.data[1] >= '0' && id.data[1] < '0' + RECORDS);
    return (size_t)(id.data[1] - '0');
}

/* A reading of all records. */
struct reading {
    struct arena *arena;
    struct device_state *state;
};

static bool record_visit(void *context, const struct scan_item *item) {
    const struct reading *reading = context;
    size_t i = number_of(item->record->key.id);
    reading->state->lives[i] = !item->record->deleted;
    reading->state->versions[i] = item->record->version;
    assert_true(arena_copy(reading->arena, item->record->data, &reading->state->documents[i]));
    return true;
}

static struct device_state state_now(struct service_fixture *fixture) {
    struct device_state state = {.sequence = service_fixture_head(fixture, USER).sequence};
    struct reading reading = {&fixture->arena, &state};
    struct scan scan = {
        .kind = SCAN_RECORDS, .user = slice_of(USER, USER_SIZE), .type = DATA_TYPE_BOOKING};
    assert_int_equal(store_scan(fixture->service.store, NULL, &scan, record_visit, &reading),
                     SYNC_OK);
    return state;
}

/* Makes, changes or deletes a record. */
static void change_one(struct service_fixture *fixture, struct device_state *now) {
    static const char *const PATCHES[] = {
        "{\"seat\":\"%uA\"}",
        "{\"gate\":{\"number\":%u}}",
        "{\"gate\":%u}",
        "{\"gate\":{\"level\":%u}}",
        "{\"gate\":null,\"n\":%u}",
        "{\"tags\":[%u]}",
        "{\"gate\":{\"number\":null,\"m\":%u}}",
    };
    size_t i = pick(RECORDS) * pick(RECORDS) / RECORDS; /* some far more than others */
    char id[] = {'b', (char)('0' + i), 0};
    fixture->now_us += 1 + pick(3);
    if (!now->lives[i]) {
        service_fixture_change(fixture, USER, CHANGE_CREATE, id,
                               "{\"note\":\"a text that is longer than what changes\",\"seat\":1}");
    } else if (pick(25) == 0) {
        service_fixture_change(fixture, USER, CHANGE_DELETE, id, NULL);
        now->lives[i] = false;
        return;
    } else {
        const char *patch = PATCHES[pick(sizeof PATCHES / sizeof *PATCHES)];
        char json[64];
        int size = snprintf(json, sizeof json, patch, (unsigned)pick(100));
        assert_true(size > 0 && (size_t)size < sizeof json);
        service_fixture_change(fixture, USER, CHANGE_UPDATE, id, json);
    }
    now->lives[i] = true;
}

/* Takes an item over into what the device holds. */
static void state_take(struct device_state *state, const struct pulled *item, struct arena *arena) {
    size_t i = number_of(item->record.key.id);
    struct slice document = item->record.data;
    assert_true(item->record.version > state->sequence);
    assert_true(item->record.version != state->versions[i]); /* each comes once */
    if (item->form) {
        assert_true(state->lives[i]);
        assert_int_equal(document_merge_patch(state->documents[i], item->patch, arena, &document),
                         SYNC_OK);
    }
    state->lives[i] = !item->record.deleted;
    state->versions[i] = item->record.version;
    state->documents[i] = document;
}

/* Pulls what the device lacks; counts the patches. */
static void check_pull(struct service_fixture *fixture, const struct device_state *then,
                       const struct device_state *now, bool patches, size_t *patch_count) {
    struct bundle_want want = {.user = slice_of(USER, USER_SIZE),
                               .types = DATA_TYPES_ALL,
                               .has_from = true,
                               .from = then->sequence,
                               .patches = patches};
    struct device_state state = *then;
    struct bundle_source source;
    assert_int_equal(bundle_source_init(&source, fixture->service.store, &want, NULL), SYNC_OK);
    assert_int_equal(bundle_source_collect(&source, (int64_t)fixture->now_us), SYNC_OK);
    for (size_t i = 0; i < source.count; i++) {
        assert_int_equal(bundle_source_fill(&source, &source.items[i], &source.arena), SYNC_OK);
        *patch_count += source.items[i].form == PATCH_FORM_MERGE;
        state_take(&state, &source.items[i], &source.arena);
    }
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(state.versions[i], now->versions[i]);
        assert_int_equal(state.lives[i], now->lives[i]);
        assert_true(!now->lives[i] || slice_equal(state.documents[i], now->documents[i]));
    }
    bundle_source_done(&source);
}

static void every_device_gets_what_it_lacks(void **state) {
    struct service_fixture *fixture = *state;
    struct device_state now = {0}, states[STATES] = {{0}};
    size_t patches = 0, whole = 0;
    for (size_t made = 0; made < CHANGES; made++) {
        change_one(fixture, &now);
        if (made % (CHANGES / STATES / 4) != 0)
            continue;
        struct device_state read = state_now(fixture);
        for (size_t i = 0; i < STATES; i++) {
            check_pull(fixture, &states[i], &read, true, &patches);
            check_pull(fixture, &states[i], &read, false, &whole);
        }
        states[pick(STATES)] = read;
    }
    assert_true(patches > 100);
    assert_int_equal(whole, 0);
}

int main(void) {
    const char *given = getenv("BUNDLE_TEST_SEED");
    seed = given ? strtoull(given, NULL, 10) : clock_now_us(clock_system());
    printf("BUNDLE_TEST_SEED=%llu\n", (unsigned long long)seed);
    seed |= 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_device_gets_what_it_lacks, service_fixture_setup,
                                        service_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
