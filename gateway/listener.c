#include "gateway/listener.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/memory.h"
#include "gateway/connection.h"
#include "gateway/http1_server.h"

enum {
    LISTENER_BACKLOG = 1024,
    LISTENER_ACCEPTS_MAX = 8, /* at once: others wait too */
    LISTENER_PAUSE_US = 100000,
    LISTENER_EVENTS = EPOLLIN | EPOLLONESHOT,
};

struct listener {
    struct worker *worker;
    struct loop_source source;
    struct loop_job accepts;
    struct loop_timer resume;
    struct loop_task grave;
    struct tls *tls;
};

/* A bound socket, or -1 with errno. */
static int socket_bind(const struct address *address, bool shared) {
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) != 0) {
        int failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

static enum sync_status bind_failed(const struct address *address, struct sync_error *error) {
    char text[ADDRESS_TEXT_MAX];
    int failure = errno;
    address_format(address, text);
    return sync_error_set(error, SYNC_ERR_IO, "LISTEN", NULL, "cannot listen on %s: %s", text,
                          strerror(failure));
}

/* Binds without SO_REUSEPORT first: that fails where anyone else listens, which sharing would
 * hide. Learns the port where the system chooses it. */
static enum sync_status listener_probe(struct address *address, struct sync_error *error) {
    int fd = socket_bind(address, false);
    if (fd < 0)
        return bind_failed(address, error);
    enum sync_status status = SYNC_OK;
    /* Only listening shows a port that is bound by a listener of the same user. */
    if (listen(fd, 1) != 0 ||
        getsockname(fd, (struct sockaddr *)&address->storage, &address->size) != 0)
        status = bind_failed(address, error);
    close(fd);
    return status;
}

enum sync_status listener_bind(struct address *address, int *fds, unsigned count,
                               struct sync_error *error) {
    if (address->storage.ss_family == AF_UNIX)
        return sync_error_set(error, SYNC_ERR_INVALID, "LISTEN", NULL,
                              "clients are served on HOST:PORT, not on a Unix socket");
    enum sync_status status = listener_probe(address, error);
    if (status != SYNC_OK)
        return status;
    for (unsigned i = 0; i < count; i++) {
        fds[i] = socket_bind(address, true);
        if (fds[i] >= 0 && listen(fds[i], LISTENER_BACKLOG) == 0)
            continue;
        status = bind_failed(address, error);
        for (unsigned j = 0; j <= i; j++) {
            if (fds[j] >= 0)
                close(fds[j]);
            fds[j] = -1;
        }
        return status;
    }
    return SYNC_OK;
}

/* Says no to a client beyond the bound, as far as that costs nothing. */
static void listener_refuse(struct listener *listener, int fd) {
    if (!listener->tls)
        (void)!send(fd, HTTP1_NO_ROOM, sizeof(HTTP1_NO_ROOM) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    metric_add(gateway_metrics_series(listener->worker->gateway->metrics)->connections_refused, 1);
}

static void listener_take(struct listener *listener, int fd, const struct address *address) {
    struct gateway *gateway = listener->worker->gateway;
    struct peer peer = {.secure = listener->tls != NULL};
    if (atomic_load(&gateway->connections) >= gateway->limits.connections_max) {
        listener_refuse(listener, fd);
        return;
    }
    if (ip_of_address(address, &peer.ip))
        peer.trusted = networks_have(&gateway->trusted_proxies, &peer.ip);
    /* A proxy's connections are those of many clients. */
    if (!peer.trusted && !client_connect(gateway->clients, &peer.ip, &peer.client)) {
        metric_add(gateway_metrics_series(gateway->metrics)->client_connections_refused, 1);
        listener_refuse(listener, fd);
        return;
    }
    connection_open(listener->worker, fd, listener->tls, &peer);
}

/* Whoever comes anew waits behind who is there. */
static void listener_ready(struct loop_source *source, uint32_t events) {
    (void)events;
    struct listener *listener =
        (struct listener *)((char *)source - offsetof(struct listener, source));
    loop_job_queue(listener->worker->loop, &listener->accepts, LOOP_LAST);
}

static void listener_accept(struct loop_job *job) {
    struct listener *listener =
        (struct listener *)((char *)job - offsetof(struct listener, accepts));
    struct loop *loop = listener->worker->loop;
    for (int i = 0; i < LISTENER_ACCEPTS_MAX; i++) {
        struct address address = {.size = sizeof(address.storage)};
        int fd = accept4(listener->source.fd, (struct sockaddr *)&address.storage, &address.size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener_take(listener, fd, &address);
            continue;
        }
        /* Waiting clients would wake us for nothing until a descriptor is free. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            loop_timer_set(loop, &listener->resume, LISTENER_PAUSE_US);
        else
            loop_source_change(loop, &listener->source, LISTENER_EVENTS);
        return;
    }
    loop_job_queue(loop, job, LOOP_LAST);
}

static void listener_resume(struct loop_timer *timer) {
    struct listener *listener =
        (struct listener *)((char *)timer - offsetof(struct listener, resume));
    loop_source_change(listener->worker->loop, &listener->source, LISTENER_EVENTS);
}

static void listener_free(struct loop_task *task) {
    memory_free((char *)task - offsetof(struct listener, grave));
}

enum sync_status listener_open(struct worker *worker, int fd, struct tls *tls,
                               struct listener **ret_listener) {
    assert(fd >= 0);
    int on = 1;
    /* Of the sockets that it accepts. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    keepalive_start(fd, &worker->gateway->limits.keepalive);
    struct listener *listener = memory_zalloc(1, sizeof(*listener));
    if (!listener) {
        close(fd);
        return SYNC_ERR_NO_MEMORY;
    }
    listener->worker = worker;
    listener->tls = tls;
    listener->source = (struct loop_source){.fd = fd, .ready = listener_ready};
    listener->accepts.run = listener_accept;
    listener->resume.fire = listener_resume;
    listener->grave.run = listener_free;
    enum sync_status status = loop_source_add(worker->loop, &listener->source, LISTENER_EVENTS);
    if (status != SYNC_OK) {
        close(fd);
        memory_free(listener);
        return status;
    }
    *ret_listener = listener;
    return SYNC_OK;
}

struct listener *listener_close(struct listener *listener) {
    if (!listener)
        return NULL;
    loop_timer_clear(&listener->resume);
    loop_job_cancel(listener->worker->loop, &listener->accepts);
    loop_source_remove(listener->worker->loop, &listener->source);
    close(listener->source.fd);
    loop_bury(listener->worker->loop, &listener->grave);
    return NULL;
}
