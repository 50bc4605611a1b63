/* When changes were made: what the clocks of devices, and the server's own, do to it. */
#include "service/core/hybrid_clock.h"
#include "tests/service/core/batch_sending.h"

static const int64_t MINUTE = 60000000, HOUR = 3600000000, YEAR = 31556952000000;

static struct change change_at(const char *id, const char *json, int64_t device_us) {
    struct change change = change_of(id, CHANGE_UPDATE, json);
    change.device_us = device_us;
    return change;
}

static void times_are_corrected_and_grow(void **state) {
    (void)state;
    struct sending skewed = {.device = "phone", .clock_offset_us = HOUR};
    struct change first = change_of("1", CHANGE_CREATE, "{\"a\":1}");
    struct change second = change_of("2", CHANGE_UPDATE, "{\"a\":2}");
    first.device_us = NOW + HOUR - 5000;
    second.device_us = NOW + HOUR + 5000;
    send(skewed, (struct change[]){first, second}, 2, NULL);
    assert_int_equal(user.log[0].device_us, first.device_us);
    assert_int_equal(user.log[0].corrected_us, NOW - 5000);
    assert_int_equal(user.log[1].corrected_us, NOW);
    assert_int_equal(memory_user_find(&user, DATA_TYPE_TRIP, "t")->updated_us, NOW + 1);
    struct sending behind = {.device = "phone", .now_us = NOW - 1000000};
    send_one(behind, change_of("3", CHANGE_UPDATE, "{\"a\":3}"), OUTCOME_APPLIED);
    assert_int_equal(memory_user_find(&user, DATA_TYPE_TRIP, "t")->updated_us, NOW + 2);
    assert_int_equal(user.head.time_us, NOW + 2);
}

/* The clock goes back by hours, to 1970 and ahead by 50 years between the changes of a batch. */
static void a_clock_that_leaps_within_a_batch_does_not_change_its_order(void **state) {
    (void)state;
    const int64_t made[] = {NOW - 9 * HOUR,  NOW - 12 * HOUR, 5,      NOW - 8 * HOUR,
                            NOW + 50 * YEAR, NOW - 7 * HOUR,  NOW - 1};
    enum { COUNT = sizeof made / sizeof *made };
    struct change changes[COUNT];
    start("{\"a\":0}");
    for (size_t i = 0; i < COUNT; i++) {
        const char *json = arena_format(&arena, "{\"a\":%zu}", i + 1);
        changes[i] = change_at(arena_format(&arena, "c%zu", i), json, made[i]);
    }
    send(PHONE, changes, COUNT, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        const struct log_entry *entry = &user.log[1 + i];
        assert_int_equal(entry->device_us, made[i]);
        assert_true(entry->corrected_us <= NOW);
        assert_true(i == 0 || entry->corrected_us >= user.log[i].corrected_us);
    }
    assert_int_equal(user.log[1].corrected_us, made[0]);
    assert_int_equal(user.log[3].corrected_us, made[0]);
    assert_int_equal(user.log[4].corrected_us, made[3]);
    expect_trip("{\"a\":7}", 8);
}

static const struct policy_rule LATEST_RULES[] = {{DATA_TYPE_TRIP, "**", FIELD_POLICY_LATEST}};
static const struct policy_set LATEST = {.rules = LATEST_RULES, .count = 1};

/* The tablet changed the trip half an hour ago; the phone's change, sent so, wins or loses. */
static void expect_latest(struct sending sending, int64_t phone_us, const char *json) {
    memory_user_done(&user);
    memory_user_init(&user);
    start("{\"a\":0}");
    send_one((struct sending){.device = "tablet", .acknowledged = 1},
             change_at("t", "{\"a\":1}", NOW - 30 * MINUTE), OUTCOME_APPLIED);
    sending.device = "phone2";
    sending.acknowledged = 1;
    sending.policies = &LATEST;
    send_one(sending, change_at("p", "{\"a\":2}", phone_us), OUTCOME_MERGED);
    expect_trip(json, memory_user_find(&user, DATA_TYPE_TRIP, "t")->version);
}

