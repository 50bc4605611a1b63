#include "tests/client/stub/certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { DAY_SECONDS = 86400, NAME_MAX_SIZE = 200 };

static void must(bool holds) {
    if (!holds)
        abort();
}

/* What a memory BIO holds as text. */
static char *bio_text(BIO *bio) {
    char *data = NULL;
    long size = BIO_get_mem_data(bio, &data);
    char *text = memory_copy_text(data, (size_t)size);
    must(text);
    BIO_free(bio);
    return text;
}

static void add_extension(X509 *certificate, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    must(extension && X509_add_ext(certificate, extension, -1));
    X509_EXTENSION_free(extension);
}

static void set_name(X509 *certificate, const char *name) {
    X509_NAME *subject = X509_get_subject_name(certificate);
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                    -1, 0));
}

/* Reads the issuer's name and key, or takes the certificate's own. */
static EVP_PKEY *set_issuer(X509 *certificate, EVP_PKEY *key, const struct certificate *issuer) {
    if (!issuer) {
        must(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)));
        must(EVP_PKEY_up_ref(key));
        return key;
    }
    BIO *bio = BIO_new_mem_buf(issuer->certificate, -1);
    X509 *parent = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    must(parent && X509_set_issuer_name(certificate, X509_get_subject_name(parent)));
    X509_free(parent);
    bio = BIO_new_mem_buf(issuer->key, -1);
    EVP_PKEY *parent_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    must(parent_key);
    return parent_key;
}

void certificate_make(const char *name, const struct certificate *issuer,
                      struct certificate *ret_certificate) {
    static long serial = 1;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    must(key && certificate);
    must(X509_set_version(certificate, 2));
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++));
    must(X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY_SECONDS) &&
         X509_gmtime_adj(X509_getm_notAfter(certificate), DAY_SECONDS));
    set_name(certificate, name);
    must(X509_set_pubkey(certificate, key));
    EVP_PKEY *signing = set_issuer(certificate, key, issuer);
    char names[NAME_MAX_SIZE];
    snprintf(names, sizeof names, "DNS:%s", name);
    if (issuer)
        add_extension(certificate, NID_subject_alt_name, names);
    else
        add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE");
    must(X509_sign(certificate, signing, EVP_sha256()));
    BIO *bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_X509(bio, certificate));
    ret_certificate->certificate = bio_text(bio);
    bio = BIO_new(BIO_s_mem());
    must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
    ret_certificate->key = bio_text(bio);
    EVP_PKEY_free(signing);
    EVP_PKEY_free(key);
    X509_free(certificate);
}

void certificate_done(struct certificate *certificate) {
    memory_free(certificate->certificate);
    memory_free(certificate->key);
}
