/* token_tool: development tokens for a data folder. --init makes the folder's keys, once; a user's
 * name prints a token signed with them. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json_text.h"
#include "base/limits.h"
#include "base/sha256.h"

#define ISSUER "travelsense-dev"
#define AUDIENCE "travelsense-sync"

enum {
    COORDINATE = 32,
    SIGNATURE_MAX = 128,
    TEXT_MAX = 16 << 10,
    TTL_DEFAULT_S = 3600,
    COUNT_MAX = 100000, /* tokens of one run */
};

static const char usage[] =
    "Usage: token_tool USER [--device ID] [--ttl SECONDS] [--role service] [--data DIR]\n"
    "                  [--count N]\n"
    "       token_tool --init [--data DIR]\n"
    "Prints a development token for USER, signed with the keys of the data folder; --init makes\n"
    "these keys when there are none. --count prints N tokens, a line each, for the users USER-0,\n"
    "USER-1 and so on. DIR is $XDG_STATE_HOME/travelsense-sync by default.\n";

struct arguments {
    const char *user, *device, *role;
    long ttl_s, count; /* count 0: one token, of the user as named */
    bool is_init;
    char keys[PATH_MAX]; /* the folder of the keys */
};

/* Says what is wrong, in one line. */
static bool fail(const char *what, const char *which) {
    fprintf(stderr, "token: %s%s%s\n", what, which ? ": " : "", which ? which : "");
    return false;
}

/* Writes the folder that holds the keys. */
static bool keys_folder(const char *data, char out[PATH_MAX]) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int length = -1;
    if (data)
        length = snprintf(out, PATH_MAX, "%s/keys", data);
    else if (state && state[0])
        length = snprintf(out, PATH_MAX, "%s/travelsense-sync/keys", state);
    else if (home && home[0])
        length = snprintf(out, PATH_MAX, "%s/.local/state/travelsense-sync/keys", home);
    return (length > 0 && length < PATH_MAX - 32) || fail("name a data folder by --data", NULL);
}

/* Reads a whole number. */
static bool number_read(const char *text, long least, long most, long *ret_value) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || *end || end == text || value < least || value > most)
        return false;
    *ret_value = value;
    return true;
}

/* Reads the seconds of --ttl; negative ones make an expired token. */
static bool ttl_read(const char *text, long *ret_ttl_s) {
    return number_read(text, -100L * 366 * 86400, 100L * 366 * 86400, ret_ttl_s) ||
           fail("--ttl is no number of seconds", text);
}

static bool count_read(const char *text, long *ret_count) {
    return number_read(text, 1, COUNT_MAX, ret_count) ||
           fail("--count is no number from 1 to 100000", text);
}

/* Takes an option that has a value. */
static bool option_read(const char *word, const char *value, struct arguments *arguments,
                        const char **ret_data) {
    if (strcmp(word, "--device") == 0)
        arguments->device = value;
    else if (strcmp(word, "--role") == 0)
        arguments->role = value;
    else if (strcmp(word, "--data") == 0)
        *ret_data = value;
    else if (strcmp(word, "--count") == 0)
        return count_read(value, &arguments->count);
    else if (strcmp(word, "--ttl") == 0)
        return ttl_read(value, &arguments->ttl_s);
    else
        return fail("unknown option", word);
    return true;
}

static bool arguments_check(const struct arguments *arguments) {
    if (arguments->is_init)
        return !arguments->user || fail("--init takes no user", NULL);
    if (!arguments->user)
        return fail("name a user; --help says more", NULL);
    if (!change_id_is_valid(slice_text(arguments->user)))
        return fail("no user id of 1 to 128 bytes", arguments->user);
    if (arguments->device && !device_id_is_valid(slice_text(arguments->device)))
        return fail("no device id of 1 to 128 of [A-Za-z0-9._:-]", arguments->device);
    return true;
}

static bool arguments_read(int argc, char **argv, struct arguments *ret_arguments) {
    struct arguments arguments = {.ttl_s = TTL_DEFAULT_S};
    const char *data = NULL;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(word, "--init") == 0) {
            arguments.is_init = true;
            continue;
        }
        if (word[0] != '-') {
            if (arguments.user)
                return fail("more than one user", word);
            arguments.user = word;
            continue;
        }
        if (!value)
            return fail("no value for", word);
        i++;
        if (!option_read(word, value, &arguments, &data))
            return false;
    }
    *ret_arguments = arguments;
    return keys_folder(data, ret_arguments->keys) && arguments_check(ret_arguments);
}

/* Makes a folder and those above it, for the user alone. */
static bool folder_make(const char *path) {
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void)mkdir(part, 0700); /* the last one tells */
        *slash = '/';
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST ||
           fail("cannot make the folder", strerror(errno));
}

