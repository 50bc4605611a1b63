#include "tests/service/store/store_contract_tests.h"

static const struct store_factory *factory_now;

static int contract_setup_all(void **state) {
    struct contract *contract = memory_zalloc(1, sizeof *contract);
    assert_non_null(contract);
    contract->commit = memory_alloc(sizeof *contract->commit);
    assert_non_null(contract->commit);
    arena_init(&contract->arena, 256 << 20);
    contract->is_tried_without_memory = factory_now->is_tried_without_memory;
    assert_int_equal(factory_now->open(factory_now->context, &contract->store), SYNC_OK);
    *state = contract;
    return 0;
}

static int contract_done_all(void **state) {
    struct contract *contract = *state;
    assert_null(store_close(contract->store));
    arena_done(&contract->arena);
    memory_free(contract->commit);
    memory_free(contract);
    return 0;
}

static int contract_setup(void **state) {
    struct contract *contract = *state;
    arena_reset(&contract->arena);
    return 0;
}

struct user_view contract_load(struct contract *contract, const struct touched *want) {
    struct user_view view;
    assert_int_equal(store_load(contract->store, NULL, want, &contract->arena, &view), SYNC_OK);
    return view;
}

struct record_view contract_load_record(struct contract *contract, struct slice user,
                                        const struct record_want *want) {
    return contract_load(contract,
                         &(struct touched){.user = user, .records = want, .record_count = 1})
        .records[0];
}

void contract_assert_slice(struct slice found, struct slice wanted) {
    assert_int_equal(found.size, wanted.size);
    if (wanted.size > 0)
        assert_memory_equal(found.data, wanted.data, wanted.size);
}

int store_contract_run(const char *name, const struct store_factory *factory) {
#define CONTRACT_TEST(test_) cmocka_unit_test_setup(test_, contract_setup)
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(unknown_user_has_the_zero_head_and_nothing_else),
        CONTRACT_TEST(commit_is_read_back_whole),
        CONTRACT_TEST(large_documents_come_back_byte_for_byte),
        CONTRACT_TEST(thing_wanted_twice_is_given_twice),
        CONTRACT_TEST(tombstone_keeps_version_and_loses_data),
        CONTRACT_TEST(commit_on_a_moved_head_writes_nothing),
        CONTRACT_TEST(users_whose_names_share_a_beginning_do_not_mix),
        CONTRACT_TEST(history_follows_a_record_through_many_commits),
        CONTRACT_TEST(history_ends_where_a_device_knew_the_record),
        CONTRACT_TEST(log_scan_resumes_inside_a_commit),
        CONTRACT_TEST(changed_records_are_those_with_greater_versions),
        CONTRACT_TEST(changed_records_are_found_in_a_long_log),
        CONTRACT_TEST(unknown_user_has_changed_nothing),
        CONTRACT_TEST(record_scan_is_ordered_and_stays_in_its_type),
        CONTRACT_TEST(rows_are_put_scanned_by_prefix_and_removed),
        CONTRACT_TEST(rows_under_a_user_need_no_revision_when_told_so),
        CONTRACT_TEST(reader_keeps_its_view_while_others_commit),
        CONTRACT_TEST(settled_changes_are_found_by_device_and_id_exactly),
        CONTRACT_TEST(trim_raises_the_floor_and_says_so_to_histories),
        CONTRACT_TEST(trim_passes_over_times_of_a_clock_that_ran_ahead),
        CONTRACT_TEST(trim_of_an_unknown_user_is_well),
        CONTRACT_TEST(users_are_scanned_with_their_heads),
        CONTRACT_TEST(bad_keys_are_refused),
        CONTRACT_TEST(racing_writers_lose_no_change_and_see_what_is_settled),
        CONTRACT_TEST(commit_is_told_to_watchers_of_its_user_alone),
        CONTRACT_TEST(commit_of_rows_tells_which_tables_and_no_head),
        CONTRACT_TEST(commit_that_is_refused_is_told_to_nobody),
        CONTRACT_TEST(watcher_is_told_once_readers_can_see_it),
        CONTRACT_TEST(watchers_come_and_go_while_commits_are_told),
        CONTRACT_TEST(epoch_and_health_are_there),
    };
#undef CONTRACT_TEST
    factory_now = factory;
    return _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, contract_setup_all,
                                   contract_done_all);
}
