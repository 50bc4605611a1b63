#include "gateway/upstream_session.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/memory.h"
#include "gateway/tls_client.h"
#include "gateway/upstream_stream.h"

enum {
    UPSTREAM_STREAM_WINDOW = 1 << 20, /* what a slow client makes us hold */
    UPSTREAM_CONNECTION_WINDOW = 64 << 20,
    UPSTREAM_OUT_MAX = 64 << 20,
    UPSTREAM_OUT_FILL = 512 << 10, /* frames are made until so much waits for the socket */
    UPSTREAM_OUT_KEEP = 1 << 20,
};

enum upstream_state upstream_session_state(const struct upstream_session *session) {
    return session->state;
}

size_t upstream_session_load(const struct upstream_session *session) {
    return session->load;
}

uint64_t upstream_session_heard_us(const struct upstream_session *session) {
    return session->heard_us;
}

bool upstream_session_is_full(const struct upstream_session *session) {
    return session->load >= nghttp2_session_get_remote_settings(
                                session->http2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

static void upstream_session_enter(struct upstream_session *session, enum upstream_state state) {
    assert(state > session->state);
    session->state = state;
    if (session->owner)
        session->owner->changed(session->owner, session, state);
}

static void upstream_session_free(struct loop_task *task) {
    struct upstream_session *session =
        (struct upstream_session *)((char *)task - offsetof(struct upstream_session, grave));
    nghttp2_session_del(session->http2);
    outbox_done(&session->out);
    memory_free(session);
}

void upstream_session_close(struct upstream_session *session) {
    if (session->state == UPSTREAM_CLOSED)
        return;
    struct upstream_owner *owner = session->owner;
    bool was_up = session->state != UPSTREAM_CONNECTING;
    session->state = UPSTREAM_CLOSED;
    loop_timer_clear(&session->silence);
    loop_source_remove(session->loop, &session->source);
    transport_done(&session->transport);
    while (session->calls) {
        if (was_up)
            upstream_stream_end(session->calls, SLICE("the connection to the service was lost"),
                                false);
        else
            upstream_stream_end(session->calls, SLICE("the service cannot be reached"), true);
    }
    loop_bury(session->loop, &session->grave);
    if (owner)
        owner->changed(owner, session, UPSTREAM_CLOSED);
}

/* Makes frames until enough waits for the socket; false when the session is broken. */
static bool upstream_session_fill(struct upstream_session *session) {
    while (outbox_waiting(&session->out) < UPSTREAM_OUT_FILL) {
        const uint8_t *frames;
        ssize_t size = nghttp2_session_mem_send(session->http2, &frames);
        if (size < 0)
            return false;
        if (size == 0)
            break;
        outbox_add(&session->out, slice_of(frames, (size_t)size));
    }
    return !outbox_has_failed(&session->out);
}

static bool upstream_session_is_over(const struct upstream_session *session) {
    if (session->state == UPSTREAM_DRAINING && session->load == 0)
        return true;
    return !nghttp2_session_want_read(session->http2) &&
           !nghttp2_session_want_write(session->http2);
}

static void upstream_session_flush(struct loop_task *task) {
    struct upstream_session *session =
        (struct upstream_session *)((char *)task - offsetof(struct upstream_session, flush));
    if (session->state == UPSTREAM_CLOSED || !session->connected)
        return;
    for (;;) {
        bool filled = upstream_session_fill(session);
        if (filled && outbox_waiting(&session->out) == 0)
            break;
        /* The requests that are sent from where they lie stay there that long. */
        if (!filled || !outbox_write(&session->out, &session->transport, UPSTREAM_OUT_KEEP)) {
            upstream_session_close(session);
            return;
        }
        if (outbox_waiting(&session->out) > 0) /* the socket is full */
            break;
    }
    if (upstream_session_is_over(session)) {
        upstream_session_close(session);
        return;
    }
    /* Until the handshake is over, what waits for it waits for the other side's bytes. */
    bool writes = session->transport.wants_write ||
                  (session->transport.established && outbox_waiting(&session->out) > 0);
    loop_source_change(session->loop, &session->source, writes ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void upstream_session_wake(struct upstream_session *session) {
    loop_task_queue(session->loop, &session->flush);
}

/* The connect is over: well or not. */
static void upstream_session_connected(struct upstream_session *session) {
    int failure = 0;
    socklen_t size = sizeof(failure);
    if (getsockopt(session->source.fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure) {
        upstream_session_close(session);
        return;
    }
    session->connected = true;
    upstream_session_wake(session);
}

void upstream_session_greeted(struct upstream_session *session) {
    if (session->state == UPSTREAM_CONNECTING)
        upstream_session_enter(session, UPSTREAM_UP);
}

/* Tells whether a handshake that has just ended agreed on HTTP/2. */
static bool upstream_session_agreed(const struct upstream_session *session) {
    return !session->transport.ssl || !session->transport.established ||
           transport_chose_http2(&session->transport);
}

/* Takes some bytes; false when there are none now, or no more ever. */
static bool upstream_session_take(struct upstream_session *session) {
    ssize_t got = transport_read(&session->transport, session->scratch, session->scratch_size);
    upstream_session_wake(session); /* the handshake may be over, and let go what waits */
    if (got == TRANSPORT_AGAIN && upstream_session_agreed(session))
        return false;
    if (got <= 0 || !upstream_session_agreed(session) ||
        nghttp2_session_mem_recv(session->http2, session->scratch, (size_t)got) < 0) {
        upstream_session_close(session);
        return false;
    }
    session->heard_us = loop_now_us(session->loop);
    session->is_asked = false;
    return true;
}

static void upstream_session_read(struct upstream_session *session) {
    /* What TLS holds back already, no event tells of. */
    while (upstream_session_take(session) && transport_has_pending(&session->transport))
        continue;
}

static void upstream_session_ready(struct loop_source *source, uint32_t events) {
    struct upstream_session *session =
        (struct upstream_session *)((char *)source - offsetof(struct upstream_session, source));
    if (!session->connected) {
        upstream_session_connected(session);
        return;
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        upstream_session_read(session);
    if (session->state != UPSTREAM_CLOSED && (events & EPOLLOUT))
        upstream_session_wake(session);
}

void upstream_session_drain(struct upstream_session *session) {
    if (session->state != UPSTREAM_UP)
        return;
    upstream_session_enter(session, UPSTREAM_DRAINING);
    upstream_session_wake(session);
}

static enum sync_status upstream_session_setup(struct upstream_session *session) {
    nghttp2_option *option = NULL;
    if (nghttp2_option_new(&option) != 0)
        return SYNC_ERR_NO_MEMORY;
    nghttp2_option_set_no_auto_window_update(option, 1);
    /* Until the service's SETTINGS come, calls wait here: they are then surely not processed when
     * the service never speaks. */
    nghttp2_option_set_peer_max_concurrent_streams(option, 0);
    int rc =
        nghttp2_session_client_new2(&session->http2, upstream_stream_callbacks(), session, option);
    nghttp2_option_del(option);
    if (rc != 0)
        return SYNC_ERR_NO_MEMORY;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UPSTREAM_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1 << 20},
    };
    rc = nghttp2_submit_settings(session->http2, NGHTTP2_FLAG_NONE, settings, 3);
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(session->http2, NGHTTP2_FLAG_NONE, 0,
                                                   UPSTREAM_CONNECTION_WINDOW);
    return rc == 0 ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* A socket whose connect has begun, or -1. */
static int upstream_connect(const struct upstream_endpoint *endpoint, bool *ret_connected) {
    const struct address *address = endpoint->address;
    int family = address->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family != AF_UNIX) {
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        keepalive_start(fd, &endpoint->keepalive);
    }
    int rc = connect(fd, (const struct sockaddr *)&address->storage, address->size);
    if (rc != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    *ret_connected = rc == 0;
    return fd;
}

static enum sync_status upstream_session_secure(struct upstream_session *session,
                                                const struct upstream_endpoint *endpoint) {
    int fd = session->source.fd;
    if (!endpoint->tls || endpoint->address->storage.ss_family == AF_UNIX)
        return transport_init(&session->transport, fd, NULL);
    return tls_client_connect(endpoint->tls, fd, endpoint->host, &session->transport);
}

enum sync_status upstream_session_open(struct loop *loop, const struct upstream_endpoint *endpoint,
                                       struct upstream_owner *owner, uint8_t *scratch,
                                       size_t scratch_size, struct upstream_session **ret_session) {
    assert(loop && endpoint->address && scratch_size > 0);
    bool connected = false;
    int fd = upstream_connect(endpoint, &connected);
    if (fd < 0)
        return SYNC_ERR_UNAVAILABLE;
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    struct upstream_session *session = memory_zalloc(1, sizeof(*session));
    if (!session)
        goto failed;
    session->loop = loop;
    session->scratch = scratch;
    session->scratch_size = scratch_size;
    session->source = (struct loop_source){.fd = fd, .ready = upstream_session_ready};
    session->flush.run = upstream_session_flush;
    session->grave.run = upstream_session_free;
    session->authority = endpoint->authority;
    session->ping = endpoint->ping;
    session->silence.fire = upstream_silence_fired;
    status = upstream_session_setup(session);
    if (status == SYNC_OK)
        status = loop_source_add(loop, &session->source, EPOLLIN | EPOLLOUT);
    if (status != SYNC_OK)
        goto failed;
    status = upstream_session_secure(session, endpoint);
    if (status != SYNC_OK) {
        loop_source_remove(loop, &session->source);
        goto failed;
    }
    outbox_init(&session->out, UPSTREAM_OUT_MAX, session->lent, session->transport.ssl != NULL);
    session->owner = owner;
    *ret_session = session;
    session->connected = connected;
    if (connected)
        upstream_session_wake(session);
    return SYNC_OK;

failed:
    if (session) {
        nghttp2_session_del(session->http2);
        memory_free(session);
    }
    close(fd);
    return status;
}
