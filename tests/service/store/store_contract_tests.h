/* What the files of the contract's tests share. */
#ifndef TESTS_SERVICE_STORE_STORE_CONTRACT_TESTS_H
#define TESTS_SERVICE_STORE_STORE_CONTRACT_TESTS_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/limits.h"
#include "base/memory.h"
#include "tests/service/store/store_contract.h"
#include "tests/service/store/store_fixture.h"

/* What each test gets: the store, an arena, a commit to fill. */
struct contract {
    struct store *store;
    struct arena arena;
    struct fixture_commit *commit;
    bool is_tried_without_memory;
};

/* Loads, failing the test when that fails; the view lives in the contract's arena. */
struct user_view contract_load(struct contract *contract, const struct touched *want);

/* Loads one record of a user. */
struct record_view contract_load_record(struct contract *contract, struct slice user,
                                        const struct record_want *want);

/* Fails the test when the bytes differ. */
void contract_assert_slice(struct slice found, struct slice wanted);

/* The tests, each with a struct contract as state. */
void unknown_user_has_the_zero_head_and_nothing_else(void **state);
void commit_is_read_back_whole(void **state);
void large_documents_come_back_byte_for_byte(void **state);
void thing_wanted_twice_is_given_twice(void **state);
void tombstone_keeps_version_and_loses_data(void **state);
void commit_on_a_moved_head_writes_nothing(void **state);
void users_whose_names_share_a_beginning_do_not_mix(void **state);
void history_follows_a_record_through_many_commits(void **state);
void history_ends_where_a_device_knew_the_record(void **state);
void log_scan_resumes_inside_a_commit(void **state);
void changed_records_are_those_with_greater_versions(void **state);
void changed_records_are_found_in_a_long_log(void **state);
void unknown_user_has_changed_nothing(void **state);
void record_scan_is_ordered_and_stays_in_its_type(void **state);
void rows_are_put_scanned_by_prefix_and_removed(void **state);
void rows_under_a_user_need_no_revision_when_told_so(void **state);
void reader_keeps_its_view_while_others_commit(void **state);
void settled_changes_are_found_by_device_and_id_exactly(void **state);
void trim_raises_the_floor_and_says_so_to_histories(void **state);
void trim_passes_over_times_of_a_clock_that_ran_ahead(void **state);
void trim_of_an_unknown_user_is_well(void **state);
void users_are_scanned_with_their_heads(void **state);
void bad_keys_are_refused(void **state);
void epoch_and_health_are_there(void **state);
void racing_writers_lose_no_change_and_see_what_is_settled(void **state);
void commit_is_told_to_watchers_of_its_user_alone(void **state);
void commit_of_rows_tells_which_tables_and_no_head(void **state);
void commit_that_is_refused_is_told_to_nobody(void **state);
void watcher_is_told_once_readers_can_see_it(void **state);
void watchers_come_and_go_while_commits_are_told(void **state);

#endif
