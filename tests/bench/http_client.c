#include "tests/bench/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_ROOM_FIRST = 1 << 16 };

static bool read_address(const char *text, struct sockaddr_in *ret_address) {
    char host[64];
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof(host)) {
        errno = EINVAL;
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    *ret_address = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
    };
    errno = EINVAL;
    return inet_pton(AF_INET, host, &ret_address->sin_addr) == 1;
}

bool http_client_open(struct http_client *client, const char *address) {
    *client = (struct http_client){.fd = -1};
    struct sockaddr_in where;
    if (!read_address(address, &where))
        return false;
    client->answer = malloc(ANSWER_ROOM_FIRST);
    client->answer_room = ANSWER_ROOM_FIRST;
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (!client->answer || client->fd < 0 ||
        connect(client->fd, (struct sockaddr *)&where, sizeof(where)) != 0) {
        http_client_close(client);
        return false;
    }
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(client->fd, F_SETFL, fcntl(client->fd, F_GETFL) | O_NONBLOCK);
    return true;
}

void http_client_close(struct http_client *client) {
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
    free(client->answer);
    client->answer = NULL;
}

static enum http_progress push(struct http_client *client) {
    while (client->sent < client->request_size) {
        ssize_t size = send(client->fd, client->request + client->sent,
                            client->request_size - client->sent, MSG_NOSIGNAL);
        if (size < 0)
            return errno == EAGAIN ? HTTP_WAITING : HTTP_BROKEN;
        client->sent += (size_t)size;
    }
    return HTTP_WAITING;
}

void http_client_send(struct http_client *client, const char *request, size_t size) {
    client->request = request;
    client->request_size = size;
    client->sent = 0;
    client->answer_size = client->head_size = client->body_size = 0;
    client->chunked = false;
    push(client);
}

static const char *find_header(const char *head, size_t size, const char *name) {
    size_t length = strlen(name);
    for (const char *line = head; line && line < head + size;) {
        if ((size_t)(head + size - line) > length && strncasecmp(line, name, length) == 0)
            return line + length;
        line = memchr(line, '\n', (size_t)(head + size - line));
        line = line ? line + 1 : NULL;
    }
    return NULL;
}

static void read_head(struct http_client *client) {
    const char *end = memmem(client->answer, client->answer_size, "\r\n\r\n", 4);
    if (!end)
        return;
    client->head_size = (size_t)(end - client->answer) + 4;
    client->status = (int)strtol(client->answer + sizeof("HTTP/1.1"), NULL, 10);
    const char *length = find_header(client->answer, client->head_size, "content-length:");
    client->chunked = !length;
    client->body_size = length ? strtoul(length, NULL, 10) : 0;
}

static bool is_complete(const struct http_client *client) {
    if (!client->head_size)
        return false;
    if (!client->chunked)
        return client->answer_size >= client->head_size + client->body_size;
    return client->answer_size >= client->head_size + 5 &&
           memcmp(client->answer + client->answer_size - 5, "0\r\n\r\n", 5) == 0;
}

static bool make_room(struct http_client *client) {
    if (client->answer_size < client->answer_room)
        return true;
    char *larger = realloc(client->answer, client->answer_room * 2);
    if (!larger)
        return false;
    client->answer = larger;
    client->answer_room *= 2;
    return true;
}

enum http_progress http_client_turn(struct http_client *client) {
    if (push(client) == HTTP_BROKEN)
        return HTTP_BROKEN;
    for (;;) {
        if (!make_room(client))
            return HTTP_BROKEN;
        ssize_t size = recv(client->fd, client->answer + client->answer_size,
                            client->answer_room - client->answer_size, 0);
        if (size < 0)
            return errno == EAGAIN ? HTTP_WAITING : HTTP_BROKEN;
        if (size == 0)
            return HTTP_BROKEN;
        client->answer_size += (size_t)size;
        if (!client->head_size)
            read_head(client);
        if (is_complete(client))
            return HTTP_ANSWERED;
    }
}
