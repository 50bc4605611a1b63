/* What changed after a sequence, and where the changes since a time begin: random histories,
 * compared with what was written. The seed is printed; STORE_TEST_SEED sets it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/service/store/store_contract_tests.h"

enum { POOL_MAX = 700, ASKED = 12 };

/* One user's records as they must be. */
struct history {
    struct contract *contract;
    struct slice user;
    uint64_t seed;
    size_t pool; /* records to choose from; some are never chosen */
    struct user_head head;
    uint64_t versions[POOL_MAX]; /* 0: there is none */
    int64_t times[POOL_MAX], commit_times[POOL_MAX];
};

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static uint64_t pick(struct history *history, uint64_t below) {
    return (next_random(&history->seed) >> 20) % below;
}

static struct record_key key_of(struct arena *arena, size_t number) {
    return (struct record_key){.type = (enum data_type)(DATA_TYPE_FIRST + number % 4),
                               .id = fixture_id(arena, "record-", number)};
}

/* Makes one change of the commit and notes it; of several changes of a record the last is put. */
static void history_change(struct history *history, size_t *places, size_t i) {
    struct fixture_commit *commit = history->contract->commit;
    struct write_set *set = &commit->set;
    size_t number = pick(history, history->pool) * (1 + pick(history, 2)) % history->pool;
    struct record record = commit->records[i];
    record.key = key_of(&history->contract->arena, number);
    if (pick(history, 9) == 0)
        record = (struct record){.key = record.key,
                                 .version = record.version,
                                 .updated_us = record.updated_us,
                                 .deleted = true};
    commit->log[i].key = record.key;
    commit->log[i].previous_version = history->versions[number];
    commit->log[i].previous_deleted = history->versions[number] == 0;
    if (places[number] == SIZE_MAX)
        places[number] = set->record_count++;
    commit->records[places[number]] = record;
    history->versions[number] = record.version;
    history->times[number] = record.updated_us;
    history->commit_times[number] = set->head.time_us;
}

static void history_commit(struct history *history, size_t count) {
    struct contract *contract = history->contract;
    size_t places[POOL_MAX];
    arena_reset(&contract->arena);
    for (size_t i = 0; i < POOL_MAX; i++)
        places[i] = SIZE_MAX;
    fixture_make(
        contract->commit, &contract->arena,
        &(struct fixture_wish){.user = history->user,
                               .head = history->head,
                               .type = DATA_TYPE_TRIP,
                               .prefix = "r",
                               .count = count,
                               .data = SLICE("d"),
                               .time_us = history->head.time_us + 1 + (int64_t)pick(history, 3)});
    contract->commit->set.record_count = 0;
    for (size_t i = 0; i < count; i++)
        history_change(history, places, i);
    enum sync_status status;
    do {
        if (contract->is_tried_without_memory)
            memory_fail_after(pick(history, 40));
        status = store_commit_wait(contract->store, &contract->commit->set, &history->head);
        memory_fail_after(0);
    } while (status == SYNC_ERR_NO_MEMORY);
    assert_int_equal(status, SYNC_OK);
}

/* What a scan visits, checked as it comes. */
struct changed_check {
    const struct history *history;
    uint64_t last;
    size_t count, stop_at;
};

static bool changed_visit(void *context, const struct scan_item *item) {
    struct changed_check *check = context;
    const struct record_version *changed = item->changed;
    assert_non_null(changed);
    struct slice digits = slice_after(changed->key.id, strlen("record-"));
    size_t number = 0;
    for (size_t i = 0; i < digits.size; i++)
        number = 10 * number + digits.data[i] - '0';
    assert_true(number < check->history->pool);
    assert_int_equal(changed->key.type, DATA_TYPE_FIRST + (int)(number % 4));
    assert_int_equal(changed->version, check->history->versions[number]);
    assert_true(changed->version > check->last);
    check->last = changed->version;
    return ++check->count != check->stop_at;
}

/* Asks what changed after a sequence; the history says what must come. */
static void check_changed(const struct history *history, struct store_reader *reader,
                          uint64_t after) {
    struct changed_check check = {.history = history, .last = after};
    struct scan what = {.kind = SCAN_CHANGED, .user = history->user, .after = after};
    size_t wanted = 0;
    for (size_t i = 0; i < history->pool; i++)
        wanted += history->versions[i] > after;
    assert_int_equal(store_scan(history->contract->store, reader, &what, changed_visit, &check),
                     SYNC_OK);
    assert_int_equal(check.count, wanted);
    struct changed_check cut = {.history = history, .last = after, .stop_at = (wanted + 1) / 2};
    assert_int_equal(store_scan(history->contract->store, reader, &what, changed_visit, &cut),
                     SYNC_OK);
    assert_int_equal(cut.count, cut.stop_at);
}

/* Asks where the changes since a time begin: what was changed then or later comes, and of the rest
 * only what was committed together with such. */
static void check_since(const struct history *history, struct store_reader *reader,
                        int64_t time_us) {
    uint64_t found;
    assert_int_equal(
        store_sequence_before(history->contract->store, reader, history->user, time_us, &found),
        SYNC_OK);
    assert_true(found <= history->head.sequence);
    for (size_t i = 0; i < history->pool; i++) {
        if (history->versions[i] > 0 && history->times[i] >= time_us)
            assert_true(history->versions[i] > found);
        if (history->versions[i] > found)
            assert_true(history->commit_times[i] >= time_us);
    }
}

