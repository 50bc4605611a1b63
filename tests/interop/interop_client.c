/* interop_client TARGET CASE [ROOTS.pem SERVER_NAME]: runs one case against a server; without CASE
 * ("list") it prints their names. Exit 0: it went well. */
#include <stdio.h>
#include <string.h>

#include "tests/interop/interop.h"

enum { ROOTS_MAX = 64 << 10 };

const int request_sizes[SIZES] = {27182, 8, 1828, 45904};
const int response_sizes[SIZES] = {31415, 9, 2653, 58979};

#define INITIAL_KEY "x-grpc-test-echo-initial"
#define TRAILING_KEY "x-grpc-test-echo-trailing-bin"

const struct stub_metadata interop_metadata[2] = {
    {.key = INITIAL_KEY, .value = "test_initial_metadata_value", .size = 27},
    {.key = TRAILING_KEY, .value = "\xab\xab\xab", .size = 3},
};

bool interop_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    return false;
}

void interop_payload(Grpc__Testing__Payload *payload, int size) {
    static uint8_t zeros[LARGE_REQUEST];
    grpc__testing__payload__init(payload);
    payload->body = (ProtobufCBinaryData){.data = zeros, .len = (size_t)size};
}

bool interop_has_payload(const Grpc__Testing__Payload *payload, int size) {
    return payload && payload->type == GRPC__TESTING__PAYLOAD_TYPE__COMPRESSABLE &&
           payload->body.len == (size_t)size;
}

static bool has_entry(const struct stub_metadata *entries, size_t count,
                      const struct stub_metadata *wanted) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].key, wanted->key) == 0 && entries[i].size == wanted->size &&
            memcmp(entries[i].value, wanted->value, wanted->size) == 0)
            return true;
    return false;
}

bool interop_has_metadata(const struct stub_status *status) {
    return has_entry(status->initial, status->initial_count, &interop_metadata[0]) &&
           has_entry(status->trailing, status->trailing_count, &interop_metadata[1]);
}

static const struct interop_case *const tables[] = {unary_cases, stream_cases, loop_cases, NULL};

static const struct interop_case *case_find(const char *name) {
    for (const struct interop_case *const *table = tables; *table; table++)
        for (const struct interop_case *each = *table; each->name; each++)
            if (strcmp(each->name, name) == 0)
                return each;
    return NULL;
}

static int list(void) {
    for (const struct interop_case *const *table = tables; *table; table++)
        for (const struct interop_case *each = *table; each->name; each++)
            puts(each->name);
    return 0;
}

static bool roots_read(const char *path, char *ret_roots) {
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(ret_roots, 1, ROOTS_MAX - 1, file) : 0;
    if (file)
        fclose(file);
    ret_roots[size] = '\0';
    return size > 0;
}

static int run(const struct interop_case *chosen, const struct stub_channel_options *options) {
    struct stub_channel *channel = NULL;
    struct stub_status status = {0};
    if (stub_channel_open(options, &status, &channel) != STUB_OK) {
        fprintf(stderr, "%s: %s\n", stub_code_name(status.code), status.message);
        stub_status_done(&status);
        return 1;
    }
    bool went_well = chosen->run(channel);
    stub_channel_close(channel);
    return went_well ? 0 : 1;
}

int main(int argc, char **argv) {
    static char roots[ROOTS_MAX];
    if (argc == 2 && strcmp(argv[1], "list") == 0)
        return list();
    const struct interop_case *chosen = argc == 3 || argc == 5 ? case_find(argv[2]) : NULL;
    if (!chosen || (argc == 5 && !roots_read(argv[3], roots))) {
        fputs("usage: interop_client TARGET CASE [ROOTS.pem SERVER_NAME] | list\n", stderr);
        return 2;
    }
    struct stub_tls tls = {.roots = roots, .server_name = argc == 5 ? argv[4] : NULL};
    return run(chosen,
               &(struct stub_channel_options){.target = argv[1], .tls = argc == 5 ? &tls : NULL});
}
