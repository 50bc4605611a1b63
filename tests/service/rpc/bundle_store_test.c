// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>

#include "service/core/bundle_container.h"
#include "service/rpc/bundle_params.h"
#include "service/rpc/bundle_source.h"
#include "service/rpc/bundle_store.h"
#include "tests/service/core/json_document.h"
#include "tests/service/rpc/service_fixture.h"

enum { CONTAINER_MAX = 64 << 20 };

static const struct bundle_want ALL = {.user = {(const uint8_t *)"anna", 4},
                                       .types = DATA_TYPES_ALL};

/* Three bookings: b1 soon, b2 later, b3 without a time; then b2 is deleted and b1 changed. */
static void three_bookings(struct service_fixture *fixture) {
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b3", "{\"n\":3}");
    fixture->now_us += 10;
    service_fixture_change(
        fixture, "anna", CHANGE_CREATE, "b1",
        "{\"startTime\":\"2023-11-15T00:00:00Z\",\"seat\":\"1A\",\"meal\":\"none\",\"note\":"
        "\"a text that is longer than what changes\"}");
    fixture->now_us += 10;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b2",
                           "{\"startTime\":\"2024-11-15T00:00:00Z\"}");
}

static void collect(struct service_fixture *fixture, const struct bundle_want *want,
                    struct bundle_source *source) {
    assert_int_equal(bundle_source_init(source, fixture->service.store, want, NULL), SYNC_OK);
    assert_int_equal(bundle_source_collect(source, (int64_t)fixture->now_us), SYNC_OK);
}

static void assert_ids(const struct bundle_source *source, const char *const *ids, size_t count) {
    assert_int_equal(source->count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(slice_equal(source->items[i].record.key.id, slice_text(ids[i])));
}

static void a_snapshot_has_what_is_needed_soonest_first(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture);
    struct bundle_source source;
    collect(fixture, &ALL, &source);
    assert_ids(&source, (const char *const[]){"b1", "b2", "b3"}, 3);
    bundle_source_done(&source);
    service_fixture_change(fixture, "anna", CHANGE_DELETE, "b2", NULL);
    collect(fixture, &ALL, &source);
    assert_ids(&source, (const char *const[]){"b1", "b3"}, 2);
    bundle_source_done(&source);
}

static void changes_since_a_sequence_include_the_deleted(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture);
    service_fixture_change(fixture, "anna", CHANGE_DELETE, "b2", NULL);
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b3", "{\"n\":4}");
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b3", "{\"n\":5}");
    struct bundle_want want = ALL;
    want.has_from = true;
    want.from = 3;
    struct bundle_source source;
    collect(fixture, &want, &source);
    assert_ids(&source, (const char *const[]){"b2", "b3"}, 2);
    assert_true(source.items[0].record.deleted);
    assert_int_equal(source.items[1].record.version, 6);
    bundle_source_done(&source);
    want.types = 1 << DATA_TYPE_TRIP;
    collect(fixture, &want, &source);
    assert_int_equal(source.count, 0);
    bundle_source_done(&source);
}

static void a_delta_says_only_what_changed(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture);
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b1", "{\"seat\":\"2B\"}");
    struct bundle_want want = ALL;
    want.has_from = true;
    want.patches = PATCH_FORM_MERGE;
    want.from = 3;
    struct bundle_source source;
    collect(fixture, &want, &source);
    assert_ids(&source, (const char *const[]){"b1"}, 1);
    assert_true(source.items[0].form == PATCH_FORM_MERGE);
    assert_string_equal(json_text(source.items[0].patch, &fixture->arena), "{\"seat\":\"2B\"}");
    bundle_source_done(&source);
}

static void a_time_means_what_was_committed_then_or_later(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture); /* though the devices' times are years before */
    struct bundle_want want = ALL;
    want.has_since = true;
    want.now_us = (int64_t)fixture->now_us;
    want.since_us = want.now_us - 10;
    struct bundle_source source;
    collect(fixture, &want, &source);
    assert_ids(&source, (const char *const[]){"b1", "b2"}, 2);
    assert_int_equal(source.want.from, 1);
    bundle_source_done(&source);
    want.since_us = source.head.time_us + 1;
    collect(fixture, &want, &source);
    assert_int_equal(source.count, 0);
    bundle_source_done(&source);
    want.since_us = 0;
    collect(fixture, &want, &source);
    assert_int_equal(source.count, 3);
    bundle_source_done(&source);
}

