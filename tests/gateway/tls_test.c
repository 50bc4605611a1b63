/* TLS over a pair of sockets, with time by hand: tickets, their keys, and loading anew. */
#include "gateway/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/memory.h"

enum { LIFETIME_S = 1000, TURNS = 20 };

static uint64_t now_us = 1000000;
static char folder[] = "/tmp/tlsXXXXXX", cert_path[64], key_path[64];

static uint64_t clock_read(void *context) {
    (void)context;
    return now_us;
}

static const struct clock by_hand = {.now_us = clock_read, .monotonic_us = clock_read};

/* Writes a certificate of its own authority, and its key. */
static void write_certificate(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"h", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    FILE *cert_file = fopen(cert_path, "w"), *key_file = fopen(key_path, "w");
    assert_true(cert_file && key_file);
    assert_int_equal(PEM_write_X509(cert_file, cert), 1);
    assert_int_equal(PEM_write_PrivateKey(key_file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(cert_file);
    fclose(key_file);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int setup_files(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(cert_path, sizeof cert_path, "%s/cert.pem", folder);
    snprintf(key_path, sizeof key_path, "%s/key.pem", folder);
    write_certificate();
    return 0;
}

static int teardown_files(void **state) {
    (void)state;
    unlink(cert_path);
    unlink(key_path);
    return rmdir(folder);
}

static struct tls *tls_made(void) {
    struct tls *tls = NULL;
    struct sync_error error;
    const struct tls_options options = {
        .cert_path = cert_path,
        .key_path = key_path,
        .ticket_lifetime_us = LIFETIME_S * UINT64_C(1000000),
        .clock = &by_hand,
        .random = random_system(),
    };
    assert_int_equal(tls_open(&options, &error, &tls), SYNC_OK);
    return tls;
}

/* A client connects with a session, or NULL, and is sent a byte: tells whether the session was
 * resumed, and gives the one to resume next. */
static bool resumes(struct tls *tls, int version, SSL_SESSION **session) {
    int fds[2];
    uint8_t byte;
    struct transport transport;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(transport_init(&transport, fds[0], tls), SYNC_OK);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL *client = SSL_new(context);
    SSL_set_fd(client, fds[1]);
    if (*session)
        SSL_set_session(client, *session);
    bool sent = false;
    for (int i = 0; i < TURNS; i++) {
        SSL_connect(client);
        assert_int_equal(transport_read(&transport, &byte, 1), TRANSPORT_AGAIN);
        if (transport.established && !sent)
            sent = transport_write(&transport, SLICE("x")) == 1;
    }
    assert_true(sent);
    assert_int_equal(SSL_read(client, &byte, 1), 1); /* TLS 1.3: the ticket came before it */
    bool reused = SSL_session_reused(client);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(client);
    SSL_shutdown(client); /* else the session would count as bad */
    SSL_free(client);
    SSL_CTX_free(context);
    transport_done(&transport);
    close(fds[1]);
    return reused;
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void a_session_is_resumed_while_its_key_lives(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls *tls = tls_made();
        SSL_SESSION *session = NULL, *first;
        assert_false(resumes(tls, versions[i], &session));
        first = session;
        SSL_SESSION_up_ref(first);
        assert_true(resumes(tls, versions[i], &session));
        now_us += (LIFETIME_S + 1) * UINT64_C(1000000); /* a new key seals, the old one opens */
        assert_true(resumes(tls, versions[i], &session));
        now_us += LIFETIME_S * UINT64_C(1000000);
        assert_true(resumes(tls, versions[i], &session)); /* by the ticket given last */
        assert_false(resumes(tls, versions[i], &first));
        SSL_SESSION_free(session);
        SSL_SESSION_free(first);
        assert_null(tls_close(tls));
    }
}

static void a_ticket_of_another_server_is_no_error(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tls *one = tls_made(), *other = tls_made();
        SSL_SESSION *session = NULL;
        assert_false(resumes(one, versions[i], &session));
        assert_false(resumes(other, versions[i], &session));
        SSL_SESSION_free(session);
        tls_close(one);
        tls_close(other);
    }
}

enum { READS_MAX = 1000 };

/* A client renews its keys; that is one message. */
static void renew(SSL *client) {
    assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED), 1);
    assert_int_equal(SSL_do_handshake(client), 1);
}

