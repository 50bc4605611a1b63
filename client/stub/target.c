#include "client/stub/target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/bytes.h"

enum {
    HOST_MAX = 255,
    PORT_MAX = 65535,
    SOCKET_PATH_MAX = sizeof((struct sockaddr_un *)0)->sun_path
};

#define LETTERS_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* Escapes what a URI's path may not hold. */
static const char *target_write_unix(const char *path, char *ret_text) {
    static const char plain[] = LETTERS_DIGITS "-._~/";
    static const char digits[] = "0123456789ABCDEF";
    if (path[0] == '\0' || strlen(path) >= SOCKET_PATH_MAX)
        return "The path of the target's socket is empty or too long.";
    _Static_assert(sizeof "unix:" + 3 * SOCKET_PATH_MAX <= TARGET_MAX, "an escaped path fits");
    char *next = ret_text + snprintf(ret_text, TARGET_MAX, "unix:");
    for (; *path; path++) {
        if (strchr(plain, *path)) {
            *next++ = *path;
            continue;
        }
        *next++ = '%';
        *next++ = digits[(unsigned char)*path >> 4];
        *next++ = digits[(unsigned char)*path & 15];
    }
    *next = '\0';
    return NULL;
}

/* Where the colon before the port stands; NULL when the host is none. */
static const char *host_end(const char *target) {
    bool is_ipv6 = target[0] == '[';
    const char *host = is_ipv6 ? target + 1 : target;
    size_t size = strspn(host, is_ipv6 ? "0123456789abcdefABCDEF:.%" : LETTERS_DIGITS "-._");
    const char *end = host + size;
    if (size == 0 || size > HOST_MAX || (is_ipv6 && *end++ != ']'))
        return NULL;
    return *end == ':' ? end : NULL;
}

const char *target_write(const char *target, char ret_text[TARGET_MAX]) {
    if (!target)
        return "There is no target.";
    if (strncmp(target, "unix:", 5) == 0)
        return target_write_unix(target + 5, ret_text);
    const char *colon = host_end(target);
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return "The target is neither HOST:PORT nor unix:PATH.";
    unsigned long port = strtoul(colon + 1, NULL, 10);
    if (port == 0 || port > PORT_MAX)
        return "The target's port is not between 1 and 65535.";
    snprintf(ret_text, TARGET_MAX, "%s", target);
    return NULL;
}

bool target_is_local(const char *target) {
    static const char *const beginnings[] = {"unix:", "localhost:", "127.", "[::1]:"};
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (strncmp(target, beginnings[i], strlen(beginnings[i])) == 0)
            return true;
    return false;
}
