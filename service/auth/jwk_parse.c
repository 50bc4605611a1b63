/* JWK: reading one key. */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "service/auth/jwk_private.h"

enum {
    MEMBER_BYTES_MAX = 2048, /* RSA of 16,384 bits */
    RSA_BITS_MIN = 2048,
    HMAC_BYTES_MIN = 32,
    P256_BYTES = 32,
    ED25519_BYTES = 32,
};

static struct slice member_text(json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    return value ? slice_of(json_string_value(value), json_string_length(value)) : SLICE_EMPTY;
}

/* Decodes a base64url member; false when it is absent, empty or malformed. */
static bool member_bytes(json_t *object, const char *name, struct buffer *out) {
    buffer_init(out, MEMBER_BYTES_MAX);
    struct slice text = member_text(object, name);
    return text.size > 0 && base64_decode(text, out) && buffer_status(out) == SYNC_OK &&
           out->size > 0;
}

/* Makes a public key of `type` from parameters; takes over `params`. */
static EVP_PKEY *key_from_params(const char *type, OSSL_PARAM *params) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !context || EVP_PKEY_fromdata_init(context) <= 0 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    return key;
}

static bool rsa_parse(json_t *object, struct jwk *key) {
    struct buffer n, e;
    bool is_read = member_bytes(object, "n", &n);
    is_read = member_bytes(object, "e", &e) && is_read;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = is_read ? BN_bin2bn(n.data, (int)n.size, NULL) : NULL;
    BIGNUM *exponent = is_read ? BN_bin2bn(e.data, (int)e.size, NULL) : NULL;
    if (build && modulus && exponent && OSSL_PARAM_BLD_push_BN(build, "n", modulus) &&
        OSSL_PARAM_BLD_push_BN(build, "e", exponent))
        key->key = key_from_params("RSA", OSSL_PARAM_BLD_to_param(build));
    OSSL_PARAM_BLD_free(build);
    BN_free(modulus);
    BN_free(exponent);
    buffer_done(&n);
    buffer_done(&e);
    return key->key && EVP_PKEY_get_bits(key->key) >= RSA_BITS_MIN;
}

static bool ec_parse(json_t *object, struct jwk *key) {
    struct buffer x, y;
    bool is_read = member_bytes(object, "x", &x);
    is_read = member_bytes(object, "y", &y) && is_read && x.size == P256_BYTES &&
              y.size == P256_BYTES && slice_equal(member_text(object, "crv"), SLICE("P-256"));
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    uint8_t point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    if (is_read && build) {
        memcpy(point + 1, x.data, P256_BYTES);
        memcpy(point + 1 + P256_BYTES, y.data, P256_BYTES);
        if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
            key->key = key_from_params("EC", OSSL_PARAM_BLD_to_param(build));
    }
    OSSL_PARAM_BLD_free(build);
    buffer_done(&x);
    buffer_done(&y);
    return key->key;
}

static bool okp_parse(json_t *object, struct jwk *key) {
    struct buffer x;
    if (member_bytes(object, "x", &x) && x.size == ED25519_BYTES &&
        slice_equal(member_text(object, "crv"), SLICE("Ed25519")))
        key->key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, x.size);
    buffer_done(&x);
    return key->key;
}

static bool oct_parse(json_t *object, struct jwk *key) {
    return member_bytes(object, "k", &key->secret) && key->secret.size >= HMAC_BYTES_MIN;
}

/* The types that are known. */
static const struct key_type {
    const char *type;
    const char *algorithm;
    bool (*parse)(json_t *object, struct jwk *key);
} key_types[JWK_ALGORITHMS] = {
    [JWK_RS256] = {"RSA", "RS256", rsa_parse},
    [JWK_ES256] = {"EC", "ES256", ec_parse},
    [JWK_EDDSA] = {"OKP", "EdDSA", okp_parse},
    [JWK_HS256] = {"oct", "HS256", oct_parse},
};

/* Reads the key's id and checks what it says of its use. */
static enum sync_status key_head(json_t *object, const struct key_type *type,
                                 struct sync_error *error, struct jwk *key) {
    struct slice id = member_text(object, "kid"), algorithm = member_text(object, "alg");
    if (id.size > JWK_ID_MAX)
        return sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL,
                              "a key's id has more than %d bytes", JWK_ID_MAX);
    snprintf(key->id, sizeof key->id, "%.*s", (int)id.size, (const char *)id.data);
    if (algorithm.size > 0 && !slice_equal(algorithm, slice_text(type->algorithm)))
        return sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL,
                              "the key \"%s\" of type %s serves %s alone, not another algorithm",
                              key->id, type->type, type->algorithm);
    return SYNC_OK;
}

enum sync_status jwk_parse(json_t *object, struct sync_error *error, struct jwk *ret_key) {
    struct slice type = member_text(object, "kty"), use = member_text(object, "use");
    size_t index = 0;
    while (index < JWK_ALGORITHMS && !slice_equal(type, slice_text(key_types[index].type)))
        index++;
    if (index == JWK_ALGORITHMS || (use.size > 0 && !slice_equal(use, SLICE("sig"))))
        return SYNC_ERR_NOT_FOUND;
    struct jwk key = {.algorithm = (enum jwk_algorithm)index};
    enum sync_status status = key_head(object, &key_types[index], error, &key);
    if (status == SYNC_OK && !key_types[index].parse(object, &key))
        status = sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL,
                                "the key \"%s\" of type %s is malformed, too weak or of another "
                                "curve",
                                key.id, key_types[index].type);
    if (status != SYNC_OK) {
        jwk_done(&key);
        return status;
    }
    *ret_key = key;
    return SYNC_OK;
}

void jwk_done(struct jwk *key) {
    EVP_PKEY_free(key->key);
    if (key->secret.data)
        OPENSSL_cleanse(key->secret.data, key->secret.size);
    buffer_done(&key->secret);
    key->key = NULL;
}
