#include "service/rpc/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Whether somebody accepts connections at the address. */
static bool unix_answers(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* not known: better refuse than take a socket away */
    bool answers = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
                   (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return answers;
}

enum sync_status listen_unix_prepare(const char *path, struct sync_error *error) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat found;
    if (strlen(path) >= sizeof address.sun_path)
        return sync_error_set(error, SYNC_ERR_INVALID, "SOCKET_PATH", NULL,
                              "the socket path has more than %zu bytes: %s",
                              sizeof address.sun_path - 1, path);
    if (lstat(path, &found) != 0)
        return SYNC_OK;
    if (!S_ISSOCK(found.st_mode))
        return sync_error_set(error, SYNC_ERR_EXISTS, "SOCKET_PATH", NULL,
                              "%s exists and is no socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (unix_answers(&address))
        return sync_error_set(error, SYNC_ERR_BUSY, "SOCKET_BUSY", NULL,
                              "another process serves the socket %s", path);
    if (unlink(path) != 0)
        return sync_error_set(error, SYNC_ERR_IO, "SOCKET_STALE", NULL,
                              "cannot remove the stale socket %s: %s", path, strerror(errno));
    return SYNC_OK;
}

/* Splits HOST:PORT at its last colon; brackets around the host are dropped. */
static bool address_split(struct slice address, struct slice *ret_host, struct slice *ret_port) {
    const uint8_t *colon = address.size ? memrchr(address.data, ':', address.size) : NULL;
    if (!colon)
        return false;
    struct slice host = slice_of(address.data, (size_t)(colon - address.data));
    *ret_port = slice_after(address, host.size + 1);
    if (host.size >= 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = slice_of(host.data + 1, host.size - 2);
    else if (host.size > 0 && memchr(host.data, ':', host.size))
        return false;
    *ret_host = host;
    return host.size > 0;
}

bool listen_address_is_valid(struct slice address) {
    struct slice host, port;
    unsigned number = 0;
    if (!address_split(address, &host, &port) || port.size == 0 || port.size > 5)
        return false;
    for (size_t i = 0; i < port.size; i++) {
        if (port.data[i] < '0' || port.data[i] > '9')
            return false;
        number = number * 10 + (unsigned)(port.data[i] - '0');
    }
    return number <= UINT16_MAX;
}

bool listen_address_is_loopback(struct slice address) {
    struct slice host, port;
    char text[INET_ADDRSTRLEN];
    struct in_addr parsed;
    if (!address_split(address, &host, &port))
        return false;
    if (slice_equal(host, SLICE("localhost")) || slice_equal(host, SLICE("::1")))
        return true;
    if (host.size >= sizeof text)
        return false;
    memcpy(text, host.data, host.size);
    text[host.size] = 0;
    return inet_pton(AF_INET, text, &parsed) == 1 && ntohl(parsed.s_addr) >> 24 == 127;
}
