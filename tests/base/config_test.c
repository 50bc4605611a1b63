#include "base/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"

static const struct config_option OPTIONS[] = {
    {"http", CONFIG_TEXT, "127.0.0.1:8080", "HOST:PORT", "Listens here.", 0, 0},
    {"data-directory", CONFIG_TEXT, NULL, "PATH", "Keeps data here.", 0, 0},
    {"threads", CONFIG_INT, "4", NULL, "Runs so many threads.", 1, 64},
    {"offset", CONFIG_INT, NULL, NULL, "Shifts.", -10, 10},
    {"cache", CONFIG_BYTES, "64m", NULL, "Caches so much.", 1024, INT64_C(1) << 40},
    {"reflection", CONFIG_FLAG, "true", NULL, "Tells about itself.", 0, 0},
    {"verbose", CONFIG_FLAG, NULL, NULL, "Tells more.", 0, 0},
    {"jwt-secret", CONFIG_TEXT, NULL, NULL, "Signs.", 0, 0},
    {"pin-secret", CONFIG_INT, NULL, NULL, "Unlocks.", 0, 9},
};

static const struct config_program PROGRAM = {
    .name = "syncd",
    .summary = "Synchronizes.",
    .version = "1.0",
    .environment_prefix = "SYNC",
    .options = OPTIONS,
    .options_count = sizeof OPTIONS / sizeof OPTIONS[0],
};

enum { ARGUMENTS_MAX = 16 };

/* Opens with arguments and environment, both NULL-terminated; either may be NULL. */
static enum sync_status open_with(const char *const *arguments, const char *const *environment,
                                  struct sync_error *error, struct config **ret_config) {
    static const char *const NOTHING[] = {NULL};
    char *argv[ARGUMENTS_MAX + 2] = {(char *)"syncd"};
    int argc = 1;
    for (; arguments && arguments[argc - 1]; argc++)
        argv[argc] = (char *)arguments[argc - 1];
    return config_open(&PROGRAM, argc, argv, (char **)(environment ? environment : NOTHING), error,
                       ret_config);
}

static struct config *opened(const char *const *arguments, const char *const *environment) {
    struct sync_error error;
    struct config *config = NULL;
    if (open_with(arguments, environment, &error, &config) != SYNC_OK)
        fail_msg("%s", error.message);
    return config;
}