static void the_later_change_wins_whatever_the_clock_that_made_it_says(void **state) {
    (void)state;
    const int64_t skews[] = {0,         10 * MINUTE, -10 * MINUTE, 5 * HOUR,
                             -5 * HOUR, 50 * YEAR,   -50 * YEAR};
    for (size_t i = 0; i < sizeof skews / sizeof *skews; i++) {
        struct sending skewed = {.clock_offset_us = skews[i]};
        expect_latest(skewed, NOW + skews[i] - 20 * MINUTE, "{\"a\":2}");
        expect_latest(skewed, NOW + skews[i] - 40 * MINUTE, "{\"a\":1}");
    }
}

/* Whatever a device says, its change is at most as late as the one that it could make now. */
static void a_forged_clock_gains_no_more_than_a_change_made_now(void **state) {
    (void)state;
    struct sending forged = {.clock_offset_us = -50 * YEAR};
    expect_latest(forged, NOW - 40 * MINUTE, "{\"a\":2}");
    assert_int_equal(user.log[user.log_count - 1].corrected_us, NOW);
    send_one(
        (struct sending){
            .device = "tablet", .acknowledged = 2, .now_us = NOW + 2, .policies = &LATEST},
        change_at("t2", "{\"a\":3}", NOW + 1), OUTCOME_MERGED);
    expect_trip("{\"a\":3}", 4);
}

/* While the server's clock ran ten years ahead the tablet changed the trip; later changes win. */
static void a_server_clock_that_was_years_ahead_does_not_win_for_years(void **state) {
    (void)state;
    start("{\"a\":0,\"b\":0}");
    int64_t ahead = NOW + 10 * YEAR;
    send_one((struct sending){.device = "tablet", .acknowledged = 1, .now_us = ahead},
             change_at("t", "{\"a\":1}", ahead - MINUTE), OUTCOME_APPLIED);
    assert_int_equal(user.head.time_us, ahead);
    struct sending phone = {
        .device = "phone2", .acknowledged = 1, .now_us = NOW + HOUR, .policies = &LATEST};
    send_one(phone, change_at("p", "{\"a\":2}", NOW + HOUR - MINUTE), OUTCOME_MERGED);
    expect_trip("{\"a\":2,\"b\":0}", 3);
    assert_int_equal(user.head.time_us, NOW + HOUR);
    assert_int_equal(memory_user_find(&user, DATA_TYPE_TRIP, "t")->updated_us, NOW + HOUR);
}

static void a_deletion_while_the_server_clock_was_ahead_does_not_win_for_years(void **state) {
    (void)state;
    struct policy_set policies = {.deletes = {[DATA_TYPE_TRIP] = DELETE_POLICY_LATEST}};
    start("{\"a\":0}");
    struct change deletion = change_of("d", CHANGE_DELETE, NULL);
    deletion.device_us = NOW + 10 * YEAR;
    send_one((struct sending){.device = "tablet", .acknowledged = 1, .now_us = NOW + 10 * YEAR},
             deletion, OUTCOME_APPLIED);
    struct sending phone = {
        .device = "phone2", .acknowledged = 1, .now_us = NOW + HOUR, .policies = &policies};
    send_one(phone, change_at("p", "{\"a\":2}", NOW + HOUR - MINUTE), OUTCOME_MERGED);
    expect_trip("{\"a\":2}", 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(times_are_corrected_and_grow),
        USER_TEST(a_clock_that_leaps_within_a_batch_does_not_change_its_order),
        USER_TEST(the_later_change_wins_whatever_the_clock_that_made_it_says),
        USER_TEST(a_forged_clock_gains_no_more_than_a_change_made_now),
        USER_TEST(a_server_clock_that_was_years_ahead_does_not_win_for_years),
        USER_TEST(a_deletion_while_the_server_clock_was_ahead_does_not_win_for_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
