/* Properties under random edits: three devices edit the same few records offline, upload, pull, and
 * end alike; every version can be had back from the log. The seed is printed; CORE_TEST_SEED sets
 * it. memory_user checks sums and sequences at every commit. */
#include <stdio.h>
#include <stdlib.h>

#include "service/core/change_batch.h"
#include "service/core/checksum.h"
#include "service/core/pull.h"
#include "tests/service/core/memory_user.h"
#include "tests/service/core/test_arena.h"

enum { DEVICES = 3, RECORDS = 4, ROUNDS = 120, VERSIONS_MAX = 4096, QUEUE_MAX = 8 };

static uint64_t seed, random_state;

static uint32_t pick(uint32_t below) {
    random_state = random_state * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(random_state >> 33) % below;
}

static void random_fill(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)pick(256);
}
static const struct random_source RANDOM = {random_fill, NULL};

/* A record as a device has it. */
struct copy {
    bool found, deleted;
    uint64_t version;
    struct slice data;
};

struct device {
    const char *name;
    uint64_t acknowledged;
    struct copy copies[RECORDS]; /* with its own edits */
    struct copy pulled[RECORDS]; /* as the service had them at the acknowledged sequence */
    struct change queue[QUEUE_MAX];
    size_t queued;
    int changes_made;
};

/* The whole world, and every version there ever was of each record. */
static struct world {
    struct memory_user user;
    struct device devices[DEVICES];
    struct slice versions[VERSIONS_MAX]; /* by sequence: the record after it */
    int64_t now_us;
} world;

static struct slice record_id(size_t record) {
    static const struct slice IDS[RECORDS] = {SLICE("r0"), SLICE("r1"), SLICE("r2"), SLICE("r3")};
    return IDS[record];
}

/* A random JSON value that nests a little. */
static void append_value(struct buffer *out, int depth, bool nulls) {
    switch (pick(depth > 0 ? 7 : 4)) {
    case 0:
        buffer_append_format(out, "%u", pick(4));
        break;
    case 1:
        buffer_append_format(out, "\"%c\"", 'p' + (char)pick(3));
        break;
    case 2:
        buffer_append(out, pick(2) ? SLICE("true") : SLICE("false"));
        break;
    case 3:
        buffer_append(out, nulls ? SLICE("null") : SLICE("[]"));
        break;
    case 4:
        buffer_append_format(out, "[{\"id\":%u,\"v\":%u},{\"id\":\"z\",\"v\":%u}]", pick(3),
                             pick(3), pick(3));
        break;
    default: {
        buffer_append_byte(out, '{');
        bool first = true;
        for (char name = 'a'; name < 'd'; name++) {
            if (pick(2))
                continue;
            buffer_append_format(out, "%s\"%c\":", first ? "" : ",", name);
            append_value(out, depth - 1, nulls);
            first = false;
        }
        buffer_append_byte(out, '}');
    }
    }
}

/* A random document, or merge patch. */
static struct slice random_document(bool nulls) {
    static const char *const NAMES[] = {"alpha", "beta", "gamma", "tags", "delta"};
    struct buffer out;
    bool first = true;
    buffer_init(&out, 1 << 20);
    buffer_append_byte(&out, '{');
    for (size_t i = 0; i < 5; i++) {
        if (pick(3))
            continue;
        buffer_append_format(&out, "%s\"%s\":", first ? "" : ",", NAMES[i]);
        append_value(&out, 2, nulls);
        first = false;
    }
    buffer_append_byte(&out, '}');
    struct slice document = doc(arena_copy_text(&arena, buffer_slice(&out)));
    buffer_done(&out);
    return document;
}

static void deltas_turn_any_document_into_any_other(void **state) {
    (void)state;
    for (int i = 0; i < 3000; i++) {
        struct slice a = random_document(true), b = random_document(true), delta, got, patch;
        assert_int_equal(delta_between(a, b, &arena, &delta), SYNC_OK);
        assert_int_equal(delta_apply(a, delta, &arena, &got), SYNC_OK);
        assert_true(slice_equal(got, b));
        if (!delta_to_merge_patch(delta, &arena, &patch))
            continue;
        assert_int_equal(document_merge_patch(a, patch, &arena, &got), SYNC_OK);
        assert_true(slice_equal(got, b));
    }
}

