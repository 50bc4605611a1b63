#include "tests/service/auth/signer.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "base/memory.h"

enum { SECRET_BYTES = 32, SIGNATURE_MAX = 512, HALF = 32 };

struct signer {
    enum jwk_algorithm algorithm;
    const char *id;
    EVP_PKEY *key;
    uint8_t secret[SECRET_BYTES];
};

/* Ends the test program when a step of the set-up fails. */
static void must(bool is_done, const char *what) {
    if (!is_done) {
        fprintf(stderr, "signer: %s\n", what);
        abort();
    }
}

struct signer *signer_open(enum jwk_algorithm algorithm, const char *id) {
    struct signer *signer = memory_zalloc(1, sizeof *signer);
    must(signer, "memory");
    signer->algorithm = algorithm;
    signer->id = id;
    if (algorithm == JWK_RS256)
        signer->key = EVP_RSA_gen(2048);
    else if (algorithm == JWK_ES256)
        signer->key = EVP_EC_gen("P-256");
    else if (algorithm == JWK_EDDSA)
        signer->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        must(RAND_bytes(signer->secret, SECRET_BYTES) == 1, "random");
    must(algorithm == JWK_HS256 || signer->key, "key");
    return signer;
}

struct signer *signer_close(struct signer *signer) {
    if (signer)
        EVP_PKEY_free(signer->key);
    memory_free(signer);
    return NULL;
}

/* Appends "name":"base64url of a big number of the key". */
static void append_number(const struct signer *signer, const char *name, const char *parameter,
                          int size, struct buffer *out) {
    BIGNUM *number = NULL;
    uint8_t bytes[SIGNATURE_MAX];
    must(EVP_PKEY_get_bn_param(signer->key, parameter, &number) == 1, parameter);
    size = size ? size : BN_num_bytes(number);
    must(BN_bn2binpad(number, bytes, size) == size, name);
    BN_free(number);
    buffer_append_format(out, ",\"%s\":\"", name);
    base64url_append(out, slice_of(bytes, (size_t)size));
    buffer_append_byte(out, '"');
}

void signer_jwk(const struct signer *signer, struct buffer *out) {
    static const char *const types[] = {"RSA", "EC", "OKP", "oct"};
    buffer_append_format(out, "{\"kty\":\"%s\"", types[signer->algorithm]);
    if (signer->id)
        buffer_append_format(out, ",\"kid\":\"%s\"", signer->id);
    uint8_t raw[HALF];
    size_t size = sizeof raw;
    switch (signer->algorithm) {
    case JWK_RS256:
        append_number(signer, "n", OSSL_PKEY_PARAM_RSA_N, 0, out);
        append_number(signer, "e", OSSL_PKEY_PARAM_RSA_E, 0, out);
        break;
    case JWK_ES256:
        buffer_append_format(out, ",\"crv\":\"P-256\"");
        append_number(signer, "x", OSSL_PKEY_PARAM_EC_PUB_X, HALF, out);
        append_number(signer, "y", OSSL_PKEY_PARAM_EC_PUB_Y, HALF, out);
        break;
    case JWK_EDDSA:
        must(EVP_PKEY_get_raw_public_key(signer->key, raw, &size) == 1, "raw key");
        buffer_append_format(out, ",\"crv\":\"Ed25519\",\"x\":\"");
        base64url_append(out, slice_of(raw, size));
        buffer_append_byte(out, '"');
        break;
    default:
        buffer_append_format(out, ",\"k\":\"");
        base64url_append(out, slice_of(signer->secret, SECRET_BYTES));
        buffer_append_byte(out, '"');
    }
    buffer_append_byte(out, '}');
}

void secret_sign(struct slice secret, const char *header, const char *payload, struct buffer *out) {
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned size;
    size_t begin = out->size;
    base64url_append(out, slice_text(header));
    buffer_append_byte(out, '.');
    base64url_append(out, slice_text(payload));
    must(HMAC(EVP_sha256(), secret.data, (int)secret.size, out->data + begin, out->size - begin,
              mac, &size),
         "mac");
    buffer_append_byte(out, '.');
    base64url_append(out, slice_of(mac, size));
}

/* Turns OpenSSL's form of an ES256 signature into r and s. */
static void es256_pair(uint8_t signature[SIGNATURE_MAX], size_t *size) {
    const uint8_t *in = signature;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &in, (long)*size);
    must(pair, "pair");
    uint8_t flat[2 * HALF];
    must(BN_bn2binpad(ECDSA_SIG_get0_r(pair), flat, HALF) == HALF, "r");
    must(BN_bn2binpad(ECDSA_SIG_get0_s(pair), flat + HALF, HALF) == HALF, "s");
    ECDSA_SIG_free(pair);
    memcpy(signature, flat, sizeof flat);
    *size = sizeof flat;
}

void signer_sign(const struct signer *signer, const char *header, const char *payload,
                 struct buffer *out) {
    if (signer->algorithm == JWK_HS256) {
        secret_sign(signer_secret(signer), header, payload, out);
        return;
    }
    size_t begin = out->size;
    base64url_append(out, slice_text(header));
    buffer_append_byte(out, '.');
    base64url_append(out, slice_text(payload));
    uint8_t signature[SIGNATURE_MAX];
    size_t size = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    must(EVP_DigestSignInit(context, NULL, signer->algorithm == JWK_EDDSA ? NULL : EVP_sha256(),
                            NULL, signer->key) == 1 &&
             EVP_DigestSign(context, signature, &size, out->data + begin, out->size - begin) == 1,
         "signature");
    EVP_MD_CTX_free(context);
    if (signer->algorithm == JWK_ES256)
        es256_pair(signature, &size);
    buffer_append_byte(out, '.');
    base64url_append(out, slice_of(signature, size));
}

void signer_pem(const struct signer *signer, bool is_private, struct buffer *out) {
    BIO *bio = BIO_new(BIO_s_mem());
    must(is_private ? PEM_write_bio_PrivateKey(bio, signer->key, NULL, NULL, 0, NULL, NULL)
                    : PEM_write_bio_PUBKEY(bio, signer->key),
         "pem");
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    buffer_append(out, slice_of(data, (size_t)size));
    BIO_free(bio);
}

struct slice signer_secret(const struct signer *signer) {
    return slice_of(signer->secret, SECRET_BYTES);
}

void signers_write(const struct signer *const *signers, size_t count, const char *path) {
    struct buffer text;
    buffer_init(&text, 1 << 20);
    buffer_append_format(&text, "{\"keys\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(&text, ',');
        signer_jwk(signers[i], &text);
    }
    buffer_append_format(&text, "]}\n");
    FILE *file = fopen(path, "w");
    must(file && fwrite(text.data, 1, text.size, file) == text.size && fclose(file) == 0, path);
    buffer_done(&text);
}
