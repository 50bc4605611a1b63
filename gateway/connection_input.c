/* What comes from a client: the PROXY protocol's header, TLS, and the protocol's bytes by turns. */
#include <string.h>

#include "gateway/connection_types.h"
#include "gateway/http1_server.h"
#include "gateway/http2_server.h"
#include "gateway/proxy_header.h"

enum {
    CONNECTION_TURN_BYTES_UNPROVEN_MAX = 16 << 10,
    CONNECTION_TURN_BYTES_MAX = 64 << 10,
    CONNECTION_TURN_BYTES_WARY = 1 << 10,
    CONNECTION_TURN_READS = 32,      /* records of TLS, say … */
    CONNECTION_READ_BYTES_FEW = 128, /* … in which nobody sends who means well */
};

#define HTTP2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void connection_start(struct connection *connection, bool http2) {
    bool started = http2 ? http2_server_start(connection) : http1_server_start(connection);
    if (!started) {
        connection->over = true;
        return;
    }
    if (connection->worker->draining)
        connection->protocol->drain(connection);
}

/* Hands bytes to the protocol and keeps those for which its turn has no time. */
static void connection_feed(struct connection *connection, struct slice bytes) {
    size_t taken = connection->protocol->receive(connection, bytes);
    if (taken < bytes.size && !connection->closed)
        buffer_append(&connection->held, slice_after(bytes, taken));
    connection->over |= connection->held.failed;
}

/* Goes on with what is held, for which there was no time. */
static void connection_feed_held(struct connection *connection) {
    struct buffer held = connection->held;
    buffer_init(&connection->held, held.size_max);
    connection_feed(connection, buffer_slice(&held));
    buffer_done(&held);
}

/* Looks at the first bytes until they tell the protocol, then hands them on. */
static void connection_detect(struct connection *connection, struct slice bytes) {
    static const size_t size = sizeof(HTTP2_PREFACE) - 1;
    if (connection->peer.secure) {
        connection_start(connection, transport_chose_http2(&connection->transport));
        if (connection->protocol)
            connection_feed(connection, bytes);
        return;
    }
    buffer_append(&connection->held, bytes);
    struct slice first = buffer_slice(&connection->held);
    size_t known = first.size < size ? first.size : size;
    bool preface = known == 0 || memcmp(first.data, HTTP2_PREFACE, known) == 0;
    if (preface && known < size)
        return;
    connection_start(connection, preface);
    if (connection->protocol)
        connection_feed_held(connection);
}

static void connection_receive(struct connection *connection, struct slice bytes) {
    if (connection->lingering || connection->over)
        return;
    if (connection->protocol)
        connection_feed(connection, bytes);
    else
        connection_detect(connection, bytes);
}

/* TLS is agreed on: notes who the client is. False when the connection was closed. */
static bool connection_establish(struct connection *connection) {
    connection_leave_handshake(connection);
    connection->peer.tls_version = transport_version(&connection->transport);
    if (transport_identity(&connection->transport, &connection->identity) != SYNC_OK) {
        connection_close(connection);
        return false;
    }
    connection->peer.identity = buffer_slice(&connection->identity);
    return true;
}

/* The proxy has told whom it speaks for. False when that client has as many connections as it
 * may. */
static bool connection_learn_client(struct connection *connection,
                                    const struct proxy_header *header) {
    struct gateway *gateway = connection->worker->gateway;
    struct peer *peer = &connection->peer;
    connection->awaits_proxy = false;
    buffer_done(&connection->held);
    if (!header->has_source)
        return true;
    peer->ip = header->source;
    peer->trusted = networks_have(&gateway->trusted_proxies, &peer->ip);
    if (peer->trusted || client_connect(gateway->clients, &peer->ip, &peer->client)) {
        connection_penalize(connection);
        return true;
    }
    metric_add(gateway_metrics_series(gateway->metrics)->client_connections_refused, 1);
    return false;
}