/* Writes a file for the user alone, whole or not at all. */
static bool file_write(const char *path, struct slice content) {
    char fresh[PATH_MAX];
    snprintf(fresh, sizeof fresh, "%.*s.new", PATH_MAX - 8, path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written =
        fd >= 0 && write(fd, content.data, content.size) == (ssize_t)content.size && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return (is_written && rename(fresh, path) == 0) || fail("cannot write", path);
}

/* Appends one big number of the key as base64url. */
static bool number_append(const EVP_PKEY *key, const char *parameter, struct buffer *out) {
    BIGNUM *number = NULL;
    uint8_t bytes[COORDINATE];
    bool is_read = EVP_PKEY_get_bn_param(key, parameter, &number) == 1 &&
                   BN_bn2binpad(number, bytes, COORDINATE) == COORDINATE;
    BN_clear_free(number);
    if (is_read)
        base64url_append(out, slice_of(bytes, COORDINATE));
    OPENSSL_cleanse(bytes, sizeof bytes);
    return is_read;
}

/* Appends the key's id, its thumbprint (RFC 7638), of the members crv, kty, x and y in order. */
static void id_append(const char *x, const char *y, struct buffer *out) {
    char text[256];
    uint8_t digest[SHA256_SIZE];
    int length = snprintf(text, sizeof text,
                          "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    sha256_of(slice_of(text, (size_t)length), digest);
    base64url_append(out, slice_of(digest, sizeof digest));
}

/* Appends a number of the key as text of its own, NUL-terminated. */
static bool number_text(const EVP_PKEY *key, const char *parameter, struct buffer *out) {
    buffer_init(out, TEXT_MAX);
    bool is_read = number_append(key, parameter, out);
    buffer_append_byte(out, 0);
    return is_read && !out->failed;
}

/* Makes the two files of a fresh key: with its private part, and the set that verifies. */
static bool keys_write(const EVP_PKEY *key, const char *signing_path, const char *set_path) {
    struct buffer x, y, d, id, text;
    buffer_init(&id, TEXT_MAX);
    buffer_init(&text, TEXT_MAX);
    bool is_done = number_text(key, OSSL_PKEY_PARAM_EC_PUB_X, &x);
    is_done = number_text(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) && is_done;
    is_done = number_text(key, OSSL_PKEY_PARAM_PRIV_KEY, &d) && is_done;
    if (is_done) {
        id_append((char *)x.data, (char *)y.data, &id);
        buffer_append_byte(&id, 0);
        const char *form = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"use\":\"sig\",\"alg\":\"ES256\","
                           "\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s%s%s}";
        buffer_append_format(&text, form, id.data, x.data, y.data, ",\"d\":\"", d.data, "\"");
        is_done = !id.failed && !text.failed && file_write(signing_path, buffer_slice(&text));
        if (text.data)
            OPENSSL_cleanse(text.data, text.size);
        buffer_clear(&text);
        buffer_append_format(&text, "{\"keys\":[");
        buffer_append_format(&text, form, id.data, x.data, y.data, "", "", "");
        buffer_append_format(&text, "]}\n");
        is_done = is_done && !text.failed && file_write(set_path, buffer_slice(&text));
    }
    if (d.data)
        OPENSSL_cleanse(d.data, d.size);
    buffer_done(&x);
    buffer_done(&y);
    buffer_done(&d);
    buffer_done(&id);
    buffer_done(&text);
    return is_done;
}

/* Makes the keys when there are none. */
static bool init_run(const char *keys) {
    char signing[PATH_MAX + 32], set[PATH_MAX + 32];
    snprintf(signing, sizeof signing, "%s/signing.json", keys);
    snprintf(set, sizeof set, "%s/jwks.json", keys);
    bool has_signing = access(signing, F_OK) == 0, has_set = access(set, F_OK) == 0;
    if (has_signing && has_set)
        return true;
    if (has_set)
        return fail("the folder has keys of another origin, which stay", set);
    if (!folder_make(keys))
        return false;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    bool is_done = key ? keys_write(key, signing, set) : fail("cannot make a key", NULL);
    EVP_PKEY_free(key);
    return is_done;
}

/* A member of the signing key, decoded. */
static bool member_decode(const json_t *object, const char *name, uint8_t out[COORDINATE]) {
    struct buffer bytes;
    buffer_init(&bytes, TEXT_MAX);
    const json_t *value = json_object_get(object, name);
    bool is_read = json_is_string(value) &&
                   base64_decode(slice_text(json_string_value(value)), &bytes) &&
                   bytes.size == COORDINATE;
    if (is_read)
        memcpy(out, bytes.data, COORDINATE);
    if (bytes.data)
        OPENSSL_cleanse(bytes.data, bytes.size);
    buffer_done(&bytes);
    return is_read;
}

/* Makes the private key of a JWK. */
static EVP_PKEY *key_parse(const json_t *object) {
    uint8_t point[1 + 2 * COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED}, secret[COORDINATE];
    if (!member_decode(object, "x", point + 1) ||
        !member_decode(object, "y", point + 1 + COORDINATE) || !member_decode(object, "d", secret))
        return NULL;
    BIGNUM *number = BN_bin2bn(secret, COORDINATE, NULL);
    OPENSSL_cleanse(secret, sizeof secret);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (number && build && context &&
        OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, number))
        params = OSSL_PARAM_BLD_to_param(build);
    if (params && EVP_PKEY_fromdata_init(context) > 0)
        (void)EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params); /* key stays NULL */
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    EVP_PKEY_CTX_free(context);
    BN_clear_free(number);
    return key;
}

