#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "client/stub/target.h"
#include "tests/client/stub/certificates.h"
#include "tests/client/stub/stub_fixture.h"

/* ---- What can be no channel */

static void targets_are_checked(void **state) {
    (void)state;
    char text[TARGET_MAX];
    static const char *const good[][2] = {
        {"localhost:1", "localhost:1"},
        {"10.0.0.1:65535", "10.0.0.1:65535"},
        {"sync.example-1.org:443", "sync.example-1.org:443"},
        {"[::1]:50051", "[::1]:50051"},
        {"unix:/run/sync/s", "unix:/run/sync/s"},
        {"unix:s", "unix:s"},
        {"unix:/a b%c?#\xc3\xa9", "unix:/a%20b%25c%3F%23%C3%A9"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_null(target_write(good[i][0], text));
        assert_string_equal(text, good[i][1]);
    }
    static const char *const bad[] = {
        "",           "localhost",   "localhost:",  "localhost:0",    "localhost:65536",
        ":443",       "host:44x",    "host:-1",     "dns:///host:1",  "a b:1",
        "[::1]",      "[::1:1",      "[]:1",        "::1:50051",      "unix:",
        "xds:host:1", "host:1/path", "user@host:1", "host:000000001", "host:99999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_non_null(target_write(bad[i], text));
    assert_non_null(target_write(NULL, text));
    char long_path[300] = "unix:/";
    memset(long_path + 6, '%', 106);
    assert_null(target_write(long_path, text)); /* 107 bytes and a NUL fit a sockaddr */
    assert_int_equal(strlen(text), 6 + 3 * 106);
    memset(long_path + 6, 'p', 107);
    assert_non_null(target_write(long_path, text));
    char long_host[400];
    memset(long_host, 'h', sizeof long_host);
    memcpy(long_host + 256, ":1", 3);
    assert_non_null(target_write(long_host, text));
}

static void local_targets_are_known(void **state) {
    (void)state;
    assert_true(target_is_local("unix:/s"));
    assert_true(target_is_local("localhost:1"));
    assert_true(target_is_local("127.1.2.3:1"));
    assert_true(target_is_local("[::1]:1"));
    assert_false(target_is_local("localhost.example.org:1"));
    assert_false(target_is_local("10.0.0.1:1"));
    assert_false(target_is_local("[::12]:1"));
}

/* The code of opening, with a text when it fails. */
static enum stub_code open_code(const struct stub_channel_options *options) {
    struct stub_status status = {0};
    struct stub_channel *channel = NULL;
    enum stub_code code = stub_channel_open(options, &status, &channel);
    assert_int_equal(status.code, code);
    assert_true((code != STUB_OK) == (strlen(status.message) > 0));
    assert_true((code == STUB_OK) == (channel != NULL));
    stub_status_done(&status);
    stub_channel_close(channel);
    return code;
}

static void options_that_cannot_be_are_refused(void **state) {
    (void)state;
    assert_int_equal(open_code(&(struct stub_channel_options){.target = "localhost:1"}), STUB_OK);
    assert_int_equal(open_code(&(struct stub_channel_options){.target = "nothing"}),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(open_code(&(struct stub_channel_options){
                         .target = "localhost:1", .message_bytes_max = (size_t)1 << 31}),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(open_code(&(struct stub_channel_options){.target = "localhost:1",
                                                              .keepalive_ms = UINT32_MAX}),
                     STUB_INVALID_ARGUMENT);
    assert_int_equal(
        open_code(&(struct stub_channel_options){.target = "localhost:1", .user_agent = "a\r\nb"}),
        STUB_INVALID_ARGUMENT);
    struct stub_retry retry = stub_retry_default;
    const struct stub_channel_options with_retry = {.target = "localhost:1", .retry = &retry};
    assert_int_equal(open_code(&with_retry), STUB_OK);
    retry.multiplier = 0.5;
    assert_int_equal(open_code(&with_retry), STUB_INVALID_ARGUMENT);
    retry.multiplier = 0.0 / 0.0;
    assert_int_equal(open_code(&with_retry), STUB_INVALID_ARGUMENT);
    retry = stub_retry_default;
    retry.attempts_max = 1000;
    assert_int_equal(open_code(&with_retry), STUB_INVALID_ARGUMENT);
    retry = stub_retry_default;
    retry.codes[1] = (enum stub_code)99;
    assert_int_equal(open_code(&with_retry), STUB_INVALID_ARGUMENT);
    retry = (struct stub_retry){0};
    assert_int_equal(open_code(&with_retry), STUB_OK);
    memory_fail_after(1);
    assert_int_equal(open_code(&(struct stub_channel_options){.target = "localhost:1"}),
                     STUB_RESOURCE_EXHAUSTED);
    memory_fail_after(0);
}

static void the_user_agent_goes_first(void **state) {
    struct stub_fixture *fixture = *state;
    struct stub_channel *channel = NULL;
    assert_int_equal(stub_channel_open(&(struct stub_channel_options){.target = echo_server_target(
                                                                          fixture->server),
                                                                      .user_agent = "trip/1.0",
                                                                      .keepalive_ms = 10000},
                                       NULL, &channel),
                     STUB_OK);
    assert_int_equal(unary_code(channel, NULL), STUB_OK);
    const char *agent = echo_server_seen(fixture->server, "user-agent");
    assert_memory_equal(agent, "trip/1.0 grpc", 13);
    stub_channel_close(channel);
    assert_null(stub_channel_close(NULL));
}

/* ---- TLS */

struct authority {
    struct certificate authority, server, client, other_authority, other_client;
};

static int authority_open(void **state) {
    struct authority *all = memory_zalloc(1, sizeof *all);
    certificate_make("Test authority", NULL, &all->authority);
    certificate_make("Another authority", NULL, &all->other_authority);
    certificate_make("sync.test", &all->authority, &all->server);
    certificate_make("trip.test", &all->authority, &all->client);
    certificate_make("trip.test", &all->other_authority, &all->other_client);
    *state = all;
    return 0;
}

static int authority_close(void **state) {
    struct authority *all = *state;
    certificate_done(&all->authority);
    certificate_done(&all->other_authority);
    certificate_done(&all->server);
    certificate_done(&all->client);
    certificate_done(&all->other_client);
    memory_free(all);
    return 0;
}

static bool give_token(void *context, char *ret_token, size_t size) {
    snprintf(ret_token, size, "%s", (const char *)context);
    return true;
}

/* One call over TLS, with a token. */
static enum stub_code tls_code(struct echo_server *server, const struct stub_tls *tls) {
    struct stub_channel *channel = NULL;
    assert_int_equal(
        stub_channel_open(&(struct stub_channel_options){.target = echo_server_target(server),
                                                         .tls = tls,
                                                         .token = give_token,
                                                         .token_context = "secret"},
                          NULL, &channel),
        STUB_OK);
    enum stub_code code = unary_code(channel, NULL);
    stub_channel_close(channel);
    return code;
}

static void a_server_is_known_by_its_certificate(void **state) {
    struct authority *all = *state;
    struct echo_server *server =
        echo_server_open(&(struct echo_server_tls){all->server.certificate, all->server.key, NULL});
    struct stub_tls tls = {.roots = all->authority.certificate, .server_name = "sync.test"};
    assert_int_equal(tls_code(server, &tls), STUB_OK);
    assert_string_equal(echo_server_seen(server, "authorization"), "Bearer secret");
    tls.server_name = "else.test";
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    tls.server_name = NULL; /* 127.0.0.1, which the certificate is not for */
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    tls = (struct stub_tls){.roots = all->other_authority.certificate, .server_name = "sync.test"};
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    tls.roots = NULL; /* the system's */
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    struct stub_channel *cleartext = fixture_channel(echo_server_target(server), NULL, NULL);
    assert_int_equal(unary_code(cleartext, NULL), STUB_UNAVAILABLE);
    stub_channel_close(cleartext);
    assert_int_equal(echo_server_calls(server), 1);
    echo_server_close(server);
}

static void a_client_is_known_by_its_certificate(void **state) {
    struct authority *all = *state;
    struct echo_server *server = echo_server_open(&(struct echo_server_tls){
        all->server.certificate, all->server.key, all->authority.certificate});
    struct stub_tls tls = {.roots = all->authority.certificate,
                           .certificate = all->client.certificate,
                           .key = all->client.key,
                           .server_name = "sync.test"};
    assert_int_equal(tls_code(server, &tls), STUB_OK);
    tls.certificate = all->other_client.certificate;
    tls.key = all->other_client.key;
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    tls.certificate = tls.key = NULL;
    assert_int_equal(tls_code(server, &tls), STUB_UNAVAILABLE);
    assert_int_equal(echo_server_calls(server), 1);
    echo_server_close(server);
}

static void certificates_that_cannot_serve_are_refused(void **state) {
    struct authority *all = *state;
    const char *certificate = all->client.certificate, *key = all->client.key;
    const struct stub_tls bad[] = {
        {.roots = "no PEM"},
        {.roots = ""},
        {.roots = key},
        {.certificate = certificate},
        {.key = key},
        {.certificate = certificate, .key = all->other_client.key},
        {.certificate = key, .key = key},
        {.certificate = certificate, .key = certificate},
        {.server_name = ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(
            open_code(&(struct stub_channel_options){.target = "localhost:1", .tls = &bad[i]}),
            STUB_INVALID_ARGUMENT);
    assert_int_equal(open_code(&(struct stub_channel_options){
                         .target = "localhost:1",
                         .tls = &(struct stub_tls){.certificate = certificate, .key = key}}),
                     STUB_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_checked),
        cmocka_unit_test(local_targets_are_known),
        cmocka_unit_test(options_that_cannot_be_are_refused),
        cmocka_unit_test_setup_teardown(the_user_agent_goes_first, fixture_open, fixture_close),
#define TEST(name) cmocka_unit_test_setup_teardown(name, authority_open, authority_close)
        TEST(a_server_is_known_by_its_certificate),
        TEST(a_client_is_known_by_its_certificate),
        TEST(certificates_that_cannot_serve_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