/* A file of the test's own, in its directory, that holds `text`. */
static void file_make(char path[64], const char *text) {
    snprintf(path, 64, "config_test_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void defaults_hold_when_nothing_is_set(void **state) {
    (void)state;
    struct config *config = opened(NULL, NULL);
    assert_string_equal(config_text(config, "http"), "127.0.0.1:8080");
    assert_null(config_text(config, "data-directory"));
    assert_int_equal(config_int(config, "threads"), 4);
    assert_int_equal(config_int(config, "offset"), 0);
    assert_int_equal(config_int(config, "cache"), 64 << 20);
    assert_true(config_flag(config, "reflection"));
    assert_false(config_flag(config, "verbose"));
    assert_false(config_wants_help(config) || config_wants_version(config) ||
                 config_wants_check(config));
    assert_null(config_close(config));
    assert_null(config_close(NULL));
}

static void flags_take_their_value_beside_or_behind(void **state) {
    (void)state;
    const char *arguments[] = {"--http=a=b", "--threads",       "8",         "--cache",
                               "2G",         "--no-reflection", "--verbose", "--offset",
                               "-5",         "--check-config",  "--threads", "9",
                               NULL};
    struct config *config = opened(arguments, NULL);
    assert_string_equal(config_text(config, "http"), "a=b");
    assert_int_equal(config_int(config, "threads"), 9);
    assert_true(config_int(config, "cache") == INT64_C(2) << 30);
    assert_int_equal(config_int(config, "offset"), -5);
    assert_false(config_flag(config, "reflection"));
    assert_true(config_flag(config, "verbose"));
    assert_true(config_wants_check(config));
    config_close(config);
}

static void flags_go_before_environment_before_file_before_default(void **state) {
    (void)state;
    char path[64], entry[100];
    file_make(path, "# a comment\n"
                    "http = file:1   # where\r\n"
                    "\n"
                    "  data-directory=/a dir#1\n"
                    "threads = 7\n"
                    "verbose = yes\n"
                    "cache = 1k");
    snprintf(entry, sizeof entry, "SYNC_CONFIG=%s", path);
    const char *environment[] = {
        "SYNC_HTTP=env:2", "SYNC_THREADS=6", "SYNCX=1", entry, "OTHER=1", NULL};
    const char *arguments[] = {"--threads=5", NULL};
    struct config *config = opened(arguments, environment);
    assert_int_equal(config_int(config, "threads"), 5);
    assert_string_equal(config_text(config, "http"), "env:2");
    assert_string_equal(config_text(config, "data-directory"), "/a dir#1");
    assert_true(config_flag(config, "verbose"));
    assert_int_equal(config_int(config, "cache"), 1024);
    assert_true(config_flag(config, "reflection"));
    config_close(config);
    unlink(path);
}

static void the_flag_names_the_file_before_the_environment(void **state) {
    (void)state;
    char path[64];
    file_make(path, "threads = 3\n");
    const char *arguments[] = {"--config", path, NULL};
    const char *environment[] = {"SYNC_CONFIG=/nonexistent/file", NULL};
    struct config *config = opened(arguments, environment);
    assert_int_equal(config_int(config, "threads"), 3);
    config_close(config);
    unlink(path);
}

static void wrong_flags_are_told_in_one_line(void **state) {
    (void)state;
    static const struct {
        const char *argument, *message;
    } CASES[] = {
        {"extra", "flag: unexpected argument \"extra\""},
        {"-x", "flag: unexpected argument \"-x\""},
        {"--", "flag: unexpected argument \"--\""},
        {"--nonsense", "flag: unknown option \"--nonsense\""},
        {"--nonsense=secret", "flag: unknown option \"--nonsense\""},
        {"--no-threads", "flag: unknown option \"--no-threads\""},
        {"--no-verbose=true", "flag: unknown option \"--no-verbose\""},
        {"--threads", "flag: --threads needs a value"},
        {"--config", "flag: --config needs a value"},
        {"--threads=", "flag: threads: \"\" is no whole number"},
        {"--threads=4x", "flag: threads: \"4x\" is no whole number"},
        {"--threads=4k", "flag: threads: \"4k\" is no whole number"},
        {"--threads=0", "flag: threads: \"0\" is not between 1 and 64"},
        {"--threads=65", "flag: threads: \"65\" is not between 1 and 64"},
        {"--threads=99999999999999999999",
         "flag: threads: \"99999999999999999999\" is not between 1 and 64"},
        {"--offset=-11", "flag: offset: \"-11\" is not between -10 and 10"},
        {"--offset=-", "flag: offset: \"-\" is no whole number"},
        {"--cache=1t", "flag: cache: \"1t\" is no size in bytes, such as 512k, 64m or 1g"},
        {"--cache=k", "flag: cache: \"k\" is no size in bytes, such as 512k, 64m or 1g"},
        {"--cache=9223372036854775807g",
         "flag: cache: \"9223372036854775807g\" is not between 1024 and 1099511627776"},
        {"--verbose=maybe", "flag: verbose: \"maybe\" is neither true nor false"},
        {"--pin-secret=1234", "flag: pin-secret: the value is not between 0 and 9"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct sync_error error;
        struct config *config = NULL;
        const char *arguments[] = {CASES[i].argument, NULL};
        assert_int_equal(open_with(arguments, NULL, &error, &config), SYNC_ERR_INVALID);
        assert_string_equal(error.message, CASES[i].message);
        assert_null(config);
    }
}

static void wrong_lines_are_told_with_their_number(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } CASES[] = {
        {"threads = 1\n\nthreads 2\n", ":3: the line is not \"name = value\""},
        {"# x\nnonsense = 1\n", ":2: unknown option \"nonsense\""},
        {"= 1\n", ":1: unknown option \"\""},
        {"config = x\n", ":1: unknown option \"config\""},
        {"threads = 100", ":1: threads: \"100\" is not between 1 and 64"},
        {"verbose =\n", ":1: verbose: \"\" is neither true nor false"},
        {"http = a\nthreads = 1\nhttp = b\n", ":3: http is set on line 1 already"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char path[64], expected[200];
        struct sync_error error;
        struct config *config = NULL;
        file_make(path, CASES[i].text);
        const char *arguments[] = {"--config", path, "--http=flag", NULL};
        assert_int_equal(open_with(arguments, NULL, &error, &config), SYNC_ERR_INVALID);
        snprintf(expected, sizeof expected, "%s%s", path, CASES[i].message);
        assert_string_equal(error.message, expected);
        unlink(path);
    }
}

static void a_wrong_environment_is_told(void **state) {
    (void)state;
    struct sync_error error;
    struct config *config = NULL;
    const char *environment[] = {"SYNC_THREADS=none", NULL};
    assert_int_equal(open_with(NULL, environment, &error, &config), SYNC_ERR_INVALID);
    assert_string_equal(error.message, "environment: threads: \"none\" is no whole number");
    assert_string_equal(error.field, "threads");
}

static void a_missing_or_endless_file_is_told(void **state) {
    (void)state;
    struct sync_error error;
    struct config *config = NULL;
    const char *missing[] = {"--config=/nonexistent/file", NULL};
    assert_int_equal(open_with(missing, NULL, &error, &config), SYNC_ERR_IO);
    assert_string_equal(error.message, "/nonexistent/file: No such file or directory");
    const char *directory[] = {"--config=/", NULL};
    assert_int_equal(open_with(directory, NULL, &error, &config), SYNC_ERR_IO);
    const char *endless[] = {"--config=/dev/zero", NULL};
    assert_int_equal(open_with(endless, NULL, &error, &config), SYNC_ERR_TOO_LARGE);
    assert_null(config);
}

static void help_and_version_work_whatever_else_is_wrong(void **state) {
    (void)state;
    const char *help[] = {"--nonsense", "--help", NULL}, *version[] = {"--version", NULL};
    const char *environment[] = {"SYNC_THREADS=none", "SYNC_CONFIG=/nonexistent", NULL};
    struct config *config = opened(help, environment);
    assert_true(config_wants_help(config));
    config_close(config);
    config = opened(version, environment);
    assert_true(config_wants_version(config));
    config_close(config);
}

static void the_printed_configuration_reads_back_without_secrets(void **state) {
    (void)state;
    char *text = NULL, path[64];
    size_t size = 0;
    const char *arguments[] = {"--threads=9", "--no-reflection", "--jwt-secret=hunter2", NULL};
    const char *environment[] = {"SYNC_DATA_DIRECTORY=/data", NULL};
    struct config *config = opened(arguments, environment);
    FILE *out = open_memstream(&text, &size);
    config_print(config, out);
    fclose(out);
    config_close(config);
    assert_string_equal(text, "http = 127.0.0.1:8080  # from default\n"
                              "data-directory = /data  # from environment\n"
                              "threads = 9  # from flag\n"
                              "# offset is not set\n"
                              "cache = 64m  # from default\n"
                              "reflection = false  # from flag\n"
                              "# verbose is not set\n"
                              "jwt-secret = (set)  # from flag\n"
                              "# pin-secret is not set\n");
    file_make(path, text);
    const char *again[] = {"--config", path, NULL};
    config = opened(again, NULL);
    assert_int_equal(config_int(config, "threads"), 9);
    assert_string_equal(config_text(config, "data-directory"), "/data");
    assert_false(config_flag(config, "reflection"));
    config_close(config);
    unlink(path);
    free(text);
}

static void help_names_every_option_with_default_and_environment(void **state) {
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_print_help(&PROGRAM, out);
    fclose(out);
    static const char *const PARTS[] = {"Usage: syncd",   "--http HOST:PORT",
                                        "Listens here.",  "SYNC_HTTP; default 127.0.0.1:8080",
                                        "--[no-]verbose", "SYNC_DATA_DIRECTORY; no default",
                                        "--cache BYTES",  "--config FILE",
                                        "SYNC_CONFIG",    "--check-config",
                                        "--help",         "--version"};
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0]; i++)
        if (!strstr(text, PARTS[i]))
            fail_msg("%s is not in:\n%s", PARTS[i], text);
    free(text);
}

