#include "service/settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "service/core/policy.h"

/* Reads settings from arguments; the texts in them live as long as the config. */
static enum sync_status read_arguments(const char *const *arguments, struct config **ret_config,
                                       struct sync_error *error, struct settings *ret_settings) {
    char *argv[16] = {"sync_service"}, *environment[] = {NULL};
    int argc = 1;
    for (; *arguments; arguments++)
        argv[argc++] = (char *)*arguments;
    enum sync_status status =
        config_open(settings_program(), argc, argv, environment, error, ret_config);
    return status == SYNC_OK ? settings_read(*ret_config, error, ret_settings) : status;
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void folders_follow_the_data_folder(void **state) {
    (void)state;
    struct config *config = NULL;
    struct sync_error error;
    struct settings settings;
    assert_int_equal(read_arguments(ARGUMENTS("--data", "/d"), &config, &error, &settings),
                     SYNC_OK);
    assert_string_equal(settings.store_path, "/d/store");
    assert_string_equal(settings.unix_path, "/d/run/service.sock");
    assert_string_equal(settings.jwks_path, "/d/keys/jwks.json");
    assert_true(settings.threads >= 1);
    assert_int_equal(settings.workers, 16);
    assert_null(settings.grpc_address);
    config_close(config);
}

static void data_folder_follows_the_users_state(void **state) {
    (void)state;
    struct config *config = NULL;
    struct sync_error error;
    struct settings settings;
    setenv("XDG_STATE_HOME", "/state", 1);
    assert_int_equal(read_arguments(ARGUMENTS("--no-limits"), &config, &error, &settings), SYNC_OK);
    assert_string_equal(settings.data, "/state/travelsense-sync");
    assert_true(settings.limits.unlimited);
    config_close(config);
    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/x", 1);
    assert_int_equal(read_arguments(ARGUMENTS("--no-limits"), &config, &error, &settings), SYNC_OK);
    assert_string_equal(settings.data, "/home/x/.local/state/travelsense-sync");
    config_close(config);
    unsetenv("HOME");
    assert_int_equal(read_arguments(ARGUMENTS("--no-limits"), &config, &error, &settings),
                     SYNC_ERR_INVALID);
    config_close(config);
}

static void defaults_are_those_of_the_manual(void **state) {
    (void)state;
    struct config *config = NULL;
    struct sync_error error;
    struct settings settings;
    assert_int_equal(read_arguments(ARGUMENTS("--data", "/d"), &config, &error, &settings),
                     SYNC_OK);
    const struct limit_rule *rules = settings.limits.rules;
    assert_true(rules[LIMIT_CALLS].per_second == 100 && rules[LIMIT_CALLS].burst == 200);
    assert_true(rules[LIMIT_CHANGES].per_second == 5000 && rules[LIMIT_CHANGES].burst == 20000);
    assert_int_equal(rules[LIMIT_CHANGES].per_day, 1000000);
    assert_true(rules[LIMIT_SYNCS].per_second == 2 && rules[LIMIT_SYNCS].burst == 60);
    assert_true(rules[LIMIT_BUNDLES].per_second == 10 && rules[LIMIT_BUNDLES].burst == 100);
    assert_false(settings.limits.unlimited);
    assert_int_equal(settings.retention.bundle_us, 24 * 3600 * 1000000ULL);
    assert_int_equal(settings.retention.operation_us, 7 * 24 * 3600 * 1000000ULL);
    assert_int_equal(settings.retention.log_us, 30 * 24 * 3600 * 1000000ULL);
    assert_int_equal(settings.retention.decisions_max, USER_DECISIONS_MAX);
    assert_int_equal(settings.streams.admission.streams_max, 50000);
    assert_int_equal(settings.streams.send_timeout_us, 120 * 1000000ULL);
    assert_int_equal(settings.streams.memory_max, 256 << 20);
    assert_int_equal(settings.messages_bytes_max, 256 << 20);
    assert_int_equal(settings.request_timeout_ms, 60000);
    assert_string_equal(settings.audience, "travelsense-sync");
    assert_null(settings.issuer);
    config_close(config);
}

static void each_bad_setting_is_named(void **state) {
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {{"--grpc", "nowhere"},   {"--grpc", "8.8.8.8:80"},   {"--metrics", "0.0.0.0:1"},
                 {"--log-level", "loud"}, {"--workers", "0"},         {"--threads", "1000"},
                 {"--calls-burst", "-1"}, {"--block-cache", "many"},  {"--data", ""},
                 {"--token-cache", "1"},  {"--bundle-retention", "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = NULL;
        struct sync_error error;
        struct settings settings;
        assert_int_not_equal(
            read_arguments(ARGUMENTS("--data", "/d", cases[i].name, cases[i].value), &config,
                           &error, &settings),
            SYNC_OK);
        assert_non_null(strstr(error.message, cases[i].name + 2));
        config_close(config);
    }
}

static void remote_address_can_be_allowed(void **state) {
    (void)state;
    struct config *config = NULL;
    struct sync_error error;
    struct settings settings;
    assert_int_equal(read_arguments(ARGUMENTS("--data", "/d", "--grpc", "0.0.0.0:81",
                                              "--allow-remote", "--audience", ""),
                                    &config, &error, &settings),
                     SYNC_OK);
    assert_string_equal(settings.grpc_address, "0.0.0.0:81");
    assert_null(settings.audience);
    config_close(config);
}

static void policies_file_replaces_the_built_in_rules(void **state) {
    (void)state;
    struct config *config = NULL;
    struct sync_error error;
    struct settings settings = {0};
    char path[512];
    snprintf(path, sizeof path, "%s/policies.conf", getenv("TEST_TMPDIR"));
    assert_int_equal(read_arguments(ARGUMENTS("--data", "/d"), &config, &error, &settings),
                     SYNC_OK);
    assert_ptr_equal(settings.policies, policy_set_default());
    settings_done(&settings);
    config_close(config);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("field trip notes server\n", file);
    fclose(file);
    assert_int_equal(
        read_arguments(ARGUMENTS("--data", "/d", "--policies", path), &config, &error, &settings),
        SYNC_OK);
    assert_int_equal(settings.policies->count, 1);
    assert_int_equal(policy_find(settings.policies, DATA_TYPE_TRIP, &SLICE("notes"), 1),
                     FIELD_POLICY_SERVER);
    settings_done(&settings);
    config_close(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_file_replaces_the_built_in_rules),
        cmocka_unit_test(folders_follow_the_data_folder),
        cmocka_unit_test(data_folder_follows_the_users_state),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(each_bad_setting_is_named),
        cmocka_unit_test(remote_address_can_be_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