static void check_all(struct history *history, struct store_reader *reader) {
    uint64_t head = history->head.sequence;
    for (size_t i = 0; i < ASKED; i++) {
        uint64_t after = pick(history, head + 1);
        check_changed(history, reader,
                      i % 3 == 0   ? after
                      : i % 3 == 1 ? after / 64 * 64
                                   : head - after / 64);
        check_since(history, reader, (int64_t)pick(history, (uint64_t)history->head.time_us + 3));
    }
    check_changed(history, reader, head);
    check_changed(history, reader, head - 1);
    check_changed(history, reader, 0);
    check_changed(history, reader, UINT64_MAX);
    check_since(history, reader, INT64_MIN);
    check_since(history, reader, INT64_MAX);
}

static uint64_t seed_choose(void) {
    const char *wished = getenv("STORE_TEST_SEED");
    uint64_t seed = wished ? strtoull(wished, NULL, 10) : clock_now_us(clock_system());
    printf("STORE_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

/* Lives through a history of about `changes`, in commits of up to `commit_max`, some of it trimmed.
 */
static void history_live(struct contract *contract, struct slice user, size_t pool,
                         size_t commit_max, size_t changes, uint64_t seed) {
    struct history *history = memory_zalloc(1, sizeof *history), *then;
    assert_non_null(history);
    *history = (struct history){.contract = contract, .user = user, .pool = pool, .seed = seed};
    struct store_reader *reader = NULL;
    while (history->head.sequence < changes) {
        history_commit(history, 1 + pick(history, commit_max));
        if (pick(history, 1 + changes / commit_max / 4) == 0)
            check_all(history, NULL);
    }
    check_all(history, NULL);
    then = memory_alloc(sizeof *then);
    assert_non_null(then);
    *then = *history;
    assert_int_equal(store_reader_open(contract->store, &reader), SYNC_OK);
    struct store_trim trim = {.user = user, .log_before_us = history->head.time_us / 2};
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    history->head = fixture_head(contract->store, user);
    assert_true(history->head.log_floor > 0);
    for (size_t i = 0; i < 20; i++)
        history_commit(history, 1 + pick(history, commit_max));
    check_all(history, NULL);
    check_all(then, reader);
    store_reader_close(contract->store, reader);
    trim.log_before_us = INT64_MAX;
    assert_int_equal(store_trim(contract->store, &trim), SYNC_OK);
    history->head = fixture_head(contract->store, user);
    assert_int_equal(history->head.log_floor, history->head.sequence);
    check_all(history, NULL);
    history_commit(history, 3);
    check_all(history, NULL);
    memory_free(then);
    memory_free(history);
}

void changed_records_are_those_with_greater_versions(void **state) {
    uint64_t seed = seed_choose();
    history_live(*state, SLICE("changed-few"), 7, 40, 5000, seed);
    history_live(*state, SLICE("changed-some"), 90, 3, 1500, seed * 3);
    history_live(*state, SLICE("changed-many"), POOL_MAX, 1000, 36000, seed * 5);
}

/* Few records in a long log, whose entries all say that they are of new ones: what a store keeps to
 * find changes faster may hold nothing of them, as in one written before it was kept. */
void changed_records_are_found_in_a_long_log(void **state) {
    enum { RECORDS = 50, COMMITS = 150 };
    struct contract *contract = *state;
    struct history *history = memory_zalloc(1, sizeof *history);
    assert_non_null(history);
    history->contract = contract;
    history->user = SLICE("changed-long");
    history->pool = RECORDS;
    for (size_t commit = 0; commit < COMMITS; commit++) {
        history->head.record_count = 0; /* the fixture counts each as one more */
        arena_reset(&contract->arena);
        fixture_make(contract->commit, &contract->arena,
                     &(struct fixture_wish){.user = history->user,
                                            .head = history->head,
                                            .type = DATA_TYPE_TRIP,
                                            .prefix = "r",
                                            .count = RECORDS,
                                            .data = SLICE("d")});
        for (size_t i = 0; i < RECORDS; i++) {
            struct record *record = &contract->commit->records[i];
            record->key = contract->commit->log[i].key = key_of(&contract->arena, i);
            history->versions[i] = record->version;
        }
        assert_int_equal(store_commit_wait(contract->store, &contract->commit->set, &history->head),
                         SYNC_OK);
    }
    check_changed(history, NULL, 0);
    check_changed(history, NULL, 1000);
    check_changed(history, NULL, history->head.sequence - RECORDS / 2);
    check_changed(history, NULL, history->head.sequence);
    memory_free(history);
}

static bool count_visit(void *context, const struct scan_item *item) {
    assert_non_null(item->changed);
    ++*(size_t *)context;
    return true;
}

void unknown_user_has_changed_nothing(void **state) {
    struct contract *contract = *state;
    size_t count = 0;
    uint64_t sequence = 1;
    struct scan what = {.kind = SCAN_CHANGED, .user = SLICE("changed-nobody")};
    assert_int_equal(store_scan(contract->store, NULL, &what, count_visit, &count), SYNC_OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_sequence_before(contract->store, NULL, what.user, 5, &sequence),
                     SYNC_OK);
    assert_int_equal(sequence, 0);
    what.user = SLICE("a\0b");
    assert_int_equal(store_scan(contract->store, NULL, &what, count_visit, &count),
                     SYNC_ERR_INVALID);
    assert_int_equal(store_sequence_before(contract->store, NULL, what.user, 5, &sequence),
                     SYNC_ERR_INVALID);
}
