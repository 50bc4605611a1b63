#include "gateway/proxy_header.h"

#include <netinet/in.h>

enum {
    V2_HEAD_SIZE = 16,
    V2_VERSION_LOCAL = 0x20,
    V2_VERSION_PROXY = 0x21,
    V2_FAMILY_V4 = 1, /* the upper four bits */
    V2_FAMILY_V6 = 2,
    V2_V4_SIZE = 12, /* two addresses, two ports */
    V2_V6_SIZE = 36,
};

static const struct slice v1_mark = {(const uint8_t *)"PROXY ", 6};
static const struct slice v2_mark = {
    (const uint8_t *)"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a", 12};

static bool begins_like(struct slice bytes, struct slice mark) {
    size_t size = bytes.size < mark.size ? bytes.size : mark.size;
    return size == 0 || memcmp(bytes.data, mark.data, size) == 0;
}

/* Cuts the next word off a line. */
static struct slice word_next(struct slice *line) {
    const uint8_t *space = line->size ? memchr(line->data, ' ', line->size) : NULL;
    size_t size = space ? (size_t)(space - line->data) : line->size;
    struct slice word = slice_first(*line, size);
    *line = slice_after(*line, space ? size + 1 : size);
    return word;
}

static bool port_is_valid(struct slice text) {
    unsigned value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i > 4)
            return false;
        value = value * 10 + (text.data[i] - '0');
    }
    return text.size > 0 && value <= 65535;
}

/* "PROXY TCP4 192.0.2.1 192.0.2.2 4711 443", or "PROXY UNKNOWN" and whatever. */
static enum proxy_result v1_line(struct slice line, struct proxy_header *header) {
    word_next(&line);
    struct slice family = word_next(&line);
    if (slice_equal(family, SLICE("UNKNOWN")))
        return PROXY_DONE;
    bool v4 = slice_equal(family, SLICE("TCP4"));
    if (!v4 && !slice_equal(family, SLICE("TCP6")))
        return PROXY_BAD;
    struct slice source = word_next(&line), target = word_next(&line);
    struct ip ip;
    bool plain = !memchr(source.data, v4 ? ':' : '[', source.size);
    if (!plain || !ip_parse(source, &header->source) || !ip_parse(target, &ip) ||
        (v4 && !ip_is_v4(&header->source)) || !port_is_valid(word_next(&line)) ||
        !port_is_valid(word_next(&line)) || line.size > 0)
        return PROXY_BAD;
    header->has_source = true;
    return PROXY_DONE;
}

static enum proxy_result v1_read(struct slice bytes, struct proxy_header *header) {
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    size_t size = end ? (size_t)(end - bytes.data) + 1 : bytes.size;
    if (size > PROXY_V1_MAX)
        return PROXY_BAD;
    if (!end)
        return PROXY_MORE;
    if (size < 2 || end[-1] != '\r')
        return PROXY_BAD;
    header->size = size;
    return v1_line(slice_first(bytes, size - 2), header);
}

static enum proxy_result v2_read(struct slice bytes, struct proxy_header *header) {
    if (bytes.size < V2_HEAD_SIZE)
        return PROXY_MORE;
    uint8_t version = bytes.data[12], family = bytes.data[13] >> 4;
    size_t size = (size_t)bytes.data[14] << 8 | bytes.data[15];
    bool proxied = version == V2_VERSION_PROXY;
    if ((!proxied && version != V2_VERSION_LOCAL) || V2_HEAD_SIZE + size > PROXY_V2_MAX)
        return PROXY_BAD;
    if (bytes.size < V2_HEAD_SIZE + size)
        return PROXY_MORE;
    header->size = V2_HEAD_SIZE + size;
    if (!proxied || (family != V2_FAMILY_V4 && family != V2_FAMILY_V6))
        return PROXY_DONE;
    if (size < (family == V2_FAMILY_V4 ? V2_V4_SIZE : V2_V6_SIZE))
        return PROXY_BAD;
    struct address address = {.size = 0};
    if (family == V2_FAMILY_V4) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        memcpy(&v4.sin_addr, bytes.data + V2_HEAD_SIZE, sizeof(v4.sin_addr));
        memcpy(&address.storage, &v4, sizeof(v4));
    } else {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        memcpy(&v6.sin6_addr, bytes.data + V2_HEAD_SIZE, sizeof(v6.sin6_addr));
        memcpy(&address.storage, &v6, sizeof(v6));
    }
    header->has_source = ip_of_address(&address, &header->source);
    return PROXY_DONE;
}

enum proxy_result proxy_header_read(struct slice bytes, struct proxy_header *ret_header) {
    struct proxy_header header = {.size = 0};
    enum proxy_result result = PROXY_BAD;
    if (begins_like(bytes, v1_mark))
        result = bytes.size > v1_mark.size ? v1_read(bytes, &header) : PROXY_MORE;
    else if (begins_like(bytes, v2_mark))
        result = v2_read(bytes, &header);
    if (result == PROXY_DONE)
        *ret_header = header;
    return result;
}
