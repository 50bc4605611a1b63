#include "service/auth/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <jwt.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "tests/service/auth/signer.h"

enum { NOW_S = 1000000 };

/* A verifier with one key of each kind and a clock of its own. */
struct fixture {
    char path[512];
    struct signer *signers[JWK_ALGORITHMS]; /* borrowed */
    uint64_t now_us;
    struct clock clock;
    struct token_verifier *verifier;
};

static const char *const algorithms[JWK_ALGORITHMS] = {"RS256", "ES256", "EdDSA", "HS256"};
static const char *const ids[JWK_ALGORITHMS] = {"rsa", "ec", "ed", "mac"};

static uint64_t fixture_now(void *context) {
    return *(uint64_t *)context;
}

static void verifier_open(struct fixture *fixture) {
    struct sync_error error;
    assert_int_equal(token_verifier_open(
                         &(struct token_verifier_options){
                             .jwks_path = fixture->path,
                             .issuer = "issuer",
                             .audience = "audience",
                             .leeway_us = 1000000,
                             .clock = &fixture->clock,
                         },
                         &error, &fixture->verifier),
                     SYNC_OK);
}

/* Keys of a kind take long to make: one set serves all tests. */
static struct signer *signers[JWK_ALGORITHMS];

static int signers_up(void **state) {
    (void)state;
    for (size_t i = 0; i < JWK_ALGORITHMS; i++)
        signers[i] = signer_open((enum jwk_algorithm)i, ids[i]);
    return 0;
}

static int signers_down(void **state) {
    (void)state;
    for (size_t i = 0; i < JWK_ALGORITHMS; i++)
        signers[i] = signer_close(signers[i]);
    return 0;
}

static int fixture_up(void **state) {
    static struct fixture fixture;
    const char *folder = getenv("TEST_TMPDIR");
    memset(&fixture, 0, sizeof fixture);
    snprintf(fixture.path, sizeof fixture.path, "%s/jwks-%d.json", folder ? folder : "/tmp",
             (int)getpid());
    memcpy(fixture.signers, signers, sizeof signers);
    signers_write((const struct signer *const *)fixture.signers, JWK_ALGORITHMS, fixture.path);
    fixture.now_us = NOW_S * 1000000ULL;
    fixture.clock = (struct clock){fixture_now, fixture_now, &fixture.now_us};
    verifier_open(&fixture);
    *state = &fixture;
    return 0;
}

static int fixture_down(void **state) {
    struct fixture *fixture = *state;
    token_verifier_close(fixture->verifier);
    unlink(fixture->path);
    return 0;
}

#define CLAIMS(rest) "{\"iss\":\"issuer\",\"aud\":\"audience\",\"sub\":\"anna\"" rest "}"
#define GOOD CLAIMS(",\"exp\":1000100")

/* Verifies "Bearer <token>". */
static enum sync_status verify(struct fixture *fixture, const struct buffer *token,
                               struct sync_error *error, struct identity *identity) {
    struct buffer value;
    buffer_init(&value, 1 << 20);
    buffer_append(&value, SLICE("Bearer "));
    buffer_append(&value, buffer_slice(token));
    memset(error, 0, sizeof *error);
    enum sync_status status =
        token_verify(fixture->verifier, buffer_slice(&value), error, identity);
    buffer_done(&value);
    return status;
}

static void header_of(size_t algorithm, char header[128]) {
    snprintf(header, 128, "{\"alg\":\"%s\",\"kid\":\"%s\"}", algorithms[algorithm], ids[algorithm]);
}

/* Signs claims with the key of an algorithm and verifies them: the reason, or "" for good. */
static const char *verify_claims(struct fixture *fixture, size_t algorithm, const char *claims,
                                 struct identity *identity) {
    static struct sync_error error;
    char header[128];
    struct buffer token;
    buffer_init(&token, 1 << 20);
    header_of(algorithm, header);
    signer_sign(fixture->signers[algorithm], header, claims, &token);
    enum sync_status status = verify(fixture, &token, &error, identity);
    buffer_done(&token);
    assert_int_equal(status, error.reason[0] ? SYNC_ERR_UNAUTHENTICATED : SYNC_OK);
    return error.reason;
}

