/* What a device sent itself and has whole is base enough: no history before it makes another. */
#include <stdlib.h>

#include "tests/service/core/batch_sending.h"

enum { ROUNDS = 300, FIELDS = 4 };

static unsigned below(unsigned bound) {
    uint8_t bytes[2];
    random_fill(&random_state, bytes, sizeof bytes);
    return (bytes[0] | (unsigned)bytes[1] << 8) % bound;
}

/* A change of one or two of the fields, or a deletion, or a new beginning. */
static struct change any_change(unsigned number) {
    static const enum change_kind KINDS[] = {CHANGE_CREATE, CHANGE_DELETE};
    char *id = arena_format(&arena, "c%u", number);
    enum change_kind kind = below(10) == 0 ? KINDS[below(2)] : CHANGE_UPDATE;
    const char *json =
        arena_format(&arena, "{\"f%u\":%u,\"g%u\":%s}", below(FIELDS), below(3), below(FIELDS),
                     kind == CHANGE_UPDATE && below(4) == 0 ? "null" : "[1]");
    assert_true(id && json);
    struct change change = change_of(id, kind, kind == CHANGE_DELETE ? NULL : json);
    change.device_us += number;
    change_payload_hash(&change, change.payload_hash);
    return change;
}

/* Applies without a trace: with the history that is asked for, or with all of it. */
static struct change_result *apply(const struct change_batch *batch, bool with_all,
                                   struct write_set *ret_set, size_t *ret_entries) {
    struct batch_context context = {.now_us = NOW,
                                    .random = &RANDOM,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MERGE};
    struct touched want;
    struct user_view view;
    struct change_result *results;
    assert_int_equal(change_batch_touch(batch, &arena, &want), SYNC_OK);
    if (with_all)
        ((struct record_want *)want.records)->history_of = SLICE_EMPTY;
    memory_user_load(&user, &want, &arena, &view);
    *ret_entries = view.records[0].history_count;
    assert_int_equal(change_batch_apply(&view, batch, &context, &arena, ret_set, &results),
                     SYNC_OK);
    return results;
}

static void a_short_history_gives_what_a_long_one_gives(void **state) {
    (void)state;
    const char *seed = getenv("KNOWN_SEED");
    random_state = seed ? strtoull(seed, NULL, 10) : 7;
    print_message("KNOWN_SEED=%llu\n", (unsigned long long)random_state);
    size_t saved = 0;
    start("{\"f0\":0,\"g0\":0}");
    for (unsigned number = 0; number < ROUNDS; number++) {
        struct change change = any_change(number);
        bool by_phone = below(3) > 0;
        /* The tablet holds what there is; the phone says what it has seen now and then. */
        static uint64_t seen;
        seen = number == 0 ? 0 : below(10) == 0 ? user.head.sequence : seen;
        struct change_batch batch = {.user = SLICE("u"),
                                     .device = by_phone ? SLICE("phone") : SLICE("tablet"),
                                     .changes = &change,
                                     .count = 1,
                                     .acknowledged = by_phone ? seen : user.head.sequence};
        struct write_set set, all_set;
        size_t entries, all_entries;
        uint64_t random_before = random_state;
        struct change_result *all = apply(&batch, true, &all_set, &all_entries);
        random_state = random_before;
        struct change_result *result = apply(&batch, false, &set, &entries);
        assert_int_equal(result->outcome, all->outcome);
        assert_int_equal(result->decision_id.size, all->decision_id.size);
        assert_int_equal(set.record_count, all_set.record_count);
        if (set.record_count > 0)
            assert_true(slice_equal(set.records[0].data, all_set.records[0].data));
        assert_true(entries <= all_entries);
        saved += all_entries - entries;
        memory_user_commit(&user, &set);
    }
    assert_true(saved > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        USER_TEST(a_short_history_gives_what_a_long_one_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
