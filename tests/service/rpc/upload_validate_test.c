// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>

#include "base/memory.h"
#include "service/core/patch_operation.h"
#include "service/rpc/upload_validate.h"
#include "service/rpc/user_config.h"
#include "tests/service/core/json_document.h"

enum { ARENA_MAX = 64 << 20 };

static const int64_t NOW_US = 1700000000000000;

/* A request under check. */
struct fixture {
    struct arena arena;
    PB(UploadChangesRequest) request;
    PB(Change) changes[BATCH_CHANGES_MAX + 1];
    PB(Change) *list[BATCH_CHANGES_MAX + 1];
    Google__Protobuf__Timestamp time;
    struct violations violations;
    struct upload_content content;
};

static int fixture_setup(void **state) {
    static struct fixture fixture;
    fixture = (struct fixture){0};
    arena_init(&fixture.arena, ARENA_MAX);
    travelsense__sync__v1__upload_changes_request__init(&fixture.request);
    google__protobuf__timestamp__init(&fixture.time);
    fixture.time.seconds = NOW_US / 1000000 - 60;
    fixture.request.changes = fixture.list;
    for (size_t i = 0; i <= BATCH_CHANGES_MAX; i++)
        fixture.list[i] = &fixture.changes[i];
    violations_init(&fixture.violations, &fixture.arena, 0);
    *state = &fixture;
    return 0;
}

static int fixture_teardown(void **state) {
    arena_done(&((struct fixture *)*state)->arena);
    return 0;
}

/* Adds a sound create of a booking with the data; change what shall be at fault. */
static PB(Change) *add(struct fixture *fixture, const char *json) {
    size_t i = fixture->request.n_changes++;
    PB(Change) *change = &fixture->changes[i];
    travelsense__sync__v1__change__init(change);
    change->id = arena_format(&fixture->arena, "c%zu", i);
    change->type = (PB(ChangeType))CHANGE_CREATE;
    change->data_type = (PB(DataType))DATA_TYPE_BOOKING;
    change->timestamp = &fixture->time;
    if (json) {
        change->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
        change->data = message_bytes(json_struct(json, &fixture->arena));
    }
    return change;
}

static void check(struct fixture *fixture) {
    struct upload_rules rules = {.received_us = NOW_US, .random = random_system()};
    struct upload_message message = {.changes = fixture->request.changes,
                                     .count = fixture->request.n_changes,
                                     .sent_at = fixture->request.sent_at};
    upload_validate(&message, &rules, &fixture->violations, &fixture->content);
}

/* Checks, and finds exactly one fault. */
static void assert_fault(struct fixture *fixture, const char *field, const char *reason) {
    check(fixture);
    assert_int_equal(fixture->violations.count, 1);
    const struct rpc_violation *fault = &fixture->violations.list[0];
    assert_true(slice_equal(fault->field, slice_text(field)));
    assert_string_equal(fault->reason, reason);
    assert_true(fault->description.size > 0);
}

static void a_sound_batch_becomes_changes(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{\"b\":1,\"a\":{\"x\":null},\"id\":\"b1\"}");
    PB(Change) *gone = add(fixture, NULL);
    gone->type = (PB(ChangeType))CHANGE_DELETE;
    gone->data_type = (PB(DataType))DATA_TYPE_TRIP;
    gone->data_id = "t1";
    gone->base_version = 7;
    check(fixture);
    assert_false(violations_any(&fixture->violations));
    assert_int_equal(fixture->content.count, 2);
    assert_int_equal(fixture->content.types, 1 << DATA_TYPE_BOOKING | 1 << DATA_TYPE_TRIP);
    const struct change *first = &fixture->content.changes[0];
    assert_true(slice_equal(first->data_id, SLICE("b1")));
    assert_false(first->data_id_made);
    assert_int_equal(first->device_us, NOW_US - 60000000);
    assert_string_equal(json_text(first->data, &fixture->arena),
                        "{\"a\":{\"x\":null},\"b\":1,\"id\":\"b1\"}");
    assert_int_equal(fixture->content.changes[1].base_version, 7);
}