/* Verifies a token as it is: the reason, or "". */
static const char *verify_text(struct fixture *fixture, const struct buffer *token) {
    static struct sync_error error;
    struct identity identity;
    verify(fixture, token, &error, &identity);
    return error.reason;
}

static void token_of_every_algorithm_is_verified(void **state) {
    for (size_t i = 0; i < JWK_ALGORITHMS; i++) {
        struct identity identity;
        assert_string_equal(verify_claims(*state, i,
                                          CLAIMS(",\"exp\":1000100,\"device_id\":\"p1\","
                                                 "\"role\":\"service\""),
                                          &identity),
                            "");
        assert_string_equal(identity.user, "anna");
        assert_string_equal(identity.device, "p1");
        assert_true(identity.is_service);
        assert_int_equal(identity.expires_us, 1000100LL * 1000000);
    }
}

/* Makes a token by libjwt. */
static void libjwt_sign(struct fixture *fixture, jwt_alg_t algorithm, size_t signer,
                        struct buffer *out) {
    jwt_t *jwt;
    struct buffer key;
    assert_int_equal(jwt_new(&jwt), 0);
    buffer_init(&key, 1 << 16);
    if (signer == JWK_HS256)
        buffer_append(&key, signer_secret(fixture->signers[signer]));
    else
        signer_pem(fixture->signers[signer], true, &key);
    assert_int_equal(jwt_set_alg(jwt, algorithm, key.data, (int)key.size), 0);
    assert_int_equal(jwt_add_header(jwt, "kid", ids[signer]), 0);
    assert_int_equal(jwt_add_grants_json(jwt, GOOD), 0);
    char text[2048] = "";
    FILE *file = fmemopen(text, sizeof text, "w");
    assert_non_null(file);
    assert_int_equal(jwt_encode_fp(jwt, file), 0);
    fclose(file);
    buffer_append(out, slice_text(text));
    jwt_free(jwt);
    buffer_done(&key);
}

static void token_of_another_library_is_verified(void **state) {
    static const jwt_alg_t names[] = {JWT_ALG_RS256, JWT_ALG_ES256, 0, JWT_ALG_HS256};
    static const size_t signers[] = {JWK_RS256, JWK_ES256, JWK_HS256};
    for (size_t i = 0; i < 3; i++) {
        struct buffer token;
        buffer_init(&token, 1 << 16);
        libjwt_sign(*state, names[signers[i]], signers[i], &token);
        assert_string_equal(verify_text(*state, &token), "");
        buffer_done(&token);
    }
}

static void changed_token_is_refused(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < JWK_ALGORITHMS; i++) {
        char header[128];
        struct buffer token;
        header_of(i, header);
        buffer_init(&token, 1 << 16);
        signer_sign(fixture->signers[i], header, GOOD, &token);
        size_t dot = (size_t)((uint8_t *)memrchr(token.data, '.', token.size) - token.data);
        token.data[dot + 10] = token.data[dot + 10] == 'A' ? 'B' : 'A';
        assert_string_equal(verify_text(fixture, &token), "TOKEN_SIGNATURE");
        buffer_clear(&token);
        struct signer *forger = signer_open((enum jwk_algorithm)i, ids[i]);
        signer_sign(forger, header, GOOD, &token);
        assert_string_equal(verify_text(fixture, &token), "TOKEN_SIGNATURE");
        signer_close(forger);
        buffer_done(&token);
    }
}

static void algorithm_none_is_refused(void **state) {
    static const char *const headers[] = {
        "{\"alg\":\"none\"}", "{\"alg\":\"NONE\",\"kid\":\"mac\"}", "{\"kid\":\"mac\"}",
        "{\"alg\":\"HS512\",\"kid\":\"mac\"}", "{\"alg\":5,\"kid\":\"mac\"}"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct buffer token;
        buffer_init(&token, 1 << 16);
        signer_sign(fixture->signers[JWK_HS256], headers[i], GOOD, &token);
        assert_string_equal(verify_text(fixture, &token), "TOKEN_ALGORITHM");
        token.size = (size_t)((uint8_t *)memrchr(token.data, '.', token.size) - token.data) + 1;
        assert_string_equal(verify_text(fixture, &token), "TOKEN_MALFORMED"); /* no signature */
        buffer_done(&token);
    }
}

