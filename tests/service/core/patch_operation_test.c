/* Patch operations: their form, what they do, and what leads nowhere. */
#include "service/core/patch_operation.h"

#include "base/wire.h"
#include "service/core/delta.h"
#include "service/core/document_read.h"
#include "tests/service/core/patch_steps.h"

static const char TRIP[] =
    "{\"legs\":[{\"id\":\"a\",\"seat\":\"1A\"},{\"id\":\"b\",\"seat\":\"2B\"}],"
    "\"name\":\"Rome\",\"rooms\":[{\"id\":7,\"beds\":[{\"id\":1}]}],\"tags\":[\"x\",\"y\"]}";

/* Packs, reads back and applies operations to the trip. */
static enum sync_status apply(const struct patch_operation *operations, size_t count,
                              struct sync_error *error, struct slice *ret_document) {
    struct patch_operation read[8];
    struct slice packed, message;
    size_t position = 0, failed = count, number = 0;
    assert_true(count <= 8);
    assert_int_equal(patch_operations_pack(operations, count, &arena, &packed), SYNC_OK);
    while (patch_operations_next(packed, &position, &message)) {
        enum sync_status status = patch_operation_read(message, &arena, error, &read[number++]);
        if (status)
            return status;
    }
    assert_int_equal(number, count);
    return patch_operations_apply(doc(TRIP), read, count, &arena, error, &failed, ret_document);
}

#define assert_applied(expected, ...)                                                              \
    do {                                                                                           \
        const struct patch_operation operations[] = {__VA_ARGS__};                                 \
        struct sync_error error = {0};                                                             \
        struct slice document;                                                                     \
        assert_int_equal(                                                                          \
            apply(operations, sizeof operations / sizeof *operations, &error, &document),          \
            SYNC_OK);                                                                              \
        assert_document(document, expected);                                                       \
    } while (0)

#define LEGS "{\"id\":\"a\",\"seat\":\"1A\"},{\"id\":\"b\",\"seat\":\"2B\"}"
#define REST                                                                                       \
    "\"name\":\"Rome\",\"rooms\":[{\"beds\":[{\"id\":1}],\"id\":7}],\"tags\":[\"x\",\"y\"]}"

static void fields_and_elements_are_set_and_removed(void **state) {
    (void)state;
    assert_applied("{\"legs\":[" LEGS
                   "],\"name\":null,\"rooms\":[{\"beds\":[{\"id\":1}],\"id\":7}],"
                   "\"tags\":[\"z\"]}",
                   set("/tags", "[\"z\"]"), set("/name", "null"));
    assert_applied("{\"legs\":[{\"id\":\"a\",\"seat\":\"9F\"},{\"id\":\"b\"}]," REST,
                   set("/legs/a/seat", "\"9F\""), gone("/legs/b/seat"), gone("/nothing"));
    assert_applied("{\"legs\":[{\"id\":\"b\",\"seat\":\"2B\"},{\"id\":\"c\"}]," REST,
                   gone("/legs/a"), set("/legs/c", "{\"id\":\"c\"}"));
    assert_applied("{\"legs\":[" LEGS
                   "],\"name\":\"Rome\",\"rooms\":[{\"beds\":[{\"id\":1,\"w\":2},"
                   "{\"id\":-12}],\"id\":7}],\"tags\":[\"x\",\"y\"]}",
                   set("/rooms/7/beds/1/w", "2"), set("/rooms/7/beds/-12", "{\"id\":-12}"));
    assert_applied("{\"a/b\":{\"c~\":1},\"legs\":[" LEGS "]," REST, set("/a~1b", "{}"),
                   set("/a~1b/c~0", "1"));
}

static void an_element_keeps_its_place_unless_it_left(void **state) {
    (void)state;
    assert_applied("{\"legs\":[{\"id\":\"a\",\"x\":1},{\"id\":\"b\",\"seat\":\"2B\"}]," REST,
                   set("/legs/a", "{\"id\":\"a\",\"x\":1}"));
    assert_applied("{\"legs\":[{\"id\":\"b\",\"seat\":\"2B\"},{\"id\":\"a\",\"x\":1}]," REST,
                   gone("/legs/a"), set("/legs/a", "{\"id\":\"a\",\"x\":1}"));
}