/* A device edits one record in its own copy, and queues the change. */
static void edit(struct device *device) {
    size_t record = pick(RECORDS);
    struct copy *copy = &device->copies[record];
    if (device->queued == QUEUE_MAX)
        return;
    struct change *change = &device->queue[device->queued++];
    *change = (struct change){
        .id = slice_text(arena_format(&arena, "%s-%d", device->name, device->changes_made++)),
        .kind = !copy->found || copy->deleted ? CHANGE_CREATE
                : pick(8) == 0                ? CHANGE_DELETE
                                              : CHANGE_UPDATE,
        .type = DATA_TYPE_TRIP,
        .data_id = record_id(record),
        .device_us = world.now_us - pick(1000),
    };
    if (change->kind == CHANGE_DELETE) {
        *copy = (struct copy){.found = true, .deleted = true};
    } else {
        change->data = random_document(change->kind == CHANGE_UPDATE);
        assert_int_equal(document_merge_patch(copy->deleted ? SLICE_EMPTY : copy->data,
                                              change->data, &arena, &copy->data),
                         SYNC_OK);
        if (change->kind == CHANGE_CREATE)
            copy->data = change->data;
        copy->found = true;
        copy->deleted = false;
    }
    change_payload_hash(change, change->payload_hash);
}

static struct change_result *apply(const struct device *device, enum conflict_strategy strategy,
                                   struct write_set *ret_set) {
    struct change_batch batch = {.user = SLICE("u"),
                                 .device = slice_text(device->name),
                                 .changes = device->queue,
                                 .count = device->queued,
                                 .acknowledged = device->acknowledged};
    struct batch_context context = {.now_us = world.now_us,
                                    .random = &RANDOM,
                                    .policies = policy_set_default(),
                                    .strategy = strategy};
    struct touched want;
    struct user_view view;
    struct change_result *results;
    assert_int_equal(change_batch_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&world.user, &want, &arena, &view);
    assert_int_equal(change_batch_apply(&view, &batch, &context, &arena, ret_set, &results),
                     SYNC_OK);
    return results;
}

static bool set_is_empty(const struct write_set *set) {
    return set->record_count + set->log_count + set->settled_count + set->row_count == 0;
}

/* Sends the queue, twice: the second time nothing may happen. */
static void upload(struct device *device) {
    enum conflict_strategy strategy = (enum conflict_strategy)(1 + pick(3));
    struct write_set set, again;
    struct change_result *results = apply(device, strategy, &set);
    if (!set_is_empty(&set))
        memory_user_commit(&world.user, &set);
    struct change_result *second = apply(device, strategy, &again);
    assert_true(set_is_empty(&again));
    for (size_t i = 0; i < device->queued; i++) {
        assert_int_equal(results[i].outcome, second[i].outcome);
        assert_int_equal(results[i].version, second[i].version);
    }
    assert_true(world.user.head.sequence < VERSIONS_MAX);
    device->queued = 0;
}

/* Gets what changed, whole or as patches, and acknowledges it. */
static void pull(struct device *device) {
    for (size_t i = 0; i < RECORDS; i++) {
        const struct record *record =
            memory_user_find(&world.user, DATA_TYPE_TRIP, (const char *)record_id(i).data);
        if (!record)
            continue;
        device->copies[i] = device->pulled[i] =
            (struct copy){true, record->deleted, record->version, record->data};
    }
    device->acknowledged = world.user.head.sequence;
}

/* Every version, got back from the present one and the log. */
static void check_history(void) {
    for (size_t i = 0; i < RECORDS; i++) {
        const struct record *record =
            memory_user_find(&world.user, DATA_TYPE_TRIP, (const char *)record_id(i).data);
        if (!record)
            continue;
        struct record_want want = {.key = record->key, .history = true};
        struct touched touched = {.user = SLICE("u"), .records = &want, .record_count = 1};
        struct user_view view;
        memory_user_load(&world.user, &touched, &arena, &view);
        struct slice data = record->data;
        uint64_t version = record->version;
        for (size_t h = 0; h < view.records[0].history_count; h++) {
            const struct log_entry *entry = &view.records[0].history[h];
            assert_int_equal(entry->sequence, version);
            assert_true(slice_equal(data, world.versions[version]));
            if (entry->previous_deleted)
                data = SLICE_EMPTY;
            else
                assert_int_equal(delta_apply(data, entry->undo, &arena, &data), SYNC_OK);
            version = entry->previous_version;
        }
        assert_int_equal(version, 0);
    }
}

