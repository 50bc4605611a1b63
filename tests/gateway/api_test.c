#include "gateway/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "sync_descriptor.h"

static struct gateway_metrics *metrics;

static int setup(void **state) {
    (void)state;
    metrics = gateway_metrics_open();
    assert_non_null(metrics);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    metrics = gateway_metrics_close(metrics);
    return 0;
}

static struct api_options embedded(void) {
    return (struct api_options){.embedded = slice_of(sync_descriptor, sync_descriptor_size),
                                .title = "Its title",
                                .version = "1",
                                .domain = "its.domain",
                                .metrics = metrics};
}

static bool has(struct slice text, const char *part) {
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void it_has_all_that_is_made_of_a_set(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    const struct api_options options = embedded();
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    assert_true(schema_method_count(api->schema) > 0);
    assert_true(has(api->openapi, "\"title\":\"Its title\""));
    assert_true(slice_equal(api->challenge, SLICE("Bearer realm=\"Its title\"")));
    assert_true(slice_equal(api->domain, SLICE("its.domain")));
    assert_true(api->extended);
    api_release(api);
}

static void without_a_title_it_has_its_services_name(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    struct api_options options = embedded();
    options.title = NULL;
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    struct slice service = schema_method_at(api->schema, 0)->service;
    const char *name = strrchr((const char *)service.data, '.');
    assert_non_null(name);
    char title[256];
    snprintf(title, sizeof title, "\"title\":\"%.*s\"",
             (int)((const char *)slice_end(service) - name - 1), name + 1);
    if (!has(api->openapi, title))
        fail_msg("no %s", title);
    api_release(api);
}

static void a_realm_is_quoted(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    struct api_options options = embedded();
    options.realm = "a \"b\" \\ \r\nc";
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    assert_true(slice_equal(api->challenge, SLICE("Bearer realm=\"a \\\"b\\\" \\\\ c\"")));
    api_release(api);
}

static void the_last_hold_closes_it(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    const struct api_options options = embedded();
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    assert_ptr_equal(api_hold(api), api);
    assert_null(api_release(api));
    method_metrics_request(api->metrics, schema_method_at(api->schema, 0), 200, 1, 1, 1);
    assert_null(api_release(api));
    assert_null(api_release(NULL));
}

static void a_new_api_counts_on_where_the_old_one_stopped(void **state) {
    (void)state;
    struct sync_error error;
    const struct api_options options = embedded();
    for (int i = 0; i < 2; i++) {
        struct api *api = NULL;
        assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
        method_metrics_request(api->metrics, NULL, 200, 1, 1, 1);
        api_release(api);
    }
    struct buffer text;
    buffer_init(&text, 1 << 20);
    gateway_metrics_render(metrics, &text);
    assert_true(has(buffer_slice(&text),
                    "gateway_http_requests_total{method=\"gateway\",code=\"200\"} 2\n"));
    buffer_done(&text);
}

static void what_is_wrong_with_a_file_is_told_with_its_name(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    char path[] = "/tmp/apiXXXXXX";
    struct api_options options = embedded();
    options.path = "/nonexistent/set";
    assert_int_equal(api_open(&options, &error, &api), SYNC_ERR_INVALID);
    assert_string_equal(error.message, "cannot open /nonexistent/set: No such file or directory");
    options.path = "/tmp";
    assert_int_equal(api_open(&options, &error, &api), SYNC_ERR_INVALID);
    assert_string_equal(error.message, "cannot read /tmp: Is a directory");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, sync_descriptor, 1000), 1000);
    close(fd);
    options.path = path;
    assert_int_equal(api_open(&options, &error, &api), SYNC_ERR_INVALID);
    assert_string_equal(error.message + strlen(error.message) - strlen(path), path);
    assert_null(api);
    unlink(path);
}

static void it_opens_whole_or_not_at_all(void **state) {
    (void)state;
    struct sync_error error;
    struct api *api = NULL;
    const struct api_options options = embedded();
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    api = api_release(api);
    memory_fail_after(0);
    assert_int_equal(api_open(&options, &error, &api), SYNC_OK);
    uint64_t count = memory_count();
    api = api_release(api);
    /* All of the first and the last, and some between: there are many of one kind. */
    for (uint64_t n = 1; n <= count; n += n < 40 || n + 60 > count ? 1 : 1 + count / 100) {
        memory_fail_after(n);
        enum sync_status status = api_open(&options, &error, &api);
        memory_fail_after(0);
        if (status == SYNC_OK) /* a table of metrics may fold into its "other" series */
            api = api_release(api);
        else
            assert_int_equal(status, SYNC_ERR_NO_MEMORY);
        assert_null(api);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(it_has_all_that_is_made_of_a_set),
        TEST(without_a_title_it_has_its_services_name),
        TEST(a_realm_is_quoted),
        TEST(the_last_hold_closes_it),
        TEST(a_new_api_counts_on_where_the_old_one_stopped),
        TEST(what_is_wrong_with_a_file_is_told_with_its_name),
        TEST(it_opens_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
