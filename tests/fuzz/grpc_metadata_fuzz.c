/* Headers of calls from strangers, "name: value" a line: what is handed on has the form that the
 * service's library takes, and no name that the gateway speaks for. */
#include <stdlib.h>

#include "base/json_text.h"
#include "gateway/grpc_metadata.h"

static bool ends_in_bin(struct slice name) {
    return name.size >= 4 && memcmp(name.data + name.size - 4, "-bin", 4) == 0;
}

static void check(const struct transcode_header *entry) {
    struct slice name = entry->name, value = entry->value;
    if (name.size == 0 || name.data[0] == ':' || slice_starts_with(name, SLICE("x-forwarded-")) ||
        slice_equal(name, SLICE("te")) || slice_equal(name, SLICE("content-length")))
        abort();
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        if (byte <= ' ' || byte > '~' || (byte >= 'A' && byte <= 'Z'))
            abort();
    }
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~')
            abort();
    }
    struct buffer bytes;
    buffer_init(&bytes, GRPC_METADATA_MAX);
    if (ends_in_bin(name) && value.size > 0 && !base64_decode(value, &bytes))
        abort();
    buffer_done(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct transcode_header headers[METADATA_COUNT_MAX + 8];
    static struct grpc_metadata metadata;
    struct slice text = slice_of(data, size), bad;
    size_t count = 0, bytes = 0;
    while (text.size > 0 && count < sizeof(headers) / sizeof(headers[0])) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        struct slice line = slice_first(text, end ? (size_t)(end - text.data) : text.size);
        const uint8_t *colon = line.size ? memchr(line.data, ':', line.size) : NULL;
        size_t name = colon ? (size_t)(colon - line.data) : line.size;
        headers[count++] = (struct transcode_header){slice_first(line, name),
                                                     slice_after(line, colon ? name + 1 : name)};
        text = slice_after(text, end ? line.size + 1 : line.size);
    }
    metadata.count = metadata.bytes = 0;
    if (grpc_metadata_gather(&metadata, headers, count, &bad) != GRPC_METADATA_OK)
        return 0;
    for (size_t i = 0; i < metadata.count; i++) {
        check(&metadata.list[i]);
        bytes += metadata.list[i].name.size + metadata.list[i].value.size + METADATA_ENTRY_BYTES;
    }
    if (bytes != metadata.bytes || bytes > GRPC_METADATA_MAX)
        abort();
    return 0;
}