/* Reads until that tells something, at most READS_MAX times; counts how often. */
static ssize_t read_patiently(struct transport *transport, int *reads) {
    uint8_t byte;
    ssize_t got = TRANSPORT_AGAIN;
    for (*reads = 0; got == TRANSPORT_AGAIN && *reads < READS_MAX; (*reads)++)
        got = transport_read(transport, &byte, 1);
    return got;
}

static void keys_are_renewed_one_by_one_and_not_without_end(void **state) {
    (void)state;
    struct tls *tls = tls_made();
    int fds[2];
    uint8_t byte;
    struct transport transport;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(transport_init(&transport, fds[0], tls), SYNC_OK);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context);
    SSL_set_fd(client, fds[1]);
    for (int i = 0; i < TURNS; i++) {
        SSL_connect(client);
        assert_int_equal(transport_read(&transport, &byte, 1), TRANSPORT_AGAIN);
    }
    for (int i = 0; i < TLS_KEY_UPDATES_MAX; i++)
        renew(client);
    assert_int_equal(SSL_write(client, "x", 1), 1);
    int reads = 0;
    assert_int_equal(read_patiently(&transport, &reads), 1);
    assert_in_range(reads, TLS_KEY_UPDATES_MAX + 1, READS_MAX);
    renew(client);
    assert_int_equal(read_patiently(&transport, &reads), TRANSPORT_FAILED);
    SSL_free(client);
    SSL_CTX_free(context);
    transport_done(&transport);
    close(fds[1]);
    tls_close(tls);
}

static void a_bad_file_leaves_everything_as_it_was(void **state) {
    (void)state;
    struct tls *tls = tls_made();
    struct sync_error error;
    SSL_SESSION *session = NULL;
    int64_t not_after_s = tls_not_after_s(tls);
    assert_true(not_after_s > 0);
    assert_false(tls_files_changed(tls));
    FILE *file = fopen(cert_path, "w");
    assert_non_null(file);
    fputs("nonsense", file);
    fclose(file);
    assert_true(tls_files_changed(tls));
    assert_int_equal(tls_reload(tls, &error), SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, cert_path));
    assert_false(tls_files_changed(tls)); /* it is looked at once */
    assert_int_equal(tls_not_after_s(tls), not_after_s);
    assert_false(resumes(tls, TLS1_3_VERSION, &session));
    write_certificate();
    assert_true(tls_files_changed(tls));
    assert_int_equal(tls_reload(tls, &error), SYNC_OK);
    assert_true(resumes(tls, TLS1_3_VERSION, &session));
    SSL_SESSION_free(session);
    tls_close(tls);
}

static void lack_of_memory_is_told(void **state) {
    (void)state;
    struct tls *tls = NULL;
    struct sync_error error;
    const struct tls_options options = {.cert_path = cert_path,
                                        .key_path = key_path,
                                        .ticket_lifetime_us = 1000000,
                                        .clock = &by_hand,
                                        .random = random_system()};
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_after(n);
        assert_int_equal(tls_open(&options, &error, &tls), SYNC_ERR_NO_MEMORY);
        memory_fail_after(0);
        assert_null(tls);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_is_resumed_while_its_key_lives),
        cmocka_unit_test(a_ticket_of_another_server_is_no_error),
        cmocka_unit_test(keys_are_renewed_one_by_one_and_not_without_end),
        cmocka_unit_test(a_bad_file_leaves_everything_as_it_was),
        cmocka_unit_test(lack_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, setup_files, teardown_files);
}
