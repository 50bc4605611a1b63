#include "service/core/record_put.h"

#include "tests/base/memory_walk.h"
#include "tests/service/core/memory_user.h"
#include "tests/service/core/test_arena.h"

static const int64_t NOW = 1764000000000000;
static struct memory_user user;

static int set_up(void **state) {
    memory_user_init(&user);
    return arena_set_up(state);
}

static int tear_down(void **state) {
    memory_user_done(&user);
    return arena_tear_down(state);
}

#define USER_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

/* A put; without JSON a removal. */
static struct record_put put_of(const char *id, const char *json, uint64_t base_version) {
    struct record_put put = {
        .key = {DATA_TYPE_BOOKING, slice_text(id)}, .remove = !json, .base_version = base_version};
    if (json)
        put.data = doc(json);
    return put;
}

struct answer {
    struct write_set set;
    struct record *records;
    struct sync_error error;
};

/* Puts and commits. */
static enum sync_status put(const char *request_id, const struct record_put *puts, size_t count,
                            struct answer *answer) {
    struct record_put_batch batch = {.user = SLICE("u"),
                                     .puts = puts,
                                     .count = count,
                                     .request_id = slice_text(request_id),
                                     .now_us = NOW};
    struct touched want;
    struct user_view view;
    assert_int_equal(record_put_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    enum sync_status status =
        record_put_apply(&view, &batch, &arena, &answer->error, &answer->set, &answer->records);
    if (!status && answer->set.log_count + answer->set.settled_count > 0)
        memory_user_commit(&user, &answer->set);
    return status;
}

static void records_are_put_and_removed(void **state) {
    (void)state;
    struct record_put puts[] = {put_of("a", "{\"x\":1}", 0), put_of("b", "{\"y\":1}", 0)};
    struct answer answer;
    assert_int_equal(put(NULL, puts, 2, &answer), SYNC_OK);
    assert_int_equal(answer.records[0].version, 1);
    assert_int_equal(answer.records[1].version, 2);
    assert_int_equal(user.log[0].kind, CHANGE_CREATE);
    assert_int_equal(user.log[0].device.size, 0);
    struct record_put more[] = {put_of("a", "{\"x\":2}", 1), put_of("b", NULL, 2),
                                put_of("none", NULL, 0)};
    assert_int_equal(put(NULL, more, 3, &answer), SYNC_OK);
    assert_int_equal(answer.records[0].version, 3);
    assert_int_equal(answer.records[1].version, 4);
    assert_true(answer.records[1].deleted);
    assert_int_equal(answer.records[2].version, 0);
    assert_int_equal(user.log[2].kind, CHANGE_UPDATE);
    assert_int_equal(user.log[3].kind, CHANGE_DELETE);
    assert_int_equal(user.record_count, 2);
    assert_document(memory_user_find(&user, DATA_TYPE_BOOKING, "a")->data, "{\"x\":2}");
}

static void equal_data_change_nothing(void **state) {
    (void)state;
    struct record_put puts[] = {put_of("a", "{\"x\":1}", 0), put_of("a", "{\"x\":1}", 0)};
    struct answer answer;
    assert_int_equal(put(NULL, puts, 2, &answer), SYNC_OK);
    assert_int_equal(user.head.sequence, 1);
    assert_int_equal(answer.records[1].version, 1);
    assert_int_equal(put(NULL, puts, 1, &answer), SYNC_OK);
    assert_int_equal(answer.set.log_count + answer.set.record_count, 0);
}

static void one_wrong_version_puts_nothing(void **state) {
    (void)state;
    struct record_put puts[] = {put_of("a", "{\"x\":1}", 0), put_of("b", "{\"y\":1}", 7)};
    struct answer answer;
    assert_int_equal(put(NULL, puts, 2, &answer), SYNC_ERR_PRECONDITION);
    assert_string_equal(answer.error.reason, "VERSION_MISMATCH");
    assert_string_equal(answer.error.field, "records[1].baseVersion");
    assert_int_equal(user.head.sequence, 0);
    assert_int_equal(user.record_count, 0);
}

static void a_known_request_changes_nothing(void **state) {
    (void)state;
    struct record_put puts[] = {put_of("a", "{\"x\":1}", 0)};
    struct answer answer;
    assert_int_equal(put("r1", puts, 1, &answer), SYNC_OK);
    assert_int_equal(user.settled_count, 1);
    struct record_put newer[] = {put_of("a", "{\"x\":2}", 0)};
    assert_int_equal(put("r2", newer, 1, &answer), SYNC_OK);
    assert_int_equal(put("r1", puts, 1, &answer), SYNC_OK);
    assert_int_equal(answer.set.log_count + answer.set.settled_count, 0);
    assert_int_equal(answer.records[0].version, 2);
    assert_document(answer.records[0].data, "{\"x\":2}");
    assert_int_equal(put("r1", newer, 1, &answer), SYNC_ERR_PRECONDITION);
    assert_string_equal(answer.error.reason, "REQUEST_ID_REUSED");
}

static void refused_memory_is_told(void **state) {
    (void)state;
    struct record_put puts[] = {put_of("a", "{\"x\":1}", 0), put_of("b", "{\"y\":1}", 0)};
    struct record_put_batch batch = {
        .user = SLICE("u"), .puts = puts, .count = 2, .request_id = SLICE("r"), .now_us = NOW};
    struct touched want;
    struct user_view view;
    assert_int_equal(record_put_touch(&batch, &arena, &want), SYNC_OK);
    memory_user_load(&user, &want, &arena, &view);
    for (struct memory_walk walk = {0}; memory_walk_next(&walk);) {
        struct arena small;
        struct answer answer;
        arena_init(&small, 1 << 20);
        memory_walk_begin(&walk);
        enum sync_status status =
            record_put_apply(&view, &batch, &small, &answer.error, &answer.set, &answer.records);
        assert_int_equal(status, memory_walk_end(&walk) ? SYNC_ERR_NO_MEMORY : SYNC_OK);
        arena_done(&small);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(records_are_put_and_removed),    USER_TEST(equal_data_change_nothing),
        USER_TEST(one_wrong_version_puts_nothing), USER_TEST(a_known_request_changes_nothing),
        USER_TEST(refused_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
