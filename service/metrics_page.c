#include "service/metrics_page.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"

enum { REQUEST_MAX = 8 << 10, ANSWER_MAX = 64 << 20, TIMEOUT_S = 5, BACKLOG = 16, HOST_MAX = 256 };

struct metrics_page {
    struct metrics *metrics;
    int listener, stop; /* `stop` is an eventfd */
    int port;
    pthread_t thread;
};

/* Sends all, or gives up when the peer does not take it. */
static void send_all(int fd, struct slice bytes) {
    while (bytes.size > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes = slice_after(bytes, (size_t)sent);
    }
}

/* Reads until the end of the head; what fits of it. */
static struct slice head_read(int fd, uint8_t room[REQUEST_MAX]) {
    size_t size = 0;
    while (size < REQUEST_MAX) {
        ssize_t got = recv(fd, room + size, REQUEST_MAX - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        if (memmem(room, size, "\r\n\r\n", 4))
            break;
    }
    return slice_of(room, size);
}

static void page_answer(struct metrics_page *page, int fd) {
    uint8_t room[REQUEST_MAX];
    struct slice head = head_read(fd, room);
    const char *status = "200 OK";
    struct buffer body, answer;
    buffer_init(&body, ANSWER_MAX);
    buffer_init(&answer, ANSWER_MAX);
    if (!slice_starts_with(head, SLICE("GET ")))
        status = "405 Method Not Allowed";
    else if (slice_starts_with(head, SLICE("GET /metrics ")) ||
             slice_starts_with(head, SLICE("GET /metrics?")))
        metrics_render(page->metrics, &body);
    else
        status = "404 Not Found";
    if (body.failed) {
        status = "500 Internal Server Error";
        buffer_clear(&body);
    }
    buffer_append_format(&answer,
                         "HTTP/1.1 %s\r\nContent-Type: text/plain; version=0.0.4\r\n"
                         "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                         status, body.size);
    buffer_append(&answer, buffer_slice(&body));
    if (!answer.failed)
        send_all(fd, buffer_slice(&answer));
    buffer_done(&answer);
    buffer_done(&body);
}

static void *page_run(void *context) {
    struct metrics_page *page = context;
    struct pollfd waits[] = {{.fd = page->listener, .events = POLLIN},
                             {.fd = page->stop, .events = POLLIN}};
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    while (poll(waits, 2, -1) >= 0 || errno == EINTR) {
        if (waits[1].revents)
            break;
        int fd = waits[0].revents ? accept4(page->listener, NULL, NULL, SOCK_CLOEXEC) : -1;
        if (fd < 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        page_answer(page, fd);
        close(fd);
    }
    return NULL;
}

/* Binds the first address that HOST:PORT means; -1 on failure, with errno. */
static int page_listen(const char *address) {
    char host[HOST_MAX];
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : HOST_MAX;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    bool is_bracketed = size >= 2 && address[0] == '[' && address[size - 1] == ']';
    errno = EINVAL;
    if (size >= HOST_MAX)
        return -1;
    snprintf(host, sizeof host, "%.*s", (int)(is_bracketed ? size - 2 : size),
             address + is_bracketed);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
                    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)) {
        int cause = errno;
        close(fd);
        errno = cause;
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

/* The port a socket is bound to. */
static int socket_port(int fd) {
    struct sockaddr_storage bound;
    memset(&bound, 0, sizeof bound);
    socklen_t size = sizeof bound;
    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return 0;
    return bound.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&bound)->sin6_port)
                                       : ntohs(((struct sockaddr_in *)&bound)->sin_port);
}

enum sync_status metrics_page_open(const char *address, struct metrics *metrics,
                                   struct sync_error *error, struct metrics_page **ret_page) {
    struct metrics_page *page = memory_zalloc(1, sizeof *page);
    if (!page)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                              "no memory for the metrics page");
    page->metrics = metrics;
    page->listener = page_listen(address);
    if (page->listener < 0) {
        int cause = errno;
        memory_free(page);
        return sync_error_set(error, SYNC_ERR_IO, "ADDRESS_BUSY", NULL, "cannot listen on %s: %s",
                              address, strerror(cause));
    }
    page->port = socket_port(page->listener);
    page->stop = eventfd(0, EFD_CLOEXEC);
    if (page->stop < 0 || pthread_create(&page->thread, NULL, page_run, page) != 0) {
        if (page->stop >= 0)
            close(page->stop);
        close(page->listener);
        memory_free(page);
        return sync_error_set(error, SYNC_ERR_UNAVAILABLE, "THREADS", NULL,
                              "cannot start the metrics page's thread");
    }
    pthread_setname_np(page->thread, "metrics");
    *ret_page = page;
    return SYNC_OK;
}

int metrics_page_port(const struct metrics_page *page) {
    return page->port;
}

struct metrics_page *metrics_page_close(struct metrics_page *page) {
    if (!page)
        return NULL;
    eventfd_write(page->stop, 1);
    pthread_join(page->thread, NULL);
    close(page->stop);
    close(page->listener);
    memory_free(page);
    return NULL;
}