static void public_key_does_not_serve_as_a_secret(void **state) {
    struct fixture *fixture = *state;
    for (size_t i = 0; i < JWK_HS256; i++) {
        char header[128];
        struct buffer pem, token;
        buffer_init(&pem, 1 << 16);
        buffer_init(&token, 1 << 16);
        signer_pem(fixture->signers[i], false, &pem);
        snprintf(header, sizeof header, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", ids[i]);
        secret_sign(buffer_slice(&pem), header, GOOD, &token);
        assert_string_equal(verify_text(fixture, &token), "TOKEN_ALGORITHM");
        buffer_clear(&token);
        secret_sign(buffer_slice(&pem), "{\"alg\":\"HS256\"}", GOOD, &token);
        assert_string_equal(verify_text(fixture, &token), "TOKEN_SIGNATURE");
        buffer_done(&pem);
        buffer_done(&token);
    }
}

static void key_is_found_by_its_id_or_as_the_only_one(void **state) {
    struct fixture *fixture = *state;
    struct buffer token;
    buffer_init(&token, 1 << 16);
    signer_sign(fixture->signers[JWK_ES256], "{\"alg\":\"ES256\"}", GOOD, &token);
    assert_string_equal(verify_text(fixture, &token), "");
    buffer_clear(&token);
    signer_sign(fixture->signers[JWK_ES256], "{\"alg\":\"ES256\",\"kid\":\"x\"}", GOOD, &token);
    assert_string_equal(verify_text(fixture, &token), "TOKEN_KEY_UNKNOWN");
    buffer_clear(&token);
    signer_sign(fixture->signers[JWK_ES256], "{\"alg\":\"ES256\",\"kid\":7}", GOOD, &token);
    assert_string_equal(verify_text(fixture, &token), "TOKEN_KEY_UNKNOWN");
    buffer_done(&token);
}

static void only_key_must_be_the_only_one(void **state) {
    struct fixture *fixture = *state;
    struct signer *second = signer_open(JWK_ES256, "second");
    const struct signer *const both[] = {fixture->signers[JWK_ES256], second};
    struct sync_error error;
    struct buffer token;
    signers_write(both, 2, fixture->path);
    assert_int_equal(token_verifier_reload(fixture->verifier, &error), SYNC_OK);
    buffer_init(&token, 1 << 16);
    signer_sign(second, "{\"alg\":\"ES256\"}", GOOD, &token);
    assert_string_equal(verify_text(fixture, &token), "TOKEN_KEY_UNKNOWN");
    buffer_done(&token);
    signer_close(second);
}

static void claims_are_checked(void **state) {
    static const struct {
        const char *claims, *reason;
    } cases[] = {
        {GOOD, ""},
        {CLAIMS(",\"exp\":999999.5"), ""}, /* within the leeway */
        {CLAIMS(",\"exp\":999999"), "TOKEN_EXPIRED"},
        {CLAIMS(",\"exp\":0"), "TOKEN_EXPIRED"},
        {CLAIMS(""), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":\"1000100\""), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":-5"), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":null"), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":1e300"), ""},
        {CLAIMS(",\"exp\":1000100,\"nbf\":1000001"), ""},
        {CLAIMS(",\"exp\":1000100,\"nbf\":1000002"), "TOKEN_NOT_YET_VALID"},
        {CLAIMS(",\"exp\":1000100,\"nbf\":\"x\""), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":1000100,\"device_id\":\"a b\""), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":1000100,\"device_id\":\"\""), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":1000100,\"device_id\":5"), "TOKEN_CLAIMS"},
        {CLAIMS(",\"exp\":1000100,\"exp\":1000100"), "TOKEN_MALFORMED"},
        {"{\"iss\":\"other\",\"aud\":\"audience\",\"sub\":\"a\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"aud\":\"audience\",\"sub\":\"a\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"iss\":\"issuer\",\"aud\":\"other\",\"sub\":\"a\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"iss\":\"issuer\",\"sub\":\"a\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"iss\":\"issuer\",\"aud\":[\"x\",\"audience\"],\"sub\":\"a\",\"exp\":1000100}", ""},
        {"{\"iss\":\"issuer\",\"aud\":\"audience\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"iss\":\"issuer\",\"aud\":\"audience\",\"sub\":\"\",\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"{\"iss\":\"issuer\",\"aud\":\"audience\",\"sub\":5,\"exp\":1000100}", "TOKEN_CLAIMS"},
        {"[]", "TOKEN_MALFORMED"},
        {"no json", "TOKEN_MALFORMED"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct identity identity;
        assert_string_equal(verify_claims(*state, JWK_HS256, cases[i].claims, &identity),
                            cases[i].reason);
    }
}

