#include "service/auth/jwt.h"

#include <jansson.h>
#include <stdio.h>

#include "base/id.h"
#include "base/json_text.h"

/* Times beyond the year 5138 are taken for it. */
static const double SECONDS_MAX = 1e11;

/* A token's three parts as text, and what the first two signed. */
struct jwt_parts {
    struct slice header, payload, signature, signed_text;
};

static enum sync_status refuse(struct sync_error *error, const char *reason, const char *message) {
    return sync_error_set(error, SYNC_ERR_UNAUTHENTICATED, reason, NULL, "%s", message);
}

static bool parts_split(struct slice token, struct jwt_parts *ret_parts) {
    const uint8_t *end = slice_end(token);
    const uint8_t *first = memchr(token.data, '.', token.size);
    const uint8_t *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second)
        return false;
    *ret_parts = (struct jwt_parts){
        .header = slice_of(token.data, (size_t)(first - token.data)),
        .payload = slice_of(first + 1, (size_t)(second - first - 1)),
        .signature = slice_of(second + 1, (size_t)(end - second - 1)),
        .signed_text = slice_of(token.data, (size_t)(second - token.data)),
    };
    /* Without padding: the one form of RFC 7515. */
    return base64url_is_valid(ret_parts->header) && base64url_is_valid(ret_parts->payload) &&
           base64url_is_valid(ret_parts->signature);
}

/* Decodes a part that is a JSON object; NULL when it is none. Release with json_decref. */
static json_t *part_object(struct slice part) {
    struct buffer text;
    buffer_init(&text, TOKEN_MAX);
    json_t *object = NULL;
    if (base64_decode(part, &text) && buffer_status(&text) == SYNC_OK)
        object = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, NULL);
    buffer_done(&text);
    if (object && !json_is_object(object)) {
        json_decref(object);
        object = NULL;
    }
    return object;
}

/* A member's text; the empty slice when it is absent or no string. */
static struct slice member_text(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : SLICE_EMPTY;
}

/* Chooses the key by the header. */
static enum sync_status header_key(const json_t *header, const struct jwk_set *keys,
                                   struct sync_error *error, const struct jwk **ret_key) {
    enum jwk_algorithm algorithm;
    if (!jwk_algorithm_parse(member_text(header, "alg"), &algorithm))
        return refuse(error, "TOKEN_ALGORITHM",
                      "The token's algorithm is none of RS256, ES256, EdDSA and HS256.");
    if (json_object_get(header, "crit"))
        return refuse(error, "TOKEN_MALFORMED", "The token demands an extension.");
    const json_t *id = json_object_get(header, "kid");
    const struct jwk *key =
        id ? jwk_set_find(keys, member_text(header, "kid")) : jwk_set_only(keys, algorithm);
    if (!key)
        return refuse(error, "TOKEN_KEY_UNKNOWN", "The token is signed by no key known here.");
    if (jwk_algorithm_of(key) != algorithm)
        return refuse(error, "TOKEN_ALGORITHM", "The token's algorithm is not its key's.");
    *ret_key = key;
    return SYNC_OK;
}

/* Reads a NumericDate; false when it is there and no number that can be a time. */
static bool claim_time(const json_t *claims, const char *name, bool *ret_found,
                       int64_t *ret_time_us) {
    const json_t *value = json_object_get(claims, name);
    *ret_found = value != NULL;
    if (!value)
        return true;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= 0))
        return false;
    *ret_time_us = (int64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) * 1e6);
    return true;
}

/* Whether a claim is the text, or a list that holds it. */
static bool claim_holds(const json_t *claims, const char *name, struct slice text) {
    const json_t *value = json_object_get(claims, name);
    if (!json_is_array(value))
        return json_is_string(value) && slice_equal(member_text(claims, name), text);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (json_is_string(item) &&
            slice_equal(slice_of(json_string_value(item), json_string_length(item)), text))
            return true;
    }
    return false;
}

