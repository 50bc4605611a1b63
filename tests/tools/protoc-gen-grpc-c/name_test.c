#include "tools/protoc-gen-grpc-c/name.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
// clang-format on

static struct arena arena;

static int set_up(void **state) {
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_done(&arena);
    return 0;
}

static void names_of_any_case_become_snakes(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"SyncService", "sync_service"},
        {"GetURL", "get_url"},
        {"getHTTPResponse2", "get_http_response2"},
        {"V2Get3DModel", "v2_get3_d_model"},
        {"snake_case", "snake_case"},
        {"SHOUTING_CASE", "shouting_case"},
        {"Odd__name_", "odd_name"},
        {"_Private", "private"},
        {"_1st", "_1st"},
        {"__", "_"},
        {"x", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(name_snake(&arena, cases[i][0]), cases[i][1]);
}

static void paths_become_guards(void **state) {
    (void)state;
    assert_string_equal(name_upper(&arena, "a/b-c/d.e_f2"), "A_B_C_D_E_F2");
}

/* As protoc-c 1.4 writes them. */
static void messages_are_called_as_protoc_c_calls_them(void **state) {
    (void)state;
    static const char *const cases[][4] = {
        {"travelsense.sync.v1.GetSyncConfigRequest", "Travelsense__Sync__V1__GetSyncConfigRequest",
         "TRAVELSENSE__SYNC__V1__GET_SYNC_CONFIG_REQUEST__INIT",
         "travelsense__sync__v1__get_sync_config_request__descriptor"},
        {"Odd.Inner_type.deep", "Odd__InnerType__Deep", "ODD__INNER_TYPE__DEEP__INIT",
         "odd__inner_type__deep__descriptor"},
        {"HTTPBody", "HTTPBody", "HTTPBODY__INIT", "httpbody__descriptor"},
        {"a.B2C", "A__B2C", "A__B2_C__INIT", "a__b2_c__descriptor"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(name_message_type(&arena, cases[i][0]), cases[i][1]);
        assert_string_equal(name_message_init(&arena, cases[i][0]), cases[i][2]);
        assert_string_equal(name_message_descriptor(&arena, cases[i][0]), cases[i][3]);
    }
}

static void words_of_c_are_reserved(void **state) {
    (void)state;
    assert_true(name_is_reserved("default"));
    assert_true(name_is_reserved("static_assert"));
    assert_false(name_is_reserved("get"));
    assert_false(name_is_reserved("default_"));
}

static void without_room_there_is_no_name(void **state) {
    (void)state;
    struct arena small;
    arena_init(&small, 8);
    assert_null(name_snake(&small, "SomeLongName"));
    assert_null(name_upper(&small, "some_long_name"));
    assert_null(name_message_init(&small, "SomeLongName"));
    arena_done(&small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_any_case_become_snakes),
        cmocka_unit_test(paths_become_guards),
        cmocka_unit_test(messages_are_called_as_protoc_c_calls_them),
        cmocka_unit_test(words_of_c_are_reserved),
        cmocka_unit_test(without_room_there_is_no_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
