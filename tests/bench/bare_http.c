/* Bare HTTP: answers each request with its own body and does nothing else: what the system alone
 * takes for a request and an answer, which no gateway can do without.
 *   bare_http PORT THREADS */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUEST_MAX = 16 << 10, EVENTS_MAX = 128, THREADS_MAX = 64, HEAD_MAX = 512 };
enum { CLIENTS_MAX = 1024 };

struct client {
    int fd;
    size_t size;
    char request[REQUEST_MAX];
};

static struct client clients_by_fd[CLIENTS_MAX];
static unsigned short port;

static int socket_listen(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, SOMAXCONN) != 0) {
        perror("bare_http");
        exit(1);
    }
    return fd;
}

static void client_accept(int epoll_fd, int listen_fd) {
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK), on = 1;
    if (fd < 0 || fd >= CLIENTS_MAX)
        return;
    struct client *client = &clients_by_fd[fd];
    client->fd = fd;
    client->size = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* The body of a request that is whole; NULL where it is not. */
static const char *body_of(struct client *client, size_t *ret_size) {
    static const char field[] = "content-length:";
    client->request[client->size] = '\0';
    const char *end = strstr(client->request, "\r\n\r\n");
    const char *length = strcasestr(client->request, field);
    if (!end || !length || length > end)
        return NULL;
    *ret_size = strtoul(length + sizeof field - 1, NULL, 10);
    size_t come = client->size - (size_t)(end + 4 - client->request);
    return come >= *ret_size ? end + 4 : NULL;
}

/* The head is as long as the gateway's. What does not fit into the socket at once is lost: this is
 * for small ones. */
static void client_answer(struct client *client, const char *body, size_t size) {
    char head[HEAD_MAX];
    int head_size = snprintf(head, sizeof head,
                             "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n"
                             "content-type: application/json\r\n"
                             "date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                             "x-request-id: 00000000-0000-7000-8000-000000000000\r\n"
                             "cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n",
                             size);
    struct iovec parts[] = {{head, (size_t)head_size}, {(char *)body, size}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    (void)!sendmsg(client->fd, &message, MSG_NOSIGNAL);
    client->size = 0;
}

/* Takes what has come; the request stays where it is until it is answered. False once the client
 * has gone. */
static bool client_read(struct client *client) {
    ssize_t got = recv(client->fd, client->request + client->size,
                       sizeof client->request - client->size - 1, 0);
    if (got <= 0) {
        close(client->fd);
        return false;
    }
    client->size += (size_t)got;
    return true;
}

/* Reads from all that have sent something, then answers them, as a gateway does that asks somebody
 * else in between. */
static void *serve(void *context) {
    int listen_fd = socket_listen(), epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS_MAX];
    (void)context;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1), read = 0;
        struct client *clients[EVENTS_MAX];
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (!client)
                client_accept(epoll_fd, listen_fd);
            else if (client_read(client))
                clients[read++] = client;
        }
        for (int i = 0; i < read; i++) {
            size_t size;
            const char *body = body_of(clients[i], &size);
            if (body)
                client_answer(clients[i], body, size);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    unsigned long threads = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    port = (unsigned short)(argc == 3 ? strtoul(argv[1], NULL, 10) : 0);
    if (port == 0 || threads < 1 || threads > THREADS_MAX) {
        fprintf(stderr, "usage: bare_http PORT THREADS\n");
        return 2;
    }
    for (unsigned long i = 1; i < threads; i++) {
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 1;
    }
    serve(NULL);
    return 0;
}