/* Reads the PROXY protocol's header, and not a byte more: TLS may follow. Parts are kept in
 * `held`, so that what has come does not wake us again. False when the connection waits or was
 * closed. */
static bool connection_read_proxy(struct connection *connection) {
    uint8_t bytes[PROXY_V2_MAX];
    struct buffer *held = &connection->held;
    if (held->size > 0)
        memcpy(bytes, held->data, held->size);
    ssize_t got =
        transport_peek(&connection->transport, bytes + held->size, sizeof(bytes) - held->size);
    if (got == TRANSPORT_AGAIN)
        return false;
    struct proxy_header header;
    enum proxy_result result = PROXY_BAD;
    if (got > 0)
        result = proxy_header_read(slice_of(bytes, held->size + (size_t)got), &header);
    if (result == PROXY_DONE) {
        transport_skip(&connection->transport, header.size - held->size);
        if (connection_learn_client(connection, &header))
            return true;
    } else if (result == PROXY_MORE) {
        transport_skip(&connection->transport, (size_t)got);
        buffer_append(held, slice_of(bytes + held->size, (size_t)got));
        if (!held->failed)
            return false;
    }
    connection_close(connection);
    return false;
}

/* Who keeps sending gets more of each turn, as long as it asks for little else. */
static void connection_adapt_turn(struct connection *connection, size_t taken) {
    uint32_t max =
        connection->proven ? CONNECTION_TURN_BYTES_MAX : CONNECTION_TURN_BYTES_UNPROVEN_MAX;
    if (taken == connection->turn_bytes && connection->turn_bytes < max && !connection->wary &&
        connection->held.size == 0)
        connection->turn_bytes *= 2;
}

/* Reads until the socket is empty or the turn used up; false when the connection was closed. */
static bool connection_read_turn(struct connection *connection) {
    const size_t turn = connection->wary ? CONNECTION_TURN_BYTES_WARY : connection->turn_bytes;
    uint8_t *scratch = connection->worker->scratch;
    size_t taken = 0;
    int reads = 0;
    for (; taken < turn && reads < CONNECTION_TURN_READS; reads++) {
        ssize_t got = transport_read(&connection->transport, scratch, turn - taken);
        if (connection->handshake_link && connection->transport.established &&
            !connection_establish(connection))
            return false;
        if (got == TRANSPORT_AGAIN)
            break;
        if (got == TRANSPORT_FAILED ||
            (got < 0 && (connection->lingering || !connection->protocol))) {
            connection_close(connection);
            return false;
        }
        if (got == TRANSPORT_CLOSED) {
            connection->input_ended = true;
            connection->protocol->end_of_input(connection);
            break;
        }
        bool emptied = !connection->peer.secure && (size_t)got < turn - taken;
        taken += (size_t)got;
        connection->heard_us = loop_now_us(connection->worker->loop);
        connection_receive(connection, slice_of(scratch, (size_t)got));
        /* A short read has emptied the socket; TLS may hold more. */
        if (connection->input_paused || connection->held.size > 0 || emptied)
            break;
    }
    connection_adapt_turn(connection, taken);
    connection->crowded = taken >= turn || connection->held.size > 0;
    connection->dribbles =
        reads == CONNECTION_TURN_READS && taken < CONNECTION_TURN_READS * CONNECTION_READ_BYTES_FEW;
    return !connection->closed;
}

void connection_read(struct connection *connection) {
    bool goes_on = !connection->awaits_proxy || connection_read_proxy(connection);
    if (!goes_on || connection->delayed) {
        if (!connection->closed)
            connection_watch(connection);
        return;
    }
    bool paused = connection->input_paused && !connection->lingering;
    if (connection->protocol && connection->held.size > 0 && !connection->over)
        connection_feed_held(connection);
    else if (!paused && !connection->input_ended && !connection_read_turn(connection))
        return;
    if (connection->closed)
        return;
    connection_note_phase(connection);
    connection_wake(connection); /* to send what an earlier turn left as well */
}