static void user_of_129_bytes_is_refused(void **state) {
    char claims[512];
    struct identity identity;
    for (int size = 128; size <= 129; size++) {
        snprintf(claims, sizeof claims,
                 "{\"iss\":\"issuer\",\"aud\":\"audience\",\"exp\":1000100,\"sub\":\"%0*d\"}", size,
                 7);
        assert_string_equal(verify_claims(*state, JWK_HS256, claims, &identity),
                            size == 128 ? "" : "TOKEN_CLAIMS");
    }
}

static void role_is_a_text_or_in_a_list(void **state) {
    struct identity identity;
    verify_claims(*state, JWK_HS256, CLAIMS(",\"exp\":1000100,\"roles\":[\"a\",\"service\"]"),
                  &identity);
    assert_true(identity.is_service);
    verify_claims(*state, JWK_HS256, CLAIMS(",\"exp\":1000100,\"role\":\"services\""), &identity);
    assert_false(identity.is_service);
}

static void malformed_values_are_refused(void **state) {
    static const struct {
        const char *value, *reason;
    } cases[] = {
        {"", "TOKEN_MISSING"},
        {"Bearer", "TOKEN_MISSING"},
        {"Bearer ", "TOKEN_MISSING"},
        {"Basic YTpi", "TOKEN_MISSING"},
        {"Bearer a", "TOKEN_MALFORMED"},
        {"Bearer a.b", "TOKEN_MALFORMED"},
        {"Bearer a.b.c.d", "TOKEN_MALFORMED"},
        {"Bearer ..", "TOKEN_MALFORMED"},
        {"Bearer e30.e30.", "TOKEN_MALFORMED"},
        {"Bearer e30=.e30.AAAA", "TOKEN_MALFORMED"},
        {"Bearer e+0.e30.AAAA", "TOKEN_MALFORMED"},
        {"Bearer A.e30.AAAA", "TOKEN_MALFORMED"},
        {"bearer e30.e30.AAAA", "TOKEN_ALGORITHM"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sync_error error;
        struct identity identity;
        assert_int_equal(
            token_verify(fixture->verifier, slice_text(cases[i].value), &error, &identity),
            SYNC_ERR_UNAUTHENTICATED);
        assert_string_equal(error.reason, cases[i].reason);
    }
}

static void oversized_token_is_refused(void **state) {
    char claims[TOKEN_MAX];
    struct identity identity;
    snprintf(claims, sizeof claims, "{\"sub\":\"a\",\"pad\":\"%0*d\"}", TOKEN_MAX - 100, 1);
    assert_string_equal(verify_claims(*state, JWK_HS256, claims, &identity), "TOKEN_MALFORMED");
}

static void remembered_token_ends_when_it_expires(void **state) {
    struct fixture *fixture = *state;
    struct identity identity;
    assert_string_equal(verify_claims(fixture, JWK_HS256, GOOD, &identity), "");
    fixture->now_us = 1000100ULL * 1000000 + 900000;
    assert_string_equal(verify_claims(fixture, JWK_HS256, GOOD, &identity), "");
    fixture->now_us = 1000101ULL * 1000000;
    assert_string_equal(verify_claims(fixture, JWK_HS256, GOOD, &identity), "TOKEN_EXPIRED");
}

static void remembered_token_is_not_verified_again(void **state) {
    struct fixture *fixture = *state;
    struct identity identity;
    assert_string_equal(
        verify_claims(fixture, JWK_HS256, CLAIMS(",\"exp\":1000100,\"nbf\":1000000"), &identity),
        "");
    fixture->now_us -= 100 * 1000000ULL; /* before "nbf": only a first look notices */
    assert_string_equal(
        verify_claims(fixture, JWK_HS256, CLAIMS(",\"exp\":1000100,\"nbf\":1000000"), &identity),
        "");
    assert_string_equal(identity.user, "anna");
}

static void reload_forgets_tokens_of_keys_that_are_gone(void **state) {
    struct fixture *fixture = *state;
    struct identity identity;
    struct sync_error error;
    assert_string_equal(verify_claims(fixture, JWK_HS256, GOOD, &identity), "");
    signers_write((const struct signer *const *)fixture->signers, JWK_HS256, fixture->path);
    assert_int_equal(token_verifier_reload(fixture->verifier, &error), SYNC_OK);
    assert_string_equal(verify_claims(fixture, JWK_HS256, GOOD, &identity), "TOKEN_KEY_UNKNOWN");
    assert_string_equal(verify_claims(fixture, JWK_ES256, GOOD, &identity), "");
}

static void failed_reload_keeps_the_keys(void **state) {
    struct fixture *fixture = *state;
    struct identity identity;
    struct sync_error error;
    unlink(fixture->path);
    assert_int_equal(token_verifier_reload(fixture->verifier, &error), SYNC_ERR_IO);
    assert_non_null(strstr(error.message, fixture->path));
    assert_string_equal(verify_claims(fixture, JWK_RS256, GOOD, &identity), "");
}

static void cache_is_bounded(void **state) {
    struct fixture *fixture = *state;
    token_verifier_close(fixture->verifier);
    struct sync_error error;
    assert_int_equal(token_verifier_open(
                         &(struct token_verifier_options){
                             .jwks_path = fixture->path, .clock = &fixture->clock, .cache_max = 4},
                         &error, &fixture->verifier),
                     SYNC_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20; i++) {
            char claims[128], user[32];
            struct identity identity;
            snprintf(user, sizeof user, "user-%d", i);
            snprintf(claims, sizeof claims, "{\"sub\":\"%s\",\"exp\":1000100}", user);
            assert_string_equal(verify_claims(fixture, JWK_HS256, claims, &identity), "");
            assert_string_equal(identity.user, user);
        }
    }
}

