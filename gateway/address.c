#include "gateway/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static enum sync_status address_bad(const char *text, const char *why, struct sync_error *error) {
    return sync_error_set(error, SYNC_ERR_INVALID, "ADDRESS", NULL, "%s is not an address: %s",
                          text, why);
}

static enum sync_status address_parse_unix(const char *text, struct sync_error *error,
                                           struct address *ret_address) {
    const char *path = text + strlen("unix:");
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(local.sun_path))
        return address_bad(text, "a socket's path has 1 to 107 bytes", error);
    memcpy(local.sun_path, path, size + 1);
    memset(ret_address, 0, sizeof(*ret_address));
    memcpy(&ret_address->storage, &local, sizeof(local));
    ret_address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
    return SYNC_OK;
}

enum sync_status address_split(const char *text, struct sync_error *error,
                               char ret_host[ADDRESS_TEXT_MAX],
                               char ret_port[ADDRESS_PORT_TEXT_MAX]) {
    assert(text);
    const char *colon = strrchr(text, ':');
    if (!colon)
        return address_bad(text, "expected HOST:PORT", error);
    size_t size = (size_t)(colon - text);
    const char *begin = text;
    if (size >= 2 && text[0] == '[' && colon[-1] == ']') {
        begin++;
        size -= 2;
    }
    if (size >= ADDRESS_TEXT_MAX)
        return address_bad(text, "the host is too long", error);
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits >= ADDRESS_PORT_TEXT_MAX || colon[1 + digits] != '\0' ||
        strtoul(colon + 1, NULL, 10) > UINT16_MAX)
        return address_bad(text, "the port is not a number from 0 to 65535", error);
    memcpy(ret_host, begin, size);
    ret_host[size] = '\0';
    memcpy(ret_port, colon + 1, digits + 1);
    return SYNC_OK;
}

/* Reads an address by the system, which `flags` (AI_) direct. SYNC_ERR_NOT_FOUND for a name where
 * only numbers are read. */
static enum sync_status address_read(const char *text, int flags, struct sync_error *error,
                                     struct address *ret_address) {
    char host[ADDRESS_TEXT_MAX] = "", port[ADDRESS_PORT_TEXT_MAX] = "";
    if (strncmp(text, "unix:", 5) == 0)
        return address_parse_unix(text, error, ret_address);
    enum sync_status status = address_split(text, error, host, port);
    if (status != SYNC_OK)
        return status;
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, &found);
    if (rc == EAI_NONAME && (flags & AI_NUMERICHOST))
        return SYNC_ERR_NOT_FOUND;
    if (rc != 0)
        return address_bad(text, gai_strerror(rc), error);
    memset(ret_address, 0, sizeof(*ret_address));
    memcpy(&ret_address->storage, found->ai_addr, found->ai_addrlen);
    ret_address->size = found->ai_addrlen;
    freeaddrinfo(found);
    return SYNC_OK;
}

enum sync_status address_parse(const char *text, struct sync_error *error,
                               struct address *ret_address) {
    return address_read(text, AI_PASSIVE, error, ret_address);
}

enum sync_status address_parse_numeric(const char *text, struct sync_error *error,
                                       struct address *ret_address) {
    if (text[0] == ':')
        return address_bad(text, "the host is missing", error);
    return address_read(text, AI_NUMERICHOST, error, ret_address);
}

bool address_equal(const struct address *a, const struct address *b) {
    return a->size == b->size && memcmp(&a->storage, &b->storage, a->size) == 0;
}

bool address_is_among(const struct address *one, const struct address *addresses, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (address_equal(&addresses[i], one))
            return true;
    }
    return false;
}

bool address_is_loopback(const struct address *address) {
    switch (address->storage.ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET: {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    }
    default:
        return false;
    }
}

void address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]) {
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->storage.ss_family == AF_UNIX) {
        const struct sockaddr_un *local = (const struct sockaddr_un *)&address->storage;
        snprintf(text, ADDRESS_TEXT_MAX, "unix:%s", local->sun_path);
    } else if (address->storage.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->storage;
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(v6->sin6_port));
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->storage;
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(v4->sin_port));
    }
}
