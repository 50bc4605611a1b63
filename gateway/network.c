#include "gateway/network.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>

#include "gateway/http_text.h"

enum { V4_OFFSET = 12, V4_OFFSET_BITS = 96, IP_BITS = 128 };

static const uint8_t v4_prefix[V4_OFFSET] = {[10] = 0xff, [11] = 0xff};

static struct ip ip_of_v4(const void *bytes) {
    struct ip ip;
    memcpy(ip.bytes, v4_prefix, V4_OFFSET);
    memcpy(ip.bytes + V4_OFFSET, bytes, sizeof(ip.bytes) - V4_OFFSET);
    return ip;
}

bool ip_of_address(const struct address *address, struct ip *ret_ip) {
    if (address->storage.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        *ret_ip = ip_of_v4(&v4->sin_addr);
        return true;
    }
    if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        memcpy(ret_ip->bytes, &v6->sin6_addr, sizeof(ret_ip->bytes));
        return true;
    }
    return false;
}

/* The text without its port and brackets; empty when it is malformed. */
static struct slice host_of(struct slice text) {
    if (text.size == 0)
        return text;
    if (text.data[0] == '[') {
        const uint8_t *end = memchr(text.data, ']', text.size);
        bool ported = end && (end + 1 == slice_end(text) || end[1] == ':');
        return ported ? slice_of(text.data + 1, (size_t)(end - text.data) - 1) : SLICE_EMPTY;
    }
    const uint8_t *colon = memchr(text.data, ':', text.size);
    bool single = colon && !memchr(colon + 1, ':', (size_t)(slice_end(text) - colon) - 1);
    return single ? slice_first(text, (size_t)(colon - text.data)) : text;
}

bool ip_parse(struct slice text, struct ip *ret_ip) {
    char copy[IP_TEXT_MAX];
    struct slice host = host_of(text);
    if (host.size == 0 || host.size >= sizeof(copy))
        return false;
    memcpy(copy, host.data, host.size);
    copy[host.size] = '\0';
    struct in_addr v4;
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        *ret_ip = ip_of_v4(&v4);
        return true;
    }
    struct in6_addr v6;
    if (inet_pton(AF_INET6, copy, &v6) != 1)
        return false;
    memcpy(ret_ip->bytes, &v6, sizeof(ret_ip->bytes));
    return true;
}

bool ip_is_v4(const struct ip *ip) {
    return memcmp(ip->bytes, v4_prefix, V4_OFFSET) == 0;
}

/* Four numbers and their dots; inet_ntop prints them by sprintf. */
static void ip_format_v4(const uint8_t *bytes, char *text) {
    for (size_t i = V4_OFFSET; i < sizeof(((struct ip *)0)->bytes); i++) {
        char room[HTTP_NUMBER_MAX];
        struct slice digits = http_text_number(bytes[i], room);
        memcpy(text, digits.data, digits.size);
        text += digits.size;
        *text++ = '.';
    }
    text[-1] = '\0';
}

struct ip ip_of_client(const struct ip *ip) {
    struct ip client = *ip;
    if (!ip_is_v4(ip))
        memset(client.bytes + 8, 0, 8);
    return client;
}

void ip_format(const struct ip *ip, char text[IP_TEXT_MAX]) {
    if (ip_is_v4(ip)) {
        ip_format_v4(ip->bytes, text);
        return;
    }
    const char *written = inet_ntop(AF_INET6, ip->bytes, text, IP_TEXT_MAX);
    assert(written);
    (void)written;
}

/* Reads the digits behind the slash; -1 when they are no number of at most `bits_max`. */
static int bits_parse(struct slice text, int bits_max) {
    int bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || i > 2)
            return -1;
        bits = bits * 10 + (text.data[i] - '0');
    }
    return text.size > 0 && bits <= bits_max ? bits : -1;
}

static bool network_parse(struct slice text, struct ip *ret_ip, unsigned *ret_bits) {
    const uint8_t *slash = memchr(text.data, '/', text.size);
    size_t size = slash ? (size_t)(slash - text.data) : text.size;
    if (!ip_parse(slice_first(text, size), ret_ip))
        return false;
    int before = ip_is_v4(ret_ip) ? V4_OFFSET_BITS : 0;
    int bits = IP_BITS - before;
    if (slash)
        bits = bits_parse(slice_after(text, size + 1), bits);
    *ret_bits = (unsigned)(before + bits);
    return bits >= 0;
}

enum sync_status networks_parse(const char *text, struct sync_error *error,
                                struct networks *ret_networks) {
    struct networks networks = {.count = 0};
    while (text && *text) {
        size_t size = strcspn(text, ",");
        struct slice one = slice_of(text, size);
        if (networks.count == NETWORKS_MAX)
            return sync_error_set(error, SYNC_ERR_INVALID, "NETWORK", NULL,
                                  "there are more than %d networks", NETWORKS_MAX);
        if (size == 0 || !network_parse(one, &networks.list[networks.count].ip,
                                        &networks.list[networks.count].bits))
            return sync_error_set(error, SYNC_ERR_INVALID, "NETWORK", NULL,
                                  "%.*s is not a network: expected ADDRESS or ADDRESS/BITS",
                                  (int)size, text);
        networks.count++;
        text += size + (text[size] == ',');
    }
    *ret_networks = networks;
    return SYNC_OK;
}

static bool prefix_equal(const struct ip *a, const struct ip *b, unsigned bits) {
    unsigned bytes = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, b->bytes, bytes) != 0)
        return false;
    return rest == 0 || (a->bytes[bytes] ^ b->bytes[bytes]) >> (8 - rest) == 0;
}

bool networks_have(const struct networks *networks, const struct ip *ip) {
    for (size_t i = 0; i < networks->count; i++) {
        if (prefix_equal(&networks->list[i].ip, ip, networks->list[i].bits))
            return true;
    }
    return false;
}