static void every_failed_allocation_is_survived(void **state) {
    struct fixture *fixture = *state;
    char header[128];
    struct buffer value;
    header_of(JWK_ES256, header);
    buffer_init(&value, 1 << 16);
    buffer_append(&value, SLICE("Bearer "));
    signer_sign(fixture->signers[JWK_ES256], header, GOOD, &value);
    for (uint64_t n = 1; n < 40; n++) {
        struct sync_error error;
        struct identity identity;
        memory_fail_after(n);
        enum sync_status reloaded = token_verifier_reload(fixture->verifier, &error);
        enum sync_status status =
            token_verify(fixture->verifier, buffer_slice(&value), &error, &identity);
        memory_fail_after(0);
        assert_true(reloaded == SYNC_OK || status == SYNC_OK);
    }
    buffer_done(&value);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, fixture_up, fixture_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(token_of_every_algorithm_is_verified),
        WITH(token_of_another_library_is_verified),
        WITH(changed_token_is_refused),
        WITH(algorithm_none_is_refused),
        WITH(public_key_does_not_serve_as_a_secret),
        WITH(key_is_found_by_its_id_or_as_the_only_one),
        WITH(only_key_must_be_the_only_one),
        WITH(claims_are_checked),
        WITH(user_of_129_bytes_is_refused),
        WITH(role_is_a_text_or_in_a_list),
        WITH(malformed_values_are_refused),
        WITH(oversized_token_is_refused),
        WITH(remembered_token_ends_when_it_expires),
        WITH(remembered_token_is_not_verified_again),
        WITH(reload_forgets_tokens_of_keys_that_are_gone),
        WITH(failed_reload_keeps_the_keys),
        WITH(cache_is_bounded),
        WITH(every_failed_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, signers_up, signers_down);
}