static void a_create_without_an_id_gets_one(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{\"a\":1}");
    check(fixture);
    assert_false(violations_any(&fixture->violations));
    assert_true(fixture->content.changes[0].data_id_made);
    assert_true(uuid_is_valid(fixture->content.changes[0].data_id));
}

static void a_batch_has_1_to_1000_changes(void **state) {
    struct fixture *fixture = *state;
    assert_fault(fixture, "changes", "REQUIRED");
    fixture_teardown(state);
    fixture_setup(state);
    for (size_t i = 0; i < BATCH_CHANGES_MAX; i++)
        add(fixture, "{}");
    check(fixture);
    assert_false(violations_any(&fixture->violations));
    assert_int_equal(fixture->content.count, BATCH_CHANGES_MAX);
    add(fixture, "{}");
    assert_fault(fixture, "changes", "TOO_MANY");
}

static void an_id_occurs_once_in_a_batch(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{}");
    add(fixture, "{}");
    add(fixture, "{}")->id = "c0";
    assert_fault(fixture, "changes[2].id", "DUPLICATE");
}

static void every_fault_of_the_largest_batch_finds_room(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < BATCH_CHANGES_MAX; i++) {
        PB(Change) *change = add(fixture, NULL);
        change->id = "";
        change->type = (PB(ChangeType))CHANGE_UPDATE;
        change->data_type = (PB(DataType))0;
        change->timestamp = NULL;
        change->base_version = -1;
    }
    check(fixture);
    assert_int_equal(fixture->violations.count, 6 * BATCH_CHANGES_MAX);
    assert_int_equal(fixture->violations.omitted, 0);
    const struct rpc_violation *last = &fixture->violations.list[6 * BATCH_CHANGES_MAX - 1];
    assert_true(slice_equal(last->field, SLICE("changes[999].baseVersion")));
}

static void faults_beyond_the_list_are_counted(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < BATCH_FAULTS_MAX + 7; i++)
        violations_add(&fixture->violations, "field", "REASON", "is wrong");
    assert_int_equal(fixture->violations.count, BATCH_FAULTS_MAX);
    assert_int_equal(fixture->violations.omitted, 7);
}

/* One fault: how to make it, and what it is called. */
struct fault_case {
    const char *json;
    int kind, type;
    const char *id, *data_id;
    int64_t base_version, seconds;
    const char *field, *reason;
};

