/* Tokens and key sets from strangers: none crashes, and none but a signed one says who calls.
 * The first byte chooses: a token as it is, a header and payload (with a NUL between) that are
 * signed here, or a key set. */
#include <stdlib.h>

#include "service/auth/jwt.h"
#include "tests/service/auth/signer.h"

static const char key_set[] = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"mac\",\"k\":"
                              "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"
                              "\"},{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"ed\","
                              "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";

static const struct jwt_expectation expectation = {
    .issuer = "i", .audience = "a", .now_us = 1000000, .leeway_us = 1};

static struct jwk_set *keys;

/* Verifies; a token that passes names a user. */
static bool verify(struct slice token) {
    struct sync_error error;
    struct identity identity;
    if (jwt_verify(token, keys, &expectation, &error, &identity) != SYNC_OK)
        return false;
    if (!identity.user[0] || identity.expires_us < expectation.now_us)
        abort();
    return true;
}

/* Signs "header NUL payload" with the secret of the set. */
static void verify_signed(struct slice text) {
    struct buffer copy, token;
    buffer_init(&copy, 1 << 20);
    buffer_init(&token, 1 << 21);
    buffer_append(&copy, text);
    buffer_append(&copy, slice_of("\0\0", 2));
    const char *header = (const char *)copy.data;
    secret_sign(SLICE("0123456789abcdef0123456789abcdef"), header, header + strlen(header) + 1,
                &token);
    verify(buffer_slice(&token));
    buffer_done(&copy);
    buffer_done(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error;
    if (!keys && jwk_set_parse(slice_text(key_set), &error, &keys) != SYNC_OK)
        abort();
    if (size == 0 || size > 1 << 16)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    struct jwk_set *set = NULL;
    if (data[0] % 3 == 0) {
        if (verify(rest))
            abort(); /* nobody guesses a signature */
    } else if (data[0] % 3 == 1) {
        verify_signed(rest);
    } else if (jwk_set_parse(rest, &error, &set) == SYNC_OK) {
        jwk_set_close(set);
    }
    return 0;
}
