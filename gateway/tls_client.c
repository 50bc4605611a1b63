#include "gateway/tls_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <string.h>

#include "base/memory.h"
#include "gateway/file_mark.h"

enum { CLIENT_FILES = 3 };

struct tls_client {
    struct tls_client_options options;
    struct file_mark files[CLIENT_FILES]; /* as they were last read */
    pthread_mutex_t lock;                 /* of what follows */
    SSL_CTX *context;                     /* connections keep theirs over a reload */
};

static enum sync_status client_bad(struct sync_error *error, const char *what, const char *path) {
    unsigned long code = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return sync_error_set(error, SYNC_ERR_INVALID, "UPSTREAM_TLS", NULL,
                          "cannot read %s from %s: %s", what, path,
                          reason ? reason : "unknown reason");
}

static enum sync_status client_load(SSL_CTX *context, const struct tls_client_options *options,
                                    struct sync_error *error) {
    ERR_clear_error();
    if (options->ca_path && SSL_CTX_load_verify_file(context, options->ca_path) != 1)
        return client_bad(error, "certificates", options->ca_path);
    if (!options->ca_path)
        SSL_CTX_set_default_verify_paths(context);
    if (!options->cert_path)
        return SYNC_OK;
    if (SSL_CTX_use_certificate_chain_file(context, options->cert_path) != 1)
        return client_bad(error, "a certificate chain", options->cert_path);
    if (SSL_CTX_use_PrivateKey_file(context, options->key_path, SSL_FILETYPE_PEM) != 1)
        return client_bad(error, "a private key", options->key_path);
    return SYNC_OK;
}

static enum sync_status client_context_make(const struct tls_client_options *options,
                                            struct sync_error *error, SSL_CTX **ret_context) {
    static const unsigned char protocols[] = "\x02h2";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_protos(context, protocols, sizeof(protocols) - 1);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    enum sync_status status = client_load(context, options, error);
    if (status == SYNC_OK)
        *ret_context = context;
    else
        SSL_CTX_free(context);
    return status;
}

static void client_look(const struct tls_client *client, struct file_mark files[CLIENT_FILES]) {
    const struct tls_client_options *options = &client->options;
    files[0] = file_mark_of(options->ca_path);
    files[1] = file_mark_of(options->cert_path);
    files[2] = file_mark_of(options->key_path);
}

enum sync_status tls_client_open(const struct tls_client_options *options, struct sync_error *error,
                                 struct tls_client **ret_client) {
    assert(!options->cert_path == !options->key_path);
    struct tls_client *client = memory_zalloc(1, sizeof(*client));
    if (!client)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    client->options = *options;
    pthread_mutex_init(&client->lock, NULL);
    enum sync_status status = tls_client_reload(client, error);
    if (status != SYNC_OK) {
        tls_client_close(client);
        return status;
    }
    *ret_client = client;
    return SYNC_OK;
}

struct tls_client *tls_client_close(struct tls_client *client) {
    if (!client)
        return NULL;
    SSL_CTX_free(client->context);
    pthread_mutex_destroy(&client->lock);
    memory_free(client);
    return NULL;
}

enum sync_status tls_client_reload(struct tls_client *client, struct sync_error *error) {
    SSL_CTX *context = NULL;
    client_look(client, client->files); /* before they are read: a later change is seen */
    enum sync_status status = client_context_make(&client->options, error, &context);
    if (status != SYNC_OK)
        return status;
    pthread_mutex_lock(&client->lock);
    SSL_CTX *before = client->context;
    client->context = context;
    pthread_mutex_unlock(&client->lock);
    SSL_CTX_free(before);
    return SYNC_OK;
}

bool tls_client_files_changed(const struct tls_client *client) {
    struct file_mark files[CLIENT_FILES];
    bool changed = false;
    client_look(client, files);
    for (size_t i = 0; i < CLIENT_FILES; i++)
        changed |= !file_mark_equal(&files[i], &client->files[i]);
    return changed;
}

/* Says whose certificate is expected; a name also goes into the ClientHello. */
static bool client_expect(SSL *ssl, const char *host) {
    struct in6_addr number;
    if (inet_pton(AF_INET, host, &number) == 1 || inet_pton(AF_INET6, host, &number) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum sync_status tls_client_connect(struct tls_client *client, int fd, const char *host,
                                    struct transport *ret_transport) {
    pthread_mutex_lock(&client->lock);
    SSL *ssl = SSL_new(client->context);
    pthread_mutex_unlock(&client->lock);
    if (!ssl || SSL_set_fd(ssl, fd) != 1 || !client_expect(ssl, host)) {
        ERR_clear_error();
        SSL_free(ssl);
        return SYNC_ERR_NO_MEMORY;
    }
    SSL_set_connect_state(ssl);
    *ret_transport = (struct transport){.fd = fd, .ssl = ssl};
    return SYNC_OK;
}