static void a_field_moves_with_what_is_in_it(void **state) {
    (void)state;
    assert_applied("{\"name\":\"Rome\",\"rooms\":[{\"beds\":[{\"id\":1}],\"id\":7}],\"segments\":["
                   "{\"id\":\"a\",\"seat\":\"3C\"},{\"id\":\"b\",\"seat\":\"2B\"}],"
                   "\"tags\":[\"x\",\"y\"]}",
                   move("/legs", "/segments"), set("/segments/a/seat", "\"3C\""));
    assert_applied(
        "{\"legs\":[{\"id\":\"a\",\"place\":\"1A\"},{\"id\":\"b\",\"seat\":\"2B\"}]," REST,
        move("/legs/a/seat", "/legs/a/place"));
}

static void elements_get_the_order_of_the_ids(void **state) {
    (void)state;
    assert_applied(
        "{\"legs\":[{\"id\":\"b\",\"seat\":\"2B\"},{\"id\":\"a\",\"seat\":\"1A\"}]," REST,
        order("/legs", "[\"b\",\"a\"]"));
    assert_applied("{\"legs\":[{\"id\":\"c\"}," LEGS "]," REST, set("/legs/c", "{\"id\":\"c\"}"),
                   order("/legs", "[\"c\",\"gone\",\"c\"]"));
}

