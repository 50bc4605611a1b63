#include "gateway/grpc_metadata.h"

#include <assert.h>

#include "gateway/http_text.h"

/* Says nothing to the service: HTTP's own, what the gateway sets itself, what else a service may
 * take for the client's address, and what browsers add. */
static bool name_is_dropped(struct slice name) {
    static const struct slice names[] = {
        {(const uint8_t *)"te", 2},
        {(const uint8_t *)"host", 4},
        {(const uint8_t *)"accept", 6},
        {(const uint8_t *)"expect", 6},
        {(const uint8_t *)"origin", 6},
        {(const uint8_t *)"trailer", 7},
        {(const uint8_t *)"upgrade", 7},
        {(const uint8_t *)"referer", 7},
        {(const uint8_t *)"forwarded", 9},
        {(const uint8_t *)"x-real-ip", 9},
        {(const uint8_t *)"connection", 10},
        {(const uint8_t *)"keep-alive", 10},
        {(const uint8_t *)"x-grpc-web", 10},
        {(const uint8_t *)"x-client-ip", 11},
        {(const uint8_t *)"content-type", 12},
        {(const uint8_t *)"grpc-timeout", 12},
        {(const uint8_t *)"content-length", 14},
        {(const uint8_t *)"true-client-ip", 14},
        {(const uint8_t *)"accept-encoding", 15},
        {(const uint8_t *)"content-encoding", 16},
        {(const uint8_t *)"proxy-connection", 16},
        {(const uint8_t *)"transfer-encoding", 17},
        {(const uint8_t *)"proxy-authorization", 19},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (slice_equal(name, names[i]))
            return true;
    }
    return slice_starts_with(name, SLICE("x-forwarded-")) || slice_starts_with(name, SLICE("sec-"));
}

static bool name_is_valid(struct slice name) {
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        bool valid = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '_' ||
                     byte == '-' || byte == '.';
        if (!valid)
            return false;
    }
    return name.size > 0;
}

/* The suffix alone is such a name too: gRPC's C core decodes its values as well. */
static bool name_is_binary(struct slice name) {
    return name.size >= 4 && memcmp(name.data + name.size - 4, "-bin", 4) == 0;
}

int grpc_base64_value(uint8_t byte) {
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    return byte == '+' ? 62 : byte == '/' ? 63 : -1;
}

bool grpc_metadata_is_base64(struct slice text) {
    size_t size = text.size;
    if (size % 4 == 0 && size > 0 && text.data[size - 1] == '=')
        size -= text.data[size - 2] == '=' ? 2 : 1;
    int last = 0;
    for (size_t i = 0; i < size; i++) {
        last = grpc_base64_value(text.data[i]);
        if (last < 0)
            return false;
    }
    switch (size % 4) {
    case 1:
        return false;
    case 2:
        return (last & 0xf) == 0;
    case 3:
        return (last & 0x3) == 0;
    default:
        return true;
    }
}

enum grpc_metadata_fault grpc_metadata_add(struct grpc_metadata *metadata, struct slice name,
                                           struct slice value) {
    metadata->bytes += name.size + value.size + METADATA_ENTRY_BYTES;
    if (metadata->bytes > GRPC_METADATA_MAX || metadata->count == METADATA_COUNT_MAX)
        return GRPC_METADATA_TOO_LARGE;
    metadata->list[metadata->count++] = (struct transcode_header){name, value};
    return GRPC_METADATA_OK;
}

static struct slice trim(struct slice text) {
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = slice_after(text, 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

static enum grpc_metadata_fault add_binary(struct grpc_metadata *metadata, struct slice name,
                                           struct slice values) {
    enum grpc_metadata_fault fault = GRPC_METADATA_OK;
    for (bool more = true; more && fault == GRPC_METADATA_OK;) {
        const uint8_t *comma = values.size > 0 ? memchr(values.data, ',', values.size) : NULL;
        size_t size = comma ? (size_t)(comma - values.data) : values.size;
        struct slice value = trim(slice_first(values, size));
        fault = grpc_metadata_is_base64(value) ? grpc_metadata_add(metadata, name, value)
                                               : GRPC_METADATA_BAD_ENCODING;
        more = comma != NULL;
        values = slice_after(values, more ? size + 1 : size);
    }
    return fault;
}

static enum grpc_metadata_fault add_header(struct grpc_metadata *metadata, struct slice name,
                                           struct slice value) {
    if (!name_is_valid(name))
        return GRPC_METADATA_BAD_NAME;
    if (name_is_binary(name))
        return add_binary(metadata, name, value);
    return http_text_is_ascii(value) ? grpc_metadata_add(metadata, name, value)
                                     : GRPC_METADATA_BAD_VALUE;
}

enum grpc_metadata_fault grpc_metadata_gather(struct grpc_metadata *metadata,
                                              const struct transcode_header *headers, size_t count,
                                              struct slice *ret_name) {
    for (size_t i = 0; i < count; i++) {
        if (name_is_dropped(headers[i].name))
            continue;
        enum grpc_metadata_fault fault = add_header(metadata, headers[i].name, headers[i].value);
        if (fault != GRPC_METADATA_OK) {
            if (ret_name)
                *ret_name = headers[i].name;
            return fault;
        }
    }
    return GRPC_METADATA_OK;
}

const char *grpc_metadata_fault_text(enum grpc_metadata_fault fault) {
    switch (fault) {
    case GRPC_METADATA_TOO_LARGE:
        return "with it, the metadata is larger than 8192 bytes";
    case GRPC_METADATA_BAD_NAME:
        return "the name of metadata is made of a-z, 0-9, '_', '-' and '.'";
    case GRPC_METADATA_BAD_VALUE:
        return "a value of metadata is printable ASCII";
    case GRPC_METADATA_BAD_ENCODING:
        return "a value of binary metadata is base64";
    default:
        return "well";
    }
}