/* `since` was given out while the service's clock ran ten years ahead; it is right again. */
static void a_time_from_a_clock_that_ran_ahead_misses_nothing(void **state) {
    struct service_fixture *fixture = *state;
    const uint64_t now_us = fixture->now_us, years_us = 315569520000000;
    fixture->now_us = now_us + years_us;
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b1", "{\"n\":1}");
    struct bundle_want want = ALL;
    want.has_since = true;
    want.since_us = service_fixture_head(fixture, "anna").time_us + 1;
    want.now_us = (int64_t)now_us;
    fixture->now_us = now_us;
    struct bundle_source source;
    collect(fixture, &want, &source);
    assert_int_equal(source.count, 0);
    bundle_source_done(&source);
    service_fixture_change(fixture, "anna", CHANGE_CREATE, "b2", "{\"n\":2}");
    collect(fixture, &want, &source);
    assert_int_equal(source.count, 2);
    bundle_source_done(&source);
    want.since_us = service_fixture_head(fixture, "anna").time_us + 1;
    assert_true(want.since_us <= (int64_t)now_us + 1);
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b2", "{\"n\":3}");
    collect(fixture, &want, &source);
    assert_int_equal(source.items[source.count - 1].record.version, 3);
    bundle_source_done(&source);
}

static void a_cursor_behind_the_log_needs_a_new_start(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture);
    struct store_trim trim = {.user = SLICE("anna"), .log_before_us = (int64_t)fixture->now_us};
    assert_int_equal(store_trim(fixture->service.store, &trim), SYNC_OK);
    assert_true(service_fixture_head(fixture, "anna").log_floor > 1);
    struct bundle_want want = ALL;
    want.has_from = want.must_reach = true;
    want.from = 1;
    struct bundle_source source;
    struct sync_error error;
    assert_int_equal(bundle_source_init(&source, fixture->service.store, &want, &error),
                     SYNC_ERR_PRECONDITION);
    assert_string_equal(error.reason, "RESYNC_REQUIRED");
    want.must_reach = false; /* the records themselves still tell */
    collect(fixture, &want, &source);
    assert_ids(&source, (const char *const[]){"b1", "b2"}, 2);
    bundle_source_done(&source);
}

static void a_cursor_ahead_of_the_data_is_refused(void **state) {
    struct service_fixture *fixture = *state;
    struct bundle_want want = ALL;
    want.has_from = true;
    want.from = 1;
    struct bundle_source source;
    struct sync_error error;
    assert_int_equal(bundle_source_init(&source, fixture->service.store, &want, &error),
                     SYNC_ERR_INVALID);
    assert_string_equal(error.field, "cursor");
}

/* The bundle that answers a question without parameters. */
static struct bundle ask(struct service_fixture *fixture, bool compress) {
    struct bundle_params params = {.types = DATA_TYPES_ALL,
                                   .codec = compress ? BUNDLE_CODEC_SNAPPY : BUNDLE_CODEC_IDENTITY};
    struct bundle_source source;
    assert_int_equal(bundle_source_init(&source, fixture->service.store, &ALL, NULL), SYNC_OK);
    struct bundle bundle = bundle_params_bundle(&params, &source, &fixture->service,
                                                (int64_t)fixture->now_us, &fixture->arena);
    bundle_source_done(&source);
    assert_true(bundle_id_is_valid(bundle.id));
    return bundle;
}

static void the_same_question_at_the_same_state_is_the_same_bundle(void **state) {
    struct service_fixture *fixture = *state;
    three_bookings(fixture);
    struct bundle first = ask(fixture, true), again = ask(fixture, true);
    assert_true(slice_equal(first.id, again.id));
    assert_false(slice_equal(first.id, ask(fixture, false).id));
    service_fixture_change(fixture, "anna", CHANGE_UPDATE, "b3", "{\"n\":4}");
    assert_false(slice_equal(first.id, ask(fixture, true).id));
}

struct count {
    size_t records;
};

static bool count_entry(void *context, const struct bundle_entry *entry) {
    assert_true(entry->json.size > 0);
    ((struct count *)context)->records++;
    return true;
}

