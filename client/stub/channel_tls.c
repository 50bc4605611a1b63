#include "client/stub/channel_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

enum { PEM_MAX = 16 << 20 };

/* No password is asked for on a terminal. */
static int no_password(char *text, int size, int for_writing, void *context) {
    (void)text;
    (void)size;
    (void)for_writing;
    (void)context;
    return -1;
}

/* Reads the first certificate; NULL when there is none. */
static X509 *certificate_read(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *key_read(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, (int)strlen(pem));
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static const char *roots_fault(const char *pem) {
    if (strnlen(pem, PEM_MAX) == PEM_MAX)
        return "The root certificates are too large.";
    X509 *certificate = certificate_read(pem);
    X509_free(certificate);
    return certificate ? NULL : "The root certificates are no PEM.";
}

static const char *pair_fault(const char *certificate_pem, const char *key_pem) {
    if (strnlen(certificate_pem, PEM_MAX) == PEM_MAX || strnlen(key_pem, PEM_MAX) == PEM_MAX)
        return "The client's certificate or key is too large.";
    X509 *certificate = certificate_read(certificate_pem);
    EVP_PKEY *key = key_read(key_pem);
    const char *fault = NULL;
    if (!certificate)
        fault = "The client's certificate is no PEM.";
    else if (!key)
        fault = "The client's key is no PEM, or encrypted.";
    else if (X509_check_private_key(certificate, key) != 1)
        fault = "The client's key is not that of its certificate.";
    X509_free(certificate);
    EVP_PKEY_free(key);
    return fault;
}

const char *channel_tls_fault(const struct stub_tls *tls) {
    if (!tls->certificate != !tls->key)
        return "The client has a certificate without a key, or a key without one.";
    if (tls->server_name && tls->server_name[0] == '\0')
        return "The server's name is empty.";
    const char *fault = tls->roots ? roots_fault(tls->roots) : NULL;
    if (!fault && tls->certificate)
        fault = pair_fault(tls->certificate, tls->key);
    ERR_clear_error();
    return fault;
}

grpc_channel_credentials *channel_tls_credentials(const struct stub_tls *tls) {
    grpc_ssl_pem_key_cert_pair pair = {.private_key = tls->key, .cert_chain = tls->certificate};
    return grpc_ssl_credentials_create_ex(tls->roots, tls->certificate ? &pair : NULL, NULL, NULL);
}