static void every_refused_allocation_is_an_error_without_leak(void **state) {
    (void)state;
    char path[64];
    file_make(path, "threads = 3\ndata-directory = /data\n");
    const char *arguments[] = {"--config", path, "--http=a", "--verbose", NULL};
    const char *environment[] = {"SYNC_CACHE=1m", NULL};
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    uint64_t n = 0;
    while (status == SYNC_ERR_NO_MEMORY) {
        struct sync_error error = {.status = SYNC_OK};
        struct config *config = NULL;
        memory_fail_after(++n);
        status = open_with(arguments, environment, &error, &config);
        memory_fail_after(0);
        assert_int_equal(error.status, status);
        assert_int_equal(config != NULL, status == SYNC_OK);
        config_close(config);
    }
    assert_int_equal(status, SYNC_OK);
    assert_in_range(n, 7, 30);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_when_nothing_is_set),
        cmocka_unit_test(flags_take_their_value_beside_or_behind),
        cmocka_unit_test(flags_go_before_environment_before_file_before_default),
        cmocka_unit_test(the_flag_names_the_file_before_the_environment),
        cmocka_unit_test(wrong_flags_are_told_in_one_line),
        cmocka_unit_test(wrong_lines_are_told_with_their_number),
        cmocka_unit_test(a_wrong_environment_is_told),
        cmocka_unit_test(a_missing_or_endless_file_is_told),
        cmocka_unit_test(help_and_version_work_whatever_else_is_wrong),
        cmocka_unit_test(the_printed_configuration_reads_back_without_secrets),
        cmocka_unit_test(help_names_every_option_with_default_and_environment),
        cmocka_unit_test(every_refused_allocation_is_an_error_without_leak),
    };
    const char *directory = getenv("TEST_TMPDIR");
    if (directory && chdir(directory) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