/* The container as stored. */
static struct slice stored_container(struct service_fixture *fixture, const struct bundle *bundle) {
    struct buffer bytes;
    buffer_init(&bytes, CONTAINER_MAX);
    for (uint32_t i = 0; i < bundle->part_count; i++) {
        struct row wanted = {.table = TABLE_BUNDLE_PART};
        struct user_view view;
        assert_true(key_of_bundle_part(&fixture->arena, bundle->id, i, &wanted.key));
        struct touched want = {.user = bundle->user, .rows = &wanted, .row_count = 1};
        assert_int_equal(store_load(fixture->service.store, NULL, &want, &fixture->arena, &view),
                         SYNC_OK);
        assert_true(view.rows[0].found);
        assert_true(i + 1 == bundle->part_count || view.rows[0].value.size == BUNDLE_PART_BYTES);
        buffer_append(&bytes, view.rows[0].value);
    }
    struct slice copy;
    assert_true(arena_copy(&fixture->arena, buffer_slice(&bytes), &copy));
    buffer_done(&bytes);
    return copy;
}

static void a_container_is_stored_in_parts_and_reads_back(void **state) {
    struct service_fixture *fixture = *state;
    enum { RECORDS = 40, TEXT = 70000 };
    char *json = malloc(TEXT + 64);
    assert_non_null(json);
    for (unsigned i = 0; i < RECORDS; i++) {
        int at = snprintf(json, TEXT + 64, "{\"text\":\"");
        for (unsigned j = 0; j < TEXT; j++)
            json[at++] = (char)('a' + (i * 31 + j * j) % 26);
        memcpy(json + at, "\"}", 3);
        char id[8];
        snprintf(id, sizeof id, "b%u", i);
        service_fixture_change(fixture, "anna", CHANGE_CREATE, id, json);
    }
    free(json);
    struct bundle bundle = ask(fixture, false), stored;
    assert_int_equal(bundle_build(&fixture->service, &bundle, NULL, NULL), SYNC_OK);
    assert_true(bundle.part_count >= 3);
    assert_int_equal(bundle.record_count, RECORDS);
    assert_int_equal(service_fixture_count(fixture, TABLE_BUNDLE_PART, bundle.id),
                     bundle.part_count);
    struct slice container = stored_container(fixture, &bundle);
    assert_int_equal(container.size, bundle.size);
    uint8_t sha256[SHA256_SIZE];
    sha256_of(container, sha256);
    assert_memory_equal(sha256, bundle.sha256, SHA256_SIZE);
    struct count count = {0};
    assert_int_equal(
        bundle_read(container, &(struct bundle_codecs){NULL, 0}, NULL, NULL, count_entry, &count),
        SYNC_OK);
    assert_int_equal(count.records, RECORDS);
    assert_int_equal(
        bundle_load(&fixture->service, bundle.id, SLICE("anna"), &fixture->arena, NULL, &stored),
        SYNC_OK);
    assert_true(stored.is_built);
    assert_int_equal(stored.size, bundle.size);
}

static void a_bundle_is_its_users_until_it_expires(void **state) {
    struct service_fixture *fixture = *state;
    struct sync_error error;
    struct bundle bundle = ask(fixture, true), stored;
    assert_int_equal(bundle_build(&fixture->service, &bundle, NULL, NULL), SYNC_OK);
    assert_int_equal(
        bundle_load(&fixture->service, bundle.id, SLICE("bob"), &fixture->arena, &error, &stored),
        SYNC_ERR_DENIED);
    fixture->now_us += fixture->service.retention.bundle_us;
    assert_int_equal(
        bundle_load(&fixture->service, bundle.id, SLICE("anna"), &fixture->arena, &error, &stored),
        SYNC_ERR_NOT_FOUND);
    assert_string_equal(error.reason, "BUNDLE_NOT_FOUND");
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, service_fixture_setup, service_fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_snapshot_has_what_is_needed_soonest_first),
        TEST(changes_since_a_sequence_include_the_deleted),
        TEST(a_delta_says_only_what_changed),
        TEST(a_time_means_what_was_committed_then_or_later),
        TEST(a_time_from_a_clock_that_ran_ahead_misses_nothing),
        TEST(a_cursor_behind_the_log_needs_a_new_start),
        TEST(a_cursor_ahead_of_the_data_is_refused),
        TEST(the_same_question_at_the_same_state_is_the_same_bundle),
        TEST(a_container_is_stored_in_parts_and_reads_back),
        TEST(a_bundle_is_its_users_until_it_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
