#include "service/auth/jwk.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/memory.h"
#include "tests/service/auth/signer.h"

/* Appends {"keys":[…]} with the signers' keys. */
static void set_append(const struct signer *const *signers, size_t count, struct buffer *out) {
    buffer_append_format(out, "{\"keys\":[");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_byte(out, ',');
        signer_jwk(signers[i], out);
    }
    buffer_append_format(out, "]}");
    assert_false(out->failed);
}

static void unusable_sets_are_refused_with_a_reason(void **state) {
    (void)state;
    static const char *const files[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"keys\":5}",
        "{\"keys\":[]}",
        "{\"keys\":[5]}",
        "{\"keys\":[{\"kty\":\"other\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"use\":\"enc\",\"k\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAA\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAA\"}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\","
        "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
        "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
        ("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"X25519\","
         "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}"),
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct sync_error error = {.message = ""};
        struct jwk_set *set = NULL;
        assert_int_equal(jwk_set_parse(slice_text(files[i]), &error, &set), SYNC_ERR_INVALID);
        assert_true(strlen(error.message) > 10);
        assert_null(set);
    }
}

static void two_keys_of_one_id_are_refused(void **state) {
    (void)state;
    struct signer *signer = signer_open(JWK_EDDSA, "same");
    struct buffer text;
    struct sync_error error;
    struct jwk_set *set = NULL;
    buffer_init(&text, 1 << 16);
    set_append((const struct signer *const[]){signer, signer}, 2, &text);
    assert_int_equal(jwk_set_parse(buffer_slice(&text), &error, &set), SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, "same"));
    buffer_done(&text);
    signer_close(signer);
}

static void keys_of_other_uses_are_left_out(void **state) {
    (void)state;
    static const char text[] = "{\"keys\":[{\"kty\":\"future\"},{\"kty\":\"OKP\",\"use\":\"enc\"},"
                               "{\"kty\":\"oct\",\"kid\":\"k\",\"use\":\"sig\",\"alg\":\"HS256\","
                               "\"k\":\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\"}]}";
    struct sync_error error;
    struct jwk_set *set = NULL;
    assert_int_equal(jwk_set_parse(slice_text(text), &error, &set), SYNC_OK);
    assert_non_null(jwk_set_find(set, SLICE("k")));
    assert_null(jwk_set_find(set, SLICE("")));
    assert_ptr_equal(jwk_set_only(set, JWK_HS256), jwk_set_find(set, SLICE("k")));
    assert_null(jwk_set_only(set, JWK_EDDSA));
    jwk_set_close(set);
}

static void more_keys_than_the_bound_are_refused(void **state) {
    (void)state;
    struct buffer text;
    struct sync_error error;
    struct jwk_set *set = NULL;
    buffer_init(&text, 1 << 16);
    buffer_append_format(&text, "{\"keys\":[{}");
    for (int i = 0; i < 64; i++)
        buffer_append_format(&text, ",{}");
    buffer_append_format(&text, "]}");
    assert_int_equal(jwk_set_parse(buffer_slice(&text), &error, &set), SYNC_ERR_INVALID);
    assert_non_null(strstr(error.message, "64"));
    buffer_done(&text);
}

static void signature_of_another_length_is_refused(void **state) {
    (void)state;
    for (int algorithm = 0; algorithm < JWK_ALGORITHMS; algorithm++) {
        struct signer *signer = signer_open((enum jwk_algorithm)algorithm, "k");
        struct buffer text;
        struct sync_error error;
        struct jwk_set *set = NULL;
        static const uint8_t zeros[600];
        buffer_init(&text, 1 << 16);
        set_append((const struct signer *const[]){signer}, 1, &text);
        assert_int_equal(jwk_set_parse(buffer_slice(&text), &error, &set), SYNC_OK);
        for (size_t size = 0; size < sizeof zeros; size++)
            assert_false(
                jwk_verify(jwk_set_find(set, SLICE("k")), SLICE("message"), slice_of(zeros, size)));
        jwk_set_close(set);
        buffer_done(&text);
        signer_close(signer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unusable_sets_are_refused_with_a_reason),
        cmocka_unit_test(two_keys_of_one_id_are_refused),
        cmocka_unit_test(keys_of_other_uses_are_left_out),
        cmocka_unit_test(more_keys_than_the_bound_are_refused),
        cmocka_unit_test(signature_of_another_length_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
