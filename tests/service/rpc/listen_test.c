#include "service/rpc/listen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void addresses_are_told_from_other_texts(void **state) {
    (void)state;
    static const char *const valid[] = {"127.0.0.1:0", "localhost:65535", "[::1]:80", "0.0.0.0:1"};
    static const char *const invalid[] = {
        "",     ":80",    "localhost", "localhost:", "a:65536",       "a:123456",
        "a:8x", "::1:80", "[]:80",     "a:-1",       "127.0.0.1:80:", "a: 1"};
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
        assert_true(listen_address_is_valid(slice_text(valid[i])));
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++)
        assert_false(listen_address_is_valid(slice_text(invalid[i])));
}

static void loopback_is_told_from_the_rest(void **state) {
    (void)state;
    static const char *const loopback[] = {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"};
    static const char *const others[] = {"0.0.0.0:1",        "[::]:1", "10.0.0.1:1", "host:1",
                                         "127.0.0.1.evil:1", "",       "128.0.0.1:1"};
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        assert_true(listen_address_is_loopback(slice_text(loopback[i])));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(listen_address_is_loopback(slice_text(others[i])));
}

/* Binds a listening socket at a fresh path. */
static int socket_bind(struct sockaddr_un *address) {
    char folder[] = "/tmp/listenXXXXXX";
    assert_non_null(mkdtemp(folder));
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof address->sun_path, "%s/s", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void path_remove(struct sockaddr_un *address) {
    unlink(address->sun_path);
    *strrchr(address->sun_path, '/') = 0;
    rmdir(address->sun_path);
}

static void live_socket_is_left_and_a_stale_one_removed(void **state) {
    (void)state;
    struct sockaddr_un address;
    struct sync_error error;
    int fd = socket_bind(&address);
    assert_int_equal(listen_unix_prepare(address.sun_path, &error), SYNC_ERR_BUSY);
    assert_int_equal(access(address.sun_path, F_OK), 0);
    close(fd);
    assert_int_equal(listen_unix_prepare(address.sun_path, &error), SYNC_OK);
    assert_int_not_equal(access(address.sun_path, F_OK), 0);
    assert_int_equal(listen_unix_prepare(address.sun_path, &error), SYNC_OK);
    path_remove(&address);
}

static void file_that_is_no_socket_is_left(void **state) {
    (void)state;
    struct sync_error error;
    char path[] = "/tmp/listenXXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(listen_unix_prepare(path, &error), SYNC_ERR_EXISTS);
    assert_int_equal(access(path, F_OK), 0);
    close(fd);
    unlink(path);
}

static void path_beyond_the_kernels_bound_is_refused(void **state) {
    (void)state;
    struct sync_error error;
    char path[200];
    snprintf(path, sizeof path, "/tmp/%0150d", 1);
    assert_int_equal(listen_unix_prepare(path, &error), SYNC_ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_from_other_texts),
        cmocka_unit_test(loopback_is_told_from_the_rest),
        cmocka_unit_test(live_socket_is_left_and_a_stale_one_removed),
        cmocka_unit_test(file_that_is_no_socket_is_left),
        cmocka_unit_test(path_beyond_the_kernels_bound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
