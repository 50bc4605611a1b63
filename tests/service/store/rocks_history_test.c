/* What the histories of records cost to read, and where they end. */
#include "base/limits.h"
#include "tests/service/store/store_rocks.h"

enum { RECORDS = 100, COMMITS = 20 };

/* A store that counts. */
struct counting {
    struct metrics *metrics;
    struct store *store;
    struct arena arena;
    struct user_head head;
};

static int set_up(void **state) {
    static struct counting counting;
    struct sync_error error = {0};
    counting = (struct counting){.metrics = metrics_open()};
    struct rocks_store_options options = {
        .path = fresh_path(), .random = random_system(), .metrics = counting.metrics};
    arena_init(&counting.arena, 1 << 30);
    *state = &counting;
    return counting.metrics && rocks_store_open(&options, &error, &counting.store) == SYNC_OK ? 0
                                                                                              : -1;
}

static int tear_down(void **state) {
    struct counting *counting = *state;
    arena_done(&counting->arena);
    store_close(counting->store);
    metrics_close(counting->metrics);
    return 0;
}

/* The blocks of logs that were read for histories. */
static unsigned long blocks_read(const struct counting *counting) {
    static const char NAME[] = "\nsync_store_history_blocks_total ";
    struct buffer page;
    buffer_init(&page, 1 << 20);
    metrics_render(counting->metrics, &page);
    buffer_append_byte(&page, '\0');
    const char *found = strstr((const char *)page.data, NAME);
    assert_non_null(found);
    unsigned long count = strtoul(found + sizeof NAME - 1, NULL, 10);
    buffer_done(&page);
    return count;
}

/* Changes all records once in one commit. */
static void change_all(struct counting *counting, size_t records, bool as_sent) {
    struct fixture_wish wish = wish_of(SLICE("u"), counting->head, records);
    struct fixture_commit *commit = arena_alloc(&counting->arena, sizeof *commit);
    assert_non_null(commit);
    wish.first = 0;
    wish.as_sent = as_sent;
    fixture_make(commit, &counting->arena, &wish);
    for (size_t i = 0; i < records && counting->head.sequence > 0; i++) {
        commit->log[i].previous_version = counting->head.sequence - records + 1 + i;
        commit->log[i].previous_deleted = false;
    }
    assert_int_equal(store_commit_wait(counting->store, &commit->set, &counting->head), SYNC_OK);
}

/* Loads all records with what they went through after a sequence. */
static struct record_view *load_all(struct counting *counting, size_t records, uint64_t after,
                                    struct slice device) {
    struct record_want *wants = arena_zalloc(&counting->arena, records, sizeof *wants);
    struct user_view view;
    assert_non_null(wants);
    for (size_t i = 0; i < records; i++)
        wants[i] =
            (struct record_want){.key = {DATA_TYPE_TRIP, fixture_id(&counting->arena, "t", i)},
                                 .history = true,
                                 .history_after = after,
                                 .history_of = device};
    struct touched want = {.user = SLICE("u"), .records = wants, .record_count = records};
    assert_int_equal(store_load(counting->store, NULL, &want, &counting->arena, &view), SYNC_OK);
    return view.records;
}

static void histories_of_many_records_read_each_block_once(void **state) {
    struct counting *counting = *state;
    for (size_t i = 0; i < COMMITS; i++)
        change_all(counting, RECORDS, false);
    struct record_view *views = load_all(counting, RECORDS, 0, SLICE_EMPTY);
    for (size_t i = 0; i < RECORDS; i++) {
        assert_int_equal(views[i].history_count, COMMITS);
        assert_false(views[i].history_trimmed);
        for (size_t at = 0; at < COMMITS; at++)
            assert_int_equal(views[i].history[at].sequence, (COMMITS - 1 - at) * RECORDS + i + 1);
    }
    assert_int_equal(blocks_read(counting), COMMITS);
}

static void history_of_what_a_device_sent_itself_reads_one_block(void **state) {
    struct counting *counting = *state;
    for (size_t i = 0; i < COMMITS; i++)
        change_all(counting, RECORDS, true);
    struct record_view *views = load_all(counting, RECORDS, 0, SLICE("phone"));
    for (size_t i = 0; i < RECORDS; i++)
        assert_int_equal(views[i].history_count, 1);
    assert_int_equal(blocks_read(counting), 1);
}

static void histories_are_cut_alike_where_they_are_too_long(void **state) {
    enum { MANY = 1000, ROUNDS = LOAD_HISTORY_MAX / MANY + 2 };
    struct counting *counting = *state;
    for (size_t i = 0; i < ROUNDS; i++)
        change_all(counting, MANY, false);
    struct record_view *views = load_all(counting, MANY, 0, SLICE_EMPTY);
    size_t entries = 0;
    for (size_t i = 0; i < MANY; i++) {
        assert_true(views[i].history_trimmed);
        assert_in_range(views[i].history_count, ROUNDS - 2, ROUNDS - 1);
        entries += views[i].history_count;
    }
    assert_int_equal(entries, LOAD_HISTORY_MAX);
    views = load_all(counting, MANY, (ROUNDS - 2) * MANY, SLICE_EMPTY);
    for (size_t i = 0; i < MANY; i++)
        assert_true(!views[i].history_trimmed && views[i].history_count == 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define HISTORY_TEST(test_) cmocka_unit_test_setup_teardown(test_, set_up, tear_down)
        HISTORY_TEST(histories_of_many_records_read_each_block_once),
        HISTORY_TEST(history_of_what_a_device_sent_itself_reads_one_block),
        HISTORY_TEST(histories_are_cut_alike_where_they_are_too_long),
#undef HISTORY_TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