/* Checks exp and nbf. */
static enum sync_status claims_time(const json_t *claims, const struct jwt_expectation *expected,
                                    struct sync_error *error, int64_t *ret_expires_us) {
    bool has_expiry, has_start;
    int64_t expires_us = 0, start_us = 0;
    if (!claim_time(claims, "exp", &has_expiry, &expires_us) || !has_expiry)
        return refuse(error, "TOKEN_CLAIMS", "The token has no valid \"exp\".");
    if (!claim_time(claims, "nbf", &has_start, &start_us))
        return refuse(error, "TOKEN_CLAIMS", "The token's \"nbf\" is no time.");
    if (expires_us + expected->leeway_us <= expected->now_us)
        return refuse(error, "TOKEN_EXPIRED", "The token has expired.");
    if (has_start && start_us - expected->leeway_us > expected->now_us)
        return refuse(error, "TOKEN_NOT_YET_VALID", "The token is not valid yet.");
    *ret_expires_us = expires_us;
    return SYNC_OK;
}

/* Checks who made the token and for whom. */
static enum sync_status claims_origin(const json_t *claims, const struct jwt_expectation *expected,
                                      struct sync_error *error) {
    if (expected->issuer && !slice_equal(member_text(claims, "iss"), slice_text(expected->issuer)))
        return refuse(error, "TOKEN_CLAIMS", "The token is of another issuer.");
    if (expected->audience && !claim_holds(claims, "aud", slice_text(expected->audience)))
        return refuse(error, "TOKEN_CLAIMS", "The token is for another audience.");
    return SYNC_OK;
}

/* Reads who calls. */
static enum sync_status claims_identity(const json_t *claims, struct sync_error *error,
                                        struct identity *identity) {
    struct slice user = member_text(claims, "sub");
    if (user.size == 0 || !change_id_is_valid(user) || user.size > USER_ID_MAX)
        return refuse(error, "TOKEN_CLAIMS", "The token's \"sub\" is no user id.");
    struct slice device = member_text(claims, "device_id");
    if (json_object_get(claims, "device_id") && !device_id_is_valid(device))
        return refuse(error, "TOKEN_CLAIMS", "The token's \"device_id\" is no device id.");
    memcpy(identity->user, user.data, user.size);
    if (device.size > 0)
        memcpy(identity->device, device.data, device.size);
    identity->is_service = claim_holds(claims, "role", SLICE("service")) ||
                           claim_holds(claims, "roles", SLICE("service"));
    return SYNC_OK;
}

/* Checks the signature with the key that the header names. */
static enum sync_status parts_verify(const struct jwt_parts *parts, const struct jwk_set *keys,
                                     struct sync_error *error) {
    json_t *header = part_object(parts->header);
    if (!header)
        return refuse(error, "TOKEN_MALFORMED", "The token's header is no JSON object.");
    const struct jwk *key = NULL;
    enum sync_status status = header_key(header, keys, error, &key);
    json_decref(header);
    if (status != SYNC_OK)
        return status;
    struct buffer signature;
    buffer_init(&signature, TOKEN_MAX);
    if (!base64_decode(parts->signature, &signature) || buffer_status(&signature) != SYNC_OK)
        status = refuse(error, "TOKEN_MALFORMED", "The token's signature is no base64url.");
    else if (!jwk_verify(key, parts->signed_text, buffer_slice(&signature)))
        status = refuse(error, "TOKEN_SIGNATURE", "The token's signature is not its key's.");
    buffer_done(&signature);
    return status;
}

enum sync_status jwt_verify(struct slice token, const struct jwk_set *keys,
                            const struct jwt_expectation *expectation, struct sync_error *error,
                            struct identity *ret_identity) {
    struct jwt_parts parts;
    if (token.size > TOKEN_MAX)
        return refuse(error, "TOKEN_MALFORMED", "The token is too long.");
    if (token.size == 0 || !parts_split(token, &parts))
        return refuse(error, "TOKEN_MALFORMED",
                      "The token is not three parts of base64url with dots between.");
    enum sync_status status = parts_verify(&parts, keys, error);
    if (status != SYNC_OK)
        return status;
    json_t *claims = part_object(parts.payload);
    if (!claims)
        return refuse(error, "TOKEN_MALFORMED", "The token's payload is no JSON object.");
    struct identity identity = {.is_service = false};
    status = claims_time(claims, expectation, error, &identity.expires_us);
    if (status == SYNC_OK)
        status = claims_origin(claims, expectation, error);
    if (status == SYNC_OK)
        status = claims_identity(claims, error, &identity);
    json_decref(claims);
    if (status == SYNC_OK)
        *ret_identity = identity;
    return status;
}