/* Notes what each record is after the latest changes; the last of a commit only, so the check above
 * needs one commit a change. */
static void note_versions(void) {
    for (size_t i = 0; i < world.user.record_count; i++)
        world.versions[world.user.records[i].version] = world.user.records[i].data;
}

/* What a device would have by a delta pull is what it would have by a whole one. */
static void check_patches(const struct device *device) {
    for (size_t i = 0; i < RECORDS; i++) {
        const struct copy *copy = &device->pulled[i];
        const struct record *record =
            memory_user_find(&world.user, DATA_TYPE_TRIP, (const char *)record_id(i).data);
        if (!record || !copy->found || record->version <= device->acknowledged)
            continue;
        struct pulled item = {.record = *record};
        struct slice patched;
        assert_int_equal(pull_make_patch(&item, device->acknowledged, PATCH_FORM_MERGE, &arena),
                         SYNC_OK);
        if (item.form == PATCH_FORM_NONE)
            continue;
        assert_int_equal(document_merge_patch(copy->data, item.patch, &arena, &patched), SYNC_OK);
        assert_true(slice_equal(patched, record->data));
    }
}

static void expect_alike(void) {
    for (size_t d = 0; d < DEVICES; d++) {
        struct checksum sum = {0, 0};
        struct buffer scratch;
        buffer_init(&scratch, 1 << 20);
        for (size_t i = 0; i < RECORDS; i++) {
            const struct copy *copy = &world.devices[d].copies[i];
            struct record_key key = {DATA_TYPE_TRIP, record_id(i)};
            struct checksum element;
            if (!copy->found || copy->deleted)
                continue;
            assert_int_equal(checksum_element(&key, copy->data, &scratch, &element), SYNC_OK);
            sum = checksum_add(sum, element);
        }
        buffer_done(&scratch);
        assert_true(sum.high == world.user.head.checksum.high &&
                    sum.low == world.user.head.checksum.low);
    }
}

static void three_devices_that_edit_offline_end_alike(void **state) {
    (void)state;
    static const char *const NAMES[DEVICES] = {"phone", "tablet", "laptop"};
    memory_user_init(&world.user);
    world.now_us = 1764000000000000;
    for (size_t d = 0; d < DEVICES; d++)
        world.devices[d] = (struct device){.name = NAMES[d]};
    for (int round = 0; round < ROUNDS; round++) {
        struct device *device = &world.devices[pick(DEVICES)];
        world.now_us += 1000000;
        switch (pick(3)) {
        case 0:
            for (uint32_t i = 0; i <= pick(4); i++)
                edit(device);
            break;
        case 1:
            upload(device);
            break;
        default:
            if (device->queued == 0) {
                check_patches(device);
                pull(device);
            }
        }
    }
    for (size_t d = 0; d < DEVICES; d++)
        upload(&world.devices[d]);
    for (size_t d = 0; d < DEVICES; d++)
        pull(&world.devices[d]);
    expect_alike();
    memory_user_done(&world.user);
}

static void every_version_can_be_had_back(void **state) {
    (void)state;
    static const char *const NAMES[DEVICES] = {"phone", "tablet", "laptop"};
    memory_user_init(&world.user);
    world.now_us = 1764000000000000;
    for (size_t d = 0; d < DEVICES; d++)
        world.devices[d] = (struct device){.name = NAMES[d]};
    for (int round = 0; round < ROUNDS; round++) {
        struct device *device = &world.devices[pick(DEVICES)];
        world.now_us += 1000000;
        edit(device);
        upload(device);
        note_versions();
        if (pick(3) == 0)
            pull(device);
        check_history();
    }
    memory_user_done(&world.user);
}

int main(void) {
    const char *given = getenv("CORE_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    else
        random_system()->fill(random_system()->context, (uint8_t *)&seed, sizeof seed);
    random_state = seed;
    printf("CORE_TEST_SEED=%llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        ARENA_TEST(deltas_turn_any_document_into_any_other),
        ARENA_TEST(three_devices_that_edit_offline_end_alike),
        ARENA_TEST(three_devices_that_edit_offline_end_alike),
        ARENA_TEST(three_devices_that_edit_offline_end_alike),
        ARENA_TEST(every_version_can_be_had_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
