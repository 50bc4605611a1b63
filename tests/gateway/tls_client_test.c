#include "gateway/tls_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"

static void expect_refused(const struct tls_client_options *options, const char *message) {
    struct sync_error error = {.status = SYNC_OK};
    struct tls_client *client = NULL;
    assert_int_equal(tls_client_open(options, &error, &client), SYNC_ERR_INVALID);
    assert_null(client);
    assert_string_equal(error.message, message);
}

static void a_missing_file_is_named(void **state) {
    (void)state;
    expect_refused(&(struct tls_client_options){.ca_path = "/none/ca"},
                   "cannot read certificates from /none/ca: No such file or directory");
    expect_refused(&(struct tls_client_options){.cert_path = "/none/cert", .key_path = "/none/key"},
                   "cannot read a certificate chain from /none/cert: No such file or directory");
}

static void a_file_that_is_none_is_named(void **state) {
    (void)state;
    char path[] = "/tmp/tlsXXXXXX", message[128];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(message, sizeof message, "cannot read a certificate chain from %s: no start line",
             path);
    expect_refused(&(struct tls_client_options){.cert_path = path, .key_path = path}, message);
    unlink(path);
}

static void it_opens_without_files(void **state) {
    (void)state;
    struct sync_error error;
    struct tls_client *client = NULL;
    assert_int_equal(tls_client_open(&(struct tls_client_options){0}, &error, &client), SYNC_OK);
    assert_null(tls_client_close(client));
    assert_null(tls_client_close(NULL));
}

static void without_memory_it_does_not_open(void **state) {
    (void)state;
    struct sync_error error;
    struct tls_client *client = NULL;
    memory_fail_after(1);
    assert_int_equal(tls_client_open(&(struct tls_client_options){0}, &error, &client),
                     SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    assert_null(client);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_file_is_named),
        cmocka_unit_test(a_file_that_is_none_is_named),
        cmocka_unit_test(it_opens_without_files),
        cmocka_unit_test(without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
