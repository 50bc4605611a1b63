#include "client/examples/example.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOTS_MAX = 256 << 10 };

bool example_read_flags(struct example *example, int argc, char **argv) {
    static const struct option options[] = {
        {"target", required_argument, NULL, 't'}, {"token-file", required_argument, NULL, 'f'},
        {"roots", required_argument, NULL, 'r'},  {"user", required_argument, NULL, 'u'},
        {"count", required_argument, NULL, 'c'},  {0},
    };
    *example = (struct example){0};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 't':
            example->target = optarg;
            break;
        case 'f':
            example->token_file = optarg;
            break;
        case 'r':
            example->roots_file = optarg;
            break;
        case 'u':
            example->user = optarg;
            break;
        case 'c':
            example->count = strtoul(optarg, NULL, 10);
            break;
        default:
            return false;
        }
    }
    if (optind == argc && example->target && example->token_file && example->user)
        return true;
    fprintf(stderr,
            "usage: %s --target HOST:PORT|unix:PATH --token-file FILE --user USER\n"
            "       [--roots FILE.pem] [--count N]\n",
            argv[0]);
    return false;
}

/* Reads a small text file; its size, 0 when it cannot be read or does not fit. */
static size_t file_read(const char *path, char *ret_text, size_t size) {
    FILE *file = fopen(path, "r");
    size_t read = file ? fread(ret_text, 1, size, file) : 0;
    if (file)
        fclose(file);
    if (read == 0 || read == size)
        return 0;
    ret_text[read] = '\0';
    return read;
}

/* The token as the file has it now: whoever renews it just writes the file. */
static bool token_read(void *context, char *ret_token, size_t size) {
    const struct example *example = context;
    if (file_read(example->token_file, ret_token, size) == 0)
        return false;
    ret_token[strcspn(ret_token, "\r\n")] = '\0';
    return true;
}

struct stub_channel *example_open(struct example *example) {
    static char roots[ROOTS_MAX];
    struct stub_tls tls = {.roots = roots};
    struct stub_status status = {0};
    struct stub_channel *channel = NULL;
    if (example->roots_file && file_read(example->roots_file, roots, sizeof roots) == 0) {
        fprintf(stderr, "cannot read %s\n", example->roots_file);
        return NULL;
    }
    struct stub_channel_options options = {
        .target = example->target,
        .tls = example->roots_file ? &tls : NULL,
        .token = token_read,
        .token_context = example,
    };
    if (stub_channel_open(&options, &status, &channel) != STUB_OK)
        example_complain("open", &status);
    return channel;
}

void example_complain(const char *what, struct stub_status *status) {
    fprintf(stderr, "%s: %s: %s\n", what, stub_code_name(status->code),
            status->message ? status->message : "");
    for (size_t i = 0; i < status->violation_count; i++)
        fprintf(stderr, "  %s %s\n", status->violations[i].field,
                status->violations[i].description);
    stub_status_done(status);
}

void example_object_init(struct example_object *object) {
    google__protobuf__struct__init(&object->object);
    object->object.fields = object->entry_pointers;
}

void example_object_add(struct example_object *object, const char *name, const char *text) {
    size_t at = object->object.n_fields++;
    assert(at < EXAMPLE_FIELDS_MAX);
    google__protobuf__struct__fields_entry__init(&object->entries[at]);
    google__protobuf__value__init(&object->values[at]);
    object->values[at].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    object->values[at].string_value = (char *)text;
    object->entries[at].key = (char *)name;
    object->entries[at].value = &object->values[at];
    object->entry_pointers[at] = &object->entries[at];
}

const char *example_object_text(const Google__Protobuf__Struct *object, const char *name) {
    for (size_t i = 0; object && i < object->n_fields; i++) {
        const Google__Protobuf__Value *value = object->fields[i]->value;
        if (strcmp(object->fields[i]->key, name) == 0 && value &&
            value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
            return value->string_value;
    }
    return "";
}

Google__Protobuf__Timestamp example_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = now.tv_sec;
    time.nanos = (int32_t)now.tv_nsec;
    return time;
}