static void each_fault_is_named_by_path(void **state) {
    static const struct fault_case cases[] = {
        {"{}", 1, 4, "", "", 0, 1, "changes[0].id", "REQUIRED"},
        {"{}", 1, 4, "a\x01", "", 0, 1, "changes[0].id", "INVALID_FORMAT"},
        {"{}", 0, 4, "c", "", 0, 1, "changes[0].type", "REQUIRED"},
        {"{}", 4, 4, "c", "d", 0, 1, "changes[0].type", "INVALID_VALUE"},
        {"{}", 1, 0, "c", "", 0, 1, "changes[0].dataType", "REQUIRED"},
        {"{}", 1, 99, "c", "", 0, 1, "changes[0].dataType", "INVALID_VALUE"},
        {"{}", 1, 4, "c", "", 0, -1, "changes[0].timestamp", "OUT_OF_RANGE"},
        {"{}", 1, 4, "c", "", 0, 253402300800, "changes[0].timestamp", "OUT_OF_RANGE"},
        {NULL, 1, 4, "c", "", 0, 1, "changes[0].data", "REQUIRED"},
        {NULL, 2, 4, "c", "d", 0, 1, "changes[0].data", "REQUIRED"},
        {NULL, 3, 4, "c", "", 0, 1, "changes[0].dataId", "REQUIRED"},
        {"{}", 2, 4, "c", "", 0, 1, "changes[0].dataId", "REQUIRED"},
        {"{\"id\":\"x\"}", 1, 4, "c", "y", 0, 1, "changes[0].dataId", "MISMATCH"},
        {"{\"id\":5}", 1, 4, "c", "", 0, 1, "changes[0].data.id", "INVALID_VALUE"},
        {"{\"id\":\"\"}", 1, 4, "c", "", 0, 1, "changes[0].data.id", "INVALID_FORMAT"},
        {"{}", 1, 4, "c", "d\n", 0, 1, "changes[0].dataId", "INVALID_FORMAT"},
        {"{}", 1, 4, "c", "", -1, 1, "changes[0].baseVersion", "OUT_OF_RANGE"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture *fixture = *state;
        PB(Change) *change = add(fixture, cases[i].json);
        change->type = (PB(ChangeType))cases[i].kind;
        change->data_type = (PB(DataType))cases[i].type;
        change->id = (char *)cases[i].id;
        change->data_id = (char *)cases[i].data_id;
        change->base_version = cases[i].base_version;
        fixture->time.seconds = cases[i].seconds;
        assert_fault(fixture, cases[i].field, cases[i].reason);
        fixture_teardown(state);
        fixture_setup(state);
    }
}

static void a_fault_deep_in_the_data_is_named_by_its_path(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{\"a\":{\"n\":9007199254740993}}");
    assert_fault(fixture, "changes[0].data.a.n", "INVALID_VALUE");
}

static void data_have_a_bound(void **state) {
    struct fixture *fixture = *state;
    PB(Change) *change = add(fixture, "{}");
    static uint8_t big[CHANGE_DATA_MAX + 1];
    change->data = message_bytes(slice_of(big, sizeof big));
    assert_fault(fixture, "changes[0].data", "TOO_LARGE");
}

/* Adds a sound update by operations, each a packed PatchOperation. */
static PB(Change) *add_operations(struct fixture *fixture, const struct slice *operations,
                                  size_t count) {
    PB(Change) *change = add(fixture, NULL);
    change->type = (PB(ChangeType))CHANGE_UPDATE;
    change->data_id = "b1";
    change->n_operations = count;
    change->operations = arena_alloc(&fixture->arena, count * sizeof *change->operations);
    assert_non_null(change->operations);
    for (size_t i = 0; i < count; i++)
        change->operations[i] = message_bytes(operations[i]);
    return change;
}

#define REMOVE_A SLICE("\x0a\x02/a\x18\x01")

static void operations_become_canonical(void **state) {
    struct fixture *fixture = *state;
    /* The step before the path, and a tag of two bytes. */
    static const struct slice sent[] = {SLICE("\x12\x02\x20\x01\x0a\x02/b"),
                                        SLICE("\x9a\x00\x01\x0a\x02/a")};
    struct slice message;
    size_t position = 0;
    add_operations(fixture, sent, 1);
    add_operations(fixture, (const struct slice[]){REMOVE_A, REMOVE_A}, 2);
    check(fixture);
    assert_false(violations_any(&fixture->violations));
    const struct change *change = &fixture->content.changes[0];
    assert_int_equal(change->data.size, 0);
    assert_true(patch_operations_next(change->operations, &position, &message));
    assert_true(slice_equal(message, SLICE("\x0a\x02/b\x12\x02\x20\x01")));
    assert_int_equal(position, change->operations.size);
    assert_int_equal(fixture->content.changes[1].operations.size, 2 * (1 + REMOVE_A.size));
}

static void faults_of_operations_are_named_by_path(void **state) {
    static const struct {
        struct slice operation;
        const char *field, *reason;
    } CASES[] = {
        {SLICE(""), "changes[0].operations[1]", "REQUIRED"},
        {SLICE("\x0a\x02/a"), "changes[0].operations[1]", "REQUIRED"},
        {SLICE("\x0a\x05"), "changes[0].operations[1]", "OPERATION_MALFORMED"},
        {SLICE("\x0a\x01x\x18\x01"), "changes[0].operations[1].path", "INVALID_VALUE"},
        {SLICE("\x0a\x02/a\x22\x01x"), "changes[0].operations[1].moveFrom", "INVALID_VALUE"},
        {SLICE("\x0a\x03/id\x22\x02/x"), "changes[0].operations[1].path", "INVALID_VALUE"},
        {SLICE("\x0a\x03/id\x12\x04\x1a\x02"
               "b2"),
         "changes[0].operations[1].set", "MISMATCH"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        add_operations(*state, (const struct slice[]){REMOVE_A, CASES[i].operation}, 2);
        assert_fault(*state, CASES[i].field, CASES[i].reason);
        fixture_teardown(state);
        fixture_setup(state);
    }
}

static void operations_are_for_updates_without_data_and_bounded(void **state) {
    static struct slice many[CHANGE_OPERATIONS_MAX + 1];
    for (size_t i = 0; i < CHANGE_OPERATIONS_MAX + 1; i++)
        many[i] = REMOVE_A;
    add_operations(*state, many, CHANGE_OPERATIONS_MAX + 1);
    assert_fault(*state, "changes[0].operations", "TOO_MANY");
    fixture_teardown(state);
    fixture_setup(state);
    static uint8_t big[CHANGE_DATA_MAX];
    many[0] = slice_of(big, sizeof big);
    add_operations(*state, many, 2);
    assert_fault(*state, "changes[0].operations", "TOO_LARGE");
    fixture_teardown(state);
    fixture_setup(state);
    add_operations(*state, many + 1, 1)->type = (PB(ChangeType))CHANGE_DELETE;
    assert_fault(*state, "changes[0].operations", "NOT_ALLOWED");
    fixture_teardown(state);
    fixture_setup(state);
    PB(Change) *both = add_operations(*state, many + 1, 1);
    both->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
    both->data = message_bytes(SLICE_EMPTY);
    assert_fault(*state, "changes[0].operations", "NOT_ALLOWED");
}

static void a_number_in_data_id_may_stand_beside_data_id(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{\"id\":5}")->data_id = "five";
    check(fixture);
    assert_false(violations_any(&fixture->violations));
    assert_true(slice_equal(fixture->content.changes[0].data_id, SLICE("five")));
}

static void a_sent_time_shows_the_clocks_offset(void **state) {
    struct fixture *fixture = *state;
    Google__Protobuf__Timestamp sent = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    sent.seconds = NOW_US / 1000000 + 3600;
    fixture->request.sent_at = &sent;
    add(fixture, "{}");
    check(fixture);
    assert_int_equal(fixture->content.clock_offset_us, 3600000000);
    sent.seconds = NOW_US / 1000000 + 1; /* the network's */
    check(fixture);
    assert_int_equal(fixture->content.clock_offset_us, 0);
}

static void faults_found_elsewhere_spoil_a_sound_batch(void **state) {
    struct fixture *fixture = *state;
    violations_init(&fixture->violations, &fixture->arena, 3);
    add(fixture, "{}");
    check(fixture);
    assert_true(violations_any(&fixture->violations));
    assert_int_equal(fixture->violations.count, 0);
}

static void without_memory_a_batch_is_not_taken_for_sound(void **state) {
    struct fixture *fixture = *state;
    add(fixture, "{\"b\":1,\"a\":2,\"id\":\"b1\"}");
    add(fixture, "{\"c\":\"text\",\"a\":[1,2]}");
    add_operations(fixture, (const struct slice[]){REMOVE_A}, 1);
    bool is_sound = false;
    unsigned failures = 0;
    for (uint64_t n = 1; !is_sound; n++) {
        struct arena arena; /* of the check alone: the request lives on */
        arena_init(&arena, ARENA_MAX);
        violations_init(&fixture->violations, &arena, 0);
        memory_fail_after(n);
        check(fixture);
        memory_fail_after(0);
        is_sound = !violations_any(&fixture->violations);
        failures += fixture->violations.no_memory;
        arena_done(&arena);
    }
    assert_true(failures > 0);
    assert_int_equal(fixture->content.count, 3);
}

/* Settings: the same violations serve. */

static PB(SyncConfig) *config_default(struct fixture *fixture) {
    struct row row = {.table = TABLE_CONFIG};
    PB(SyncConfig) *config = user_config_read(&row, SLICE("anna"), &fixture->arena);
    assert_non_null(config);
    return config;
}

static void a_user_without_settings_has_the_defaults(void **state) {
    struct fixture *fixture = *state;
    PB(SyncConfig) *config = config_default(fixture);
    assert_string_equal(config->user_id, "anna");
    assert_true(config->auto_sync);
    assert_int_equal(config->sync_interval, 15);
    assert_int_equal(config->n_data_types, 4);
    assert_int_equal(config->bandwidth_limit, 0);
    assert_true(config->compress_data);
    assert_int_equal(config->conflict_resolution, STRATEGY_MERGE);
    assert_null(config->created_at);
}

static void an_update_changes_what_the_mask_names(void **state) {
    struct fixture *fixture = *state;
    PB(SyncConfig) *config = config_default(fixture), wanted = PB_INIT(SYNC_CONFIG);
    PB(UpdateSyncConfigRequest) request = PB_INIT(UPDATE_SYNC_CONFIG_REQUEST);
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    char *paths[] = {"auto_sync", "bandwidth_limit", "user_id"};
    mask.paths = paths;
    mask.n_paths = 3;
    wanted.bandwidth_limit = 10000000;
    wanted.user_id = "bob";
    request.config = &wanted;
    request.update_mask = &mask;
    user_config_update(config, &request, &fixture->violations);
    assert_false(violations_any(&fixture->violations));
    assert_false(config->auto_sync);
    assert_int_equal(config->bandwidth_limit, 10000000);
    assert_int_equal(config->sync_interval, 15);
    assert_string_equal(config->user_id, "anna");
}

static void settings_out_of_range_are_named(void **state) {
    struct fixture *fixture = *state;
    PB(SyncConfig) *config = config_default(fixture), wanted = PB_INIT(SYNC_CONFIG);
    PB(UpdateSyncConfigRequest) request = PB_INIT(UPDATE_SYNC_CONFIG_REQUEST);
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    char *paths[] = {"sync_interval",       "bandwidth_limit", "data_types",
                     "conflict_resolution", "colour",          "config.auto_sync"};
    mask.paths = paths;
    mask.n_paths = 6;
    wanted.sync_interval = 10081;
    wanted.bandwidth_limit = -1;
    request.config = &wanted;
    request.update_mask = &mask;
    user_config_update(config, &request, &fixture->violations);
    const char *const fields[] = {"config.syncInterval", "config.bandwidthLimit",
                                  "config.dataTypes",    "config.conflictResolution",
                                  "updateMask",          "updateMask"};
    assert_int_equal(fixture->violations.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_true(slice_equal(fixture->violations.list[i].field, slice_text(fields[i])));
}

static void an_empty_mask_takes_what_is_set(void **state) {
    struct fixture *fixture = *state;
    PB(SyncConfig) *config = config_default(fixture), wanted = PB_INIT(SYNC_CONFIG);
    PB(UpdateSyncConfigRequest) request = PB_INIT(UPDATE_SYNC_CONFIG_REQUEST);
    wanted.sync_interval = 1;
    request.config = &wanted;
    user_config_update(config, &request, &fixture->violations);
    assert_false(violations_any(&fixture->violations));
    assert_int_equal(config->sync_interval, 1);
    assert_true(config->auto_sync);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_sound_batch_becomes_changes),
        TEST(a_create_without_an_id_gets_one),
        TEST(a_batch_has_1_to_1000_changes),
        TEST(an_id_occurs_once_in_a_batch),
        TEST(every_fault_of_the_largest_batch_finds_room),
        TEST(faults_beyond_the_list_are_counted),
        TEST(each_fault_is_named_by_path),
        TEST(a_fault_deep_in_the_data_is_named_by_its_path),
        TEST(data_have_a_bound),
        TEST(operations_become_canonical),
        TEST(faults_of_operations_are_named_by_path),
        TEST(operations_are_for_updates_without_data_and_bounded),
        TEST(a_number_in_data_id_may_stand_beside_data_id),
        TEST(a_sent_time_shows_the_clocks_offset),
        TEST(faults_found_elsewhere_spoil_a_sound_batch),
        TEST(without_memory_a_batch_is_not_taken_for_sound),
        TEST(a_user_without_settings_has_the_defaults),
        TEST(an_update_changes_what_the_mask_names),
        TEST(settings_out_of_range_are_named),
        TEST(an_empty_mask_takes_what_is_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