/* Appends the signature over what is in the buffer, in the form of JWS. */
static bool sign_append(EVP_PKEY *key, struct buffer *token) {
    uint8_t der[SIGNATURE_MAX], flat[2 * COORDINATE];
    size_t size = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    ECDSA_SIG *pair = NULL;
    if (context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(context, der, &size, token->data, token->size) == 1) {
        const uint8_t *in = der;
        pair = d2i_ECDSA_SIG(NULL, &in, (long)size);
    }
    bool is_signed =
        pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), flat, COORDINATE) == COORDINATE &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), flat + COORDINATE, COORDINATE) == COORDINATE;
    ECDSA_SIG_free(pair);
    EVP_MD_CTX_free(context);
    if (is_signed) {
        buffer_append_byte(token, '.');
        base64url_append(token, slice_of(flat, sizeof flat));
    }
    return is_signed && !token->failed;
}

/* Appends ,"name":"text" when there is a text. */
static void claim_append(struct buffer *out, const char *name, const char *text) {
    if (!text)
        return;
    buffer_append_format(out, ",\"%s\":", name);
    json_append_string(out, slice_text(text));
}

/* Appends header and payload, as they are signed. */
static bool claims_append(const struct arguments *arguments, const char *user, const char *id,
                          struct buffer *token) {
    struct buffer text;
    buffer_init(&text, TEXT_MAX);
    long now_s = (long)(clock_now_us(clock_system()) / 1000000);
    buffer_append_format(&text, "{\"alg\":\"ES256\",\"typ\":\"JWT\"");
    claim_append(&text, "kid", id);
    buffer_append_byte(&text, '}');
    base64url_append(token, buffer_slice(&text));
    buffer_append_byte(token, '.');
    buffer_clear(&text);
    buffer_append_format(&text, "{\"iss\":\"" ISSUER "\",\"aud\":\"" AUDIENCE "\"");
    claim_append(&text, "sub", user);
    claim_append(&text, "device_id", arguments->device);
    claim_append(&text, "role", arguments->role);
    buffer_append_format(&text, ",\"iat\":%ld,\"exp\":%ld}", now_s, now_s + arguments->ttl_s);
    base64url_append(token, buffer_slice(&text));
    bool is_done = !text.failed && !token->failed;
    buffer_done(&text);
    return is_done;
}

/* Prints one user's token. */
static bool token_print(const struct arguments *arguments, const char *user, const char *id,
                        EVP_PKEY *key) {
    struct buffer token;
    buffer_init(&token, TEXT_MAX);
    bool is_signed = claims_append(arguments, user, id, &token) && sign_append(key, &token);
    bool is_done = is_signed ? printf("%.*s\n", (int)token.size, (const char *)token.data) > 0
                             : fail("cannot sign", NULL);
    buffer_done(&token);
    return is_done;
}

static bool token_run(const struct arguments *arguments) {
    char path[PATH_MAX + 32], user[2 * USER_ID_MAX];
    snprintf(path, sizeof path, "%s/signing.json", arguments->keys);
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    EVP_PKEY *key = object ? key_parse(object) : NULL;
    const char *id = json_string_value(json_object_get(object, "kid"));
    bool is_done = key || fail("no signing key there (--init makes one)", path);
    if (is_done && arguments->count == 0)
        is_done = token_print(arguments, arguments->user, id, key);
    for (long i = 0; is_done && i < arguments->count; i++) {
        snprintf(user, sizeof user, "%s-%ld", arguments->user, i);
        is_done = token_print(arguments, user, id, key);
    }
    EVP_PKEY_free(key);
    json_decref(object);
    return is_done;
}

int main(int argc, char **argv) {
    struct arguments arguments;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    if (!arguments_read(argc, argv, &arguments))
        return 2;
    bool is_done = arguments.is_init ? init_run(arguments.keys) : token_run(&arguments);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