static void what_leads_nowhere_is_told_with_its_number(void **state) {
    (void)state;
    const struct {
        struct patch_operation operation;
        const char *field;
    } BAD[] = {
        {set("/nowhere/x", "1"), "path"},
        {set("/name/x", "1"), "path"},
        {set("/tags/x", "1"), "path"},
        {set("/legs/z/seat", "1"), "path"},
        {set("/legs/c", "{\"id\":\"d\"}"), "path"},
        {set("/legs/c", "{\"id\":3}"), "path"},
        {set("/legs/c", "5"), "path"},
        {set("/rooms/07", "{\"id\":7}"), "path"},
        {move("/nowhere", "/x"), "moveFrom"},
        {move("/legs/z/seat", "/x"), "moveFrom"},
        {move("/legs", "/legs/a/seat"), "path"},
        {move("/name", "/legs/c"), "path"},
        {order("/tags", "[]"), "path"},
        {order("/name", "[]"), "path"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        const struct patch_operation operations[] = {set("/ok", "1"), BAD[i].operation};
        struct sync_error error = {0};
        struct slice document = SLICE("untouched");
        size_t failed = 9;
        assert_int_equal(
            patch_operations_apply(doc(TRIP), operations, 2, &arena, &error, &failed, &document),
            SYNC_ERR_INVALID);
        assert_int_equal(failed, 1);
        assert_string_equal(error.field, BAD[i].field);
        assert_string_equal(error.reason, "PATH_NOT_FOUND");
        assert_true(slice_equal(document, SLICE("untouched")));
    }
}

static void what_is_no_operation_is_told_with_its_field(void **state) {
    (void)state;
    static const struct {
        struct slice message;
        const char *field;
    } BAD[] = {
        {SLICE(""), ""},                          /* no step */
        {SLICE("\x0a\2/a"), ""},                  /* no step either */
        {SLICE("\x0a\2/a\x18\0"), ""},            /* a removal that says no */
        {SLICE("\x0a\2/a\x12"), ""},              /* cut off */
        {SLICE("\x08\1\x18\1"), ""},              /* a path that is a number */
        {SLICE("\x18\1"), "path"},                /* no path */
        {SLICE("\x0a\1a\x18\1"), "path"},         /* no pointer */
        {SLICE("\x0a\3/~2\x18\1"), "path"},       /* no escape */
        {SLICE("\x0a\2/~\x18\1"), "path"},        /* half of one */
        {SLICE("\x0a\2/\xff\x18\1"), "path"},     /* no UTF-8 */
        {SLICE("\x0a\2/a\x22\1b"), "moveFrom"},   /* from no pointer */
        {SLICE("\x0a\2/a\x12\2\x1a\5"), "set"},   /* no value */
        {SLICE("\x0a\2/a\x2a\2\x0a\5"), "order"}, /* no list */
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct sync_error error = {0};
        struct patch_operation operation;
        assert_int_equal(patch_operation_read(BAD[i].message, &arena, &error, &operation),
                         SYNC_ERR_INVALID);
        if (strcmp(BAD[i].field, "set") && strcmp(BAD[i].field, "order"))
            assert_string_equal(error.field, BAD[i].field);
    }
    struct patch_operation operation;
    assert_int_equal(patch_operation_read(SLICE("\x0a\2/a\x18\1\x7a\1x"), &arena, NULL, &operation),
                     SYNC_OK); /* a field of a later version */
    assert_int_equal(operation.step, PATCH_REMOVE);
}

static void a_path_of_too_many_segments_is_refused(void **state) {
    (void)state;
    char path[2 * (DELTA_PATH_MAX + 1) + 1];
    for (size_t i = 0; i < sizeof path; i++)
        path[i] = i % 2 ? 'a' : '/';
    path[sizeof path - 1] = '\0';
    for (size_t size = 2 * DELTA_PATH_MAX; size < sizeof path; size += 2) {
        struct patch_operation operation = gone(path), read;
        struct slice packed, message;
        size_t position = 0;
        operation.path.size = size;
        assert_int_equal(patch_operations_pack(&operation, 1, &arena, &packed), SYNC_OK);
        assert_true(patch_operations_next(packed, &position, &message));
        assert_int_equal(patch_operation_read(message, &arena, NULL, &read),
                         size > 2 * DELTA_PATH_MAX ? SYNC_ERR_INVALID : SYNC_OK);
    }
}

static void what_operations_take_away_can_be_had_alone(void **state) {
    (void)state;
    const struct patch_operation operations[] = {
        move("/legs", "/ways"), gone("/ways/a/seat"), set("/ways/c", "{\"id\":\"c\"}"),
        gone("/ways/c/id"),     set("/tags", "[]"),   gone("/rooms/7/beds/1")};
    struct slice document;
    assert_int_equal(patch_operations_take(doc(TRIP), operations, 6, &arena, &document), SYNC_OK);
    assert_document(document, "{\"name\":\"Rome\",\"rooms\":[{\"beds\":[],\"id\":7}],"
                              "\"tags\":[\"x\",\"y\"],"
                              "\"ways\":[{\"id\":\"a\"},{\"id\":\"b\",\"seat\":\"2B\"}]}");
}

static void without_memory_nothing_is_applied(void **state) {
    (void)state;
    const struct patch_operation operations[] = {set("/legs/c", "{\"id\":\"c\"}"),
                                                 order("/legs", "[\"c\"]"), move("/legs", "/x"),
                                                 gone("/rooms/7/beds/1"), set("/new", "1")};
    struct slice trip = doc(TRIP), document = SLICE("untouched");
    size_t room = 0;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    for (; status == SYNC_ERR_NO_MEMORY && room < 1 << 20; room += 64) {
        struct arena small;
        size_t failed;
        arena_init(&small, room);
        assert_true(slice_equal(document, SLICE("untouched")));
        status = patch_operations_apply(trip, operations, 5, &small, NULL, &failed, &document);
        arena_done(&small);
    }
    assert_int_equal(status, SYNC_OK);
    assert_true(room > 1024);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(fields_and_elements_are_set_and_removed),
        ARENA_TEST(an_element_keeps_its_place_unless_it_left),
        ARENA_TEST(a_field_moves_with_what_is_in_it),
        ARENA_TEST(elements_get_the_order_of_the_ids),
        ARENA_TEST(what_leads_nowhere_is_told_with_its_number),
        ARENA_TEST(what_is_no_operation_is_told_with_its_field),
        ARENA_TEST(a_path_of_too_many_segments_is_refused),
        ARENA_TEST(what_operations_take_away_can_be_had_alone),
        ARENA_TEST(without_memory_nothing_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
