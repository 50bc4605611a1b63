/* JWK: verifying a signature, by OpenSSL itself. libjwt 1.10 takes the algorithm from the token,
 * reads a PEM text at each call and has no EdDSA; it signs tokens in the tests, as another's eye on
 * the format. */
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>

#include "base/sha256.h"
#include "service/auth/jwk_private.h"

enum { ES256_BYTES = 64, ES256_DER_MAX = 80 };

/* Turns r and s, as JWS has them, into the form that OpenSSL verifies; 0 on failure. */
static size_t es256_der(struct slice signature, uint8_t der[ES256_DER_MAX]) {
    if (signature.size != ES256_BYTES)
        return 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, ES256_BYTES / 2, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + ES256_BYTES / 2, ES256_BYTES / 2, NULL);
    int size = 0;
    if (pair && r && s && ECDSA_SIG_set0(pair, r, s)) {
        r = s = NULL; /* the pair's now */
        uint8_t *out = der;
        if (i2d_ECDSA_SIG(pair, NULL) <= ES256_DER_MAX)
            size = i2d_ECDSA_SIG(pair, &out);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(pair);
    return size > 0 ? (size_t)size : 0;
}

static bool public_verify(EVP_PKEY *key, const EVP_MD *digest, struct slice message,
                          struct slice signature) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_good =
        context && EVP_DigestVerifyInit(context, NULL, digest, NULL, key) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.size, message.data, message.size) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return is_good;
}

static bool secret_verify(struct slice secret, struct slice message, struct slice signature) {
    uint8_t mac[SHA256_SIZE];
    unsigned size = 0;
    return HMAC(EVP_sha256(), secret.data, (int)secret.size, message.data, message.size, mac,
                &size) &&
           size == signature.size && CRYPTO_memcmp(mac, signature.data, size) == 0;
}

bool jwk_verify(const struct jwk *key, struct slice message, struct slice signature) {
    uint8_t der[ES256_DER_MAX];
    switch (key->algorithm) {
    case JWK_RS256:
        return public_verify(key->key, EVP_sha256(), message, signature);
    case JWK_ES256: {
        size_t size = es256_der(signature, der);
        return size > 0 && public_verify(key->key, EVP_sha256(), message, slice_of(der, size));
    }
    case JWK_EDDSA:
        return public_verify(key->key, NULL, message, signature);
    case JWK_HS256:
        return secret_verify(buffer_slice(&key->secret), message, signature);
    case JWK_ALGORITHMS:
        break;
    }
    return false;
}
