#include "gateway/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "gateway/file_mark.h"
#include "gateway/tls_context.h"
#include "gateway/tls_ticket.h"

enum { TLS_FILES = 3, TLS_CHAIN_DEPTH_MAX = 4 };

struct tls {
    struct tls_options options;
    struct tls_tickets *tickets;
    pthread_mutex_t lock; /* of what follows */
    SSL_CTX *context;     /* connections keep theirs over a reload */
    int64_t not_after_s;
    struct file_mark files[TLS_FILES]; /* as they were last read */
};

static int tls_choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                               const unsigned char *in, unsigned in_size, void *context) {
    static const unsigned char offered[] = "\x02h2\x08http/1.1";
    (void)ssl;
    (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_size, offered, sizeof(offered) - 1, in, in_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Why the last call failed: the system's reason, such as a missing file, or OpenSSL's. */
static const char *tls_reason(void) {
    unsigned long code = ERR_peek_error();
    if (ERR_SYSTEM_ERROR(code))
        return strerror(ERR_GET_REASON(code));
    const char *reason = ERR_reason_error_string(code);
    return reason ? reason : "unknown reason";
}

static enum sync_status context_load(SSL_CTX *context, const struct tls_options *options,
                                     struct sync_error *error) {
    if (SSL_CTX_use_certificate_chain_file(context, options->cert_path) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "CERTIFICATE", NULL,
                              "cannot read a certificate chain from %s: %s", options->cert_path,
                              tls_reason());
    if (SSL_CTX_use_PrivateKey_file(context, options->key_path, SSL_FILETYPE_PEM) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "KEY", NULL,
                              "cannot read a private key from %s: %s", options->key_path,
                              tls_reason());
    if (SSL_CTX_check_private_key(context) != 1)
        return sync_error_set(error, SYNC_ERR_INVALID, "KEY", NULL,
                              "the key in %s is not the certificate's", options->key_path);
    return SYNC_OK;
}

/* Asks clients for certificates of the authorities in the file. */
static enum sync_status context_load_clients(SSL_CTX *context, const struct tls_options *options,
                                             struct sync_error *error) {
    static const unsigned char session_context[] = "gateway";
    const char *path = options->client_ca_path;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(path);
    if (!names || SSL_CTX_load_verify_locations(context, path, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return sync_error_set(error, SYNC_ERR_INVALID, "CLIENT_CA", NULL,
                              "cannot read certificates of authorities from %s: %s", path,
                              tls_reason());
    }
    SSL_CTX_set_client_CA_list(context, names);
    SSL_CTX_set_verify_depth(context, TLS_CHAIN_DEPTH_MAX);
    SSL_CTX_set_verify(
        context, SSL_VERIFY_PEER | (options->client_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
        NULL);
    SSL_CTX_set_session_id_context(context, session_context, sizeof(session_context) - 1);
    return SYNC_OK;
}

static enum sync_status context_make(const struct tls *tls, struct sync_error *error,
                                     SSL_CTX **ret_context) {
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    /* A read would go on as long as there are updates of keys, which cost 40 us each. */
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_alpn_select_cb(context, tls_choose_protocol, NULL);
    /* Sessions live in tickets that clients keep, not in our memory. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    tls_tickets_serve(tls->tickets, context);
    ERR_clear_error();
    enum sync_status status = context_load(context, &tls->options, error);
    if (status == SYNC_OK && tls->options.client_ca_path)
        status = context_load_clients(context, &tls->options, error);
    if (status != SYNC_OK) {
        SSL_CTX_free(context);
        return status;
    }
    *ret_context = context;
    return SYNC_OK;
}

/* When the certificate ends, in seconds since 1970; 0 when that cannot be told. */
static int64_t context_not_after_s(SSL_CTX *context) {
    struct tm parts;
    const ASN1_TIME *time = X509_get0_notAfter(SSL_CTX_get0_certificate(context));
    return time && ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void files_look(const struct tls_options *options, struct file_mark files[TLS_FILES]) {
    const char *const paths[TLS_FILES] = {options->cert_path, options->key_path,
                                          options->client_ca_path};
    for (size_t i = 0; i < TLS_FILES; i++)
        files[i] = file_mark_of(paths[i]);
}

enum sync_status tls_open(const struct tls_options *options, struct sync_error *error,
                          struct tls **ret_tls) {
    assert(options->cert_path && options->key_path);
    struct tls *tls = memory_zalloc(1, sizeof(*tls));
    if (!tls)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for TLS");
    pthread_mutex_init(&tls->lock, NULL);
    tls->options = *options;
    enum sync_status status = tls_tickets_open(options->ticket_lifetime_us, options->clock,
                                               options->random, &tls->tickets);
    if (status != SYNC_OK)
        sync_error_set(error, status, "MEMORY", NULL, "no memory for TLS");
    else
        status = tls_reload(tls, error);
    if (status != SYNC_OK) {
        tls_close(tls);
        return status;
    }
    *ret_tls = tls;
    return SYNC_OK;
}

struct tls *tls_close(struct tls *tls) {
    if (!tls)
        return NULL;
    SSL_CTX_free(tls->context);
    tls_tickets_close(tls->tickets);
    pthread_mutex_destroy(&tls->lock);
    memory_free(tls);
    return NULL;
}

enum sync_status tls_reload(struct tls *tls, struct sync_error *error) {
    struct file_mark files[TLS_FILES];
    SSL_CTX *context = NULL;
    files_look(&tls->options, files); /* before they are read: a later change is seen */
    enum sync_status status = context_make(tls, error, &context);
    pthread_mutex_lock(&tls->lock);
    memcpy(tls->files, files, sizeof(files));
    SSL_CTX *before = tls->context;
    if (status == SYNC_OK) {
        tls->context = context;
        tls->not_after_s = context_not_after_s(context);
    }
    pthread_mutex_unlock(&tls->lock);
    if (status != SYNC_OK)
        return status;
    /* A ticket vouches for a client whose authority may be gone. */
    if (before && tls->options.client_ca_path)
        tls_tickets_forget(tls->tickets);
    SSL_CTX_free(before);
    return SYNC_OK;
}

bool tls_files_changed(struct tls *tls) {
    struct file_mark files[TLS_FILES];
    files_look(&tls->options, files);
    bool changed = false;
    pthread_mutex_lock(&tls->lock);
    for (size_t i = 0; i < TLS_FILES; i++)
        changed |= !file_mark_equal(&files[i], &tls->files[i]);
    pthread_mutex_unlock(&tls->lock);
    return changed;
}

int64_t tls_not_after_s(struct tls *tls) {
    pthread_mutex_lock(&tls->lock);
    int64_t not_after_s = tls->not_after_s;
    pthread_mutex_unlock(&tls->lock);
    return not_after_s;
}

SSL *tls_connection(struct tls *tls) {
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->lock);
    return ssl;
}
