#include "gateway/http1_server.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/memory.h"
#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/grpc_status.h"
#include "gateway/http1.h"
#include "gateway/http_text.h"

enum {
    HTTP1_HELD_MAX = 64 << 10,     /* of pipelined requests, beyond one read */
    HTTP1_DISCARD_MAX = 256 << 10, /* of a refused body, to keep the connection */
    HTTP1_CHUNK_MAX = 32 << 10,
    HTTP1_LENT_MIN = 4 << 10,     /* less is copied behind the head */
    HTTP1_TURN_REQUESTS = 16,     /* pipelined, that are answered in one turn … */
    HTTP1_TURN_REQUESTS_WARY = 4, /* … of a client that lately sent more at once */
    HTTP1_WARY_US = 1000000,
    HTTP1_UNTAKEN_MAX = 256 << 10, /* of a body that is handed on as it comes */
    HTTP1_HEAD_SMALL = 4 << 10,    /* each connection may take as much */
    HTTP1_GONE_GRACE_US = 1000000, /* a client that ends its side may only mean its request */
};

struct http1_server {
    struct connection *connection;
    struct http1_parser *parser;
    struct exchange *exchange; /* the request being served, or NULL */
    struct buffer held;        /* what came after it, from held_taken on */
    size_t held_taken;
    uint64_t counted_bytes; /* of its head, among what the gateway holds */
    uint64_t crowded_us;    /* when it last was more than one turn's requests */
    size_t untaken;         /* of its body, where that is handed on as it comes */
    struct loop_timer gone; /* set while the client may have gone */
    bool moved;             /* some of the body was taken since that was set */
    bool request_done;      /* all of it was received */
    bool head_sent;         /* of the answer */
    bool chunked;           /* the answer */
    bool keep_alive;        /* after the answer; known when head_sent */
    bool broken;            /* the answer cannot be completed */
    bool malformed;         /* nothing more is parsed */
    bool draining;
};

static struct http1_server *server_of(const struct connection *connection) {
    return connection->state;
}

static void on_answered(struct exchange *exchange, void *context) {
    (void)exchange;
    connection_wake(((struct http1_server *)context)->connection);
}

static void on_broken(struct exchange *exchange, void *context) {
    (void)exchange;
    struct http1_server *server = context;
    server->broken = true;
    connection_wake(server->connection);
}

static void on_taken(struct exchange *exchange, void *context, size_t size) {
    (void)exchange;
    struct http1_server *server = context;
    server->untaken -= size < server->untaken ? size : server->untaken;
    server->moved = true;
    connection_wake(server->connection);
}

static const struct exchange_sink http1_sink = {on_answered, on_answered, on_broken, on_taken};

/* Whether the body must wait until more of it is taken. */
static bool is_full(const struct http1_server *server) {
    return server->exchange && server->untaken >= HTTP1_UNTAKEN_MAX &&
           !exchange_is_complete(server->exchange);
}

static bool open_exchange(struct http1_server *server) {
    struct connection *connection = server->connection;
    server->exchange = exchange_open(connection->worker, &http1_sink, server, &connection->peer);
    server->request_done = false;
    server->untaken = 0;
    server->head_sent = false;
    server->broken = false;
    if (!server->exchange) {
        outbox_add(&connection->out, SLICE(HTTP1_NO_ROOM));
        connection->over = connection->linger = true;
    }
    return server->exchange != NULL;
}

static void on_head(struct http1_server *server) {
    const struct http1_request *request = http1_request(server->parser);
    if (!open_exchange(server))
        return;
    const struct exchange_head head = {
        .method = request->method,
        .path = request->path,
        .query = request->query,
        .headers = request->headers,
        .header_count = request->header_count,
        .has_body = request->chunked || request->content_length > 0,
        .content_length = request->chunked ? UINT64_MAX : request->content_length,
    };
    exchange_begin(server->exchange, &head);
    if (request->expects_continue && head.has_body && !exchange_is_answered(server->exchange))
        outbox_add(&server->connection->out, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void on_body(struct http1_server *server, struct slice bytes) {
    const struct http1_request *request = http1_request(server->parser);
    if (exchange_streams_body(server->exchange)) {
        server->untaken += bytes.size;
        exchange_body(server->exchange, bytes);
    } else if (!request->chunked && bytes.size == request->content_length) {
        exchange_whole_body(server->exchange, bytes);
    } else {
        exchange_body(server->exchange, bytes);
    }
}

static void on_malformed(struct http1_server *server, const struct http1_event *event) {
    server->malformed = true;
    server->keep_alive = false;
    if (event->status == HTTP1_STATUS_NONE) {
        server->connection->over = true;
        return;
    }
    if (!server->exchange && !open_exchange(server))
        return;
    exchange_refuse(server->exchange, event->status, event->message);
    connection_wake(server->connection);
}

/* Parses until the input is used up or a request is complete. */
static void parse(struct http1_server *server, struct slice *input) {
    while (!server->connection->over && !server->malformed &&
           !(server->exchange && server->request_done) && !is_full(server)) {
        struct http1_event event;
        http1_feed(server->parser, input, &event);
        switch (event.kind) {
        case HTTP1_NEED_MORE:
            return;
        case HTTP1_HEAD:
            on_head(server);
            break;
        case HTTP1_BODY:
            on_body(server, event.body);
            break;
        case HTTP1_END:
            server->request_done = true;
            exchange_end(server->exchange);
            break;
        case HTTP1_ERROR:
            on_malformed(server, &event);
            break;
        }
    }
}

static struct slice held_left(const struct http1_server *server) {
    return slice_after(buffer_slice(&server->held), server->held_taken);
}

/* Counts a large head among what the gateway holds; where that is full, one that is not complete
 * ends its connection. */
static void count_head(struct http1_server *server) {
    struct connection *connection = server->connection;
    size_t size = http1_head_bytes(server->parser);
    uint64_t now = size > HTTP1_HEAD_SMALL ? size : 0;
    if (gateway_count_buffered(connection->worker->gateway, &server->counted_bytes, now) ||
        server->exchange || connection->over)
        return;
    outbox_add(&connection->out, SLICE(HTTP1_NO_ROOM));
    connection->over = connection->linger = true;
}

static void note_room(struct http1_server *server) {
    count_head(server);
    server->connection->input_paused = held_left(server).size >= HTTP1_HELD_MAX || is_full(server);
}

/* Keeps what came after the request that is being served. */
static void hold(struct http1_server *server, struct slice rest) {
    if (server->malformed)
        return;
    if (rest.size > 0)
        buffer_append(&server->held, rest);
    if (server->held.failed)
        server->connection->over = true;
    note_room(server);
}

static size_t http1_receive(struct connection *connection, struct slice bytes) {
    struct http1_server *server = server_of(connection);
    struct slice rest = bytes;
    if (server->held.size == 0)
        parse(server, &rest);
    hold(server, rest);
    return bytes.size;
}

/* Goes on with what was held, once a request is over. */
static void parse_held(struct http1_server *server) {
    struct slice input = held_left(server);
    parse(server, &input);
    server->held_taken = server->held.size - input.size;
    if (input.size == 0) {
        buffer_done(&server->held);
        server->held_taken = 0;
    } else if (server->held_taken > server->held.size / 2) {
        /* Seldom: a small request would move all that is behind it. */
        buffer_consume(&server->held, server->held_taken);
        server->held_taken = 0;
    }
    note_room(server);
}

/* Whether the connection lives on after this answer. */
static bool may_keep(const struct http1_server *server) {
    if (server->malformed || server->draining)
        return false;
    if (exchange_answer(server->exchange)->status == 408) /* nobody waits any longer (RFC 9110) */
        return false;
    if (server->connection->input_ended && server->held.size == 0)
        return false;
    const struct http1_request *request = http1_request(server->parser);
    if (!request->keep_alive)
        return false;
    return server->request_done ||
           (http1_body_left(server->parser) <= HTTP1_DISCARD_MAX && !request->expects_continue);
}

static void put_line(struct buffer *out, const struct transcode_header *header) {
    struct slice name = header->name, value = header->value;
    uint8_t *at = buffer_reserve(out, name.size + value.size + 4);
    if (!at)
        return;
    memcpy(at, name.data, name.size);
    at += name.size;
    *at++ = ':';
    *at++ = ' ';
    if (value.size)
        memcpy(at, value.data, value.size);
    at[value.size] = '\r';
    at[value.size + 1] = '\n';
    buffer_advance(out, name.size + value.size + 4);
}

static void put_head(struct http1_server *server) {
    const struct exchange_answer *answer = exchange_answer(server->exchange);
    const struct http1_request *request = http1_request(server->parser);
    struct buffer *out = &server->connection->out.own;
    bool old = request->minor_version == 0 && !server->malformed;
    server->chunked = answer->has_body && !answer->has_length && !old;
    server->keep_alive = may_keep(server) && (!old || !answer->has_body || answer->has_length);
    char digits[HTTP_NUMBER_MAX];
    buffer_append(out, SLICE("HTTP/1.1 "));
    buffer_append(out, http_text_number((uint64_t)answer->status, digits));
    buffer_append(out, SLICE(" "));
    buffer_append(out, slice_text(http_status_phrase(answer->status)));
    buffer_append(out, SLICE("\r\n"));
    for (size_t i = 0; i < answer->header_count; i++)
        put_line(out, &answer->headers[i]);
    if (server->chunked)
        buffer_append(out, SLICE("transfer-encoding: chunked\r\n"));
    if (!server->keep_alive)
        buffer_append(out, SLICE("connection: close\r\n"));
    else if (old)
        buffer_append(out, SLICE("connection: keep-alive\r\n"));
    buffer_append(out, SLICE("\r\n"));
    server->head_sent = true;
}

/* Has an answer that is whole, and worth it, sent from where it lies. */
static bool lend_body(struct http1_server *server) {
    struct connection *connection = server->connection;
    struct slice ready = exchange_ready(server->exchange);
    if (server->chunked || connection->peer.secure || ready.size < HTTP1_LENT_MIN ||
        !exchange_is_complete(server->exchange))
        return false;
    outbox_lend_tail(&connection->out, ready);
    return true;
}

static void http1_sent(struct connection *connection, size_t size) {
    exchange_take(server_of(connection)->exchange, size);
}

static void put_body(struct http1_server *server) {
    struct connection *connection = server->connection;
    if (connection->out.tail.size > 0 || lend_body(server))
        return;
    while (connection_has_room(connection)) {
        struct slice ready = exchange_ready(server->exchange);
        if (ready.size > HTTP1_CHUNK_MAX)
            ready.size = HTTP1_CHUNK_MAX;
        if (ready.size == 0)
            return;
        if (server->chunked)
            buffer_append_format(&connection->out.own, "%zx\r\n", ready.size);
        outbox_add(&connection->out, ready);
        if (server->chunked)
            outbox_add(&connection->out, SLICE("\r\n"));
        exchange_take(server->exchange, ready.size);
    }
}

static void put_trailers(struct http1_server *server) {
    struct buffer *out = &server->connection->out.own;
    size_t count;
    const struct transcode_header *list = exchange_trailers(server->exchange, &count);
    buffer_append(out, SLICE("0\r\n"));
    for (size_t i = 0; i < count; i++)
        put_line(out, &list[i]);
    buffer_append(out, SLICE("\r\n"));
}

static void suspect_gone(struct http1_server *server) {
    server->moved = false;
    loop_timer_set(server->connection->worker->loop, &server->gone, HTTP1_GONE_GRACE_US);
}

/* The answer is out: on to the next request, or to the end. False when there is nothing to do. */
static bool finish(struct http1_server *server) {
    struct connection *connection = server->connection;
    if (server->chunked)
        put_trailers(server);
    server->chunked = false;
    if (server->keep_alive && !server->request_done)
        return false; /* the rest of a refused body is still to come */
    bool keep_alive = server->keep_alive;
    connection->proven |= !server->malformed;
    loop_timer_clear(&server->gone);
    exchange_close(server->exchange);
    server->exchange = NULL;
    http1_forget_head(server->parser);
    if (!keep_alive) {
        connection->over = true;
        connection->linger = !server->request_done || server->malformed;
        return false;
    }
    parse_held(server);
    if ((connection->input_ended || connection->hung_up) && server->exchange)
        suspect_gone(server);
    else if (connection->input_ended)
        connection->over = true;
    return true;
}

static void http1_fill(struct connection *connection) {
    struct http1_server *server = server_of(connection);
    const int requests_max = connection->wary ? HTTP1_TURN_REQUESTS_WARY : HTTP1_TURN_REQUESTS;
    const uint64_t now_us = loop_now_us(connection->worker->loop);
    if (connection->input_paused && server->exchange && !server->request_done && !is_full(server))
        parse_held(server);
    for (int i = 0; server->exchange && exchange_is_answered(server->exchange); i++) {
        if (i == requests_max) {
            /* Who sends so many at once is served behind others. */
            connection->wary = connection->unfinished = true;
            server->crowded_us = now_us;
            return;
        }
        if (!connection_has_room(connection))
            return;
        if (server->broken) {
            /* An answer that stops in the middle must not look complete. */
            server->chunked = false;
            connection->over = true;
            return;
        }
        if (!server->head_sent)
            put_head(server);
        put_body(server);
        if (!exchange_is_over(server->exchange) || !finish(server))
            return;
    }
    connection->wary &= server->held.size > 0 || now_us - server->crowded_us < HTTP1_WARY_US;
}

static enum connection_phase http1_phase(const struct connection *connection) {
    const struct http1_server *server = server_of(connection);
    if (server->exchange) {
        bool discarding =
            server->head_sent && !server->request_done && exchange_is_over(server->exchange);
        return discarding ? CONNECTION_HEAD : CONNECTION_BUSY;
    }
    return http1_is_idle(server->parser) ? CONNECTION_IDLE : CONNECTION_HEAD;
}

/* A client whose input has ended is taken for gone, unless its body is on its way to the service
 * or it has an answer to take, which show whether it is there. */
static void http1_gone(struct loop_timer *timer) {
    struct http1_server *server =
        (struct http1_server *)((char *)timer - offsetof(struct http1_server, gone));
    const struct exchange *exchange = server->exchange;
    if (server->moved && !server->connection->input_ended)
        suspect_gone(server);
    else if (!exchange || !exchange_is_answered(exchange) || exchange_is_live(exchange))
        connection_close(server->connection);
}

static void http1_end_of_input(struct connection *connection) {
    struct http1_server *server = server_of(connection);
    if (!server->exchange || (!server->request_done && !exchange_is_answered(server->exchange))) {
        connection_close(connection);
        return;
    }
    if (!server->request_done)
        server->keep_alive = false;
    if (!exchange_is_answered(server->exchange) || exchange_is_live(server->exchange))
        suspect_gone(server);
}

static void http1_hung_up(struct connection *connection) {
    suspect_gone(server_of(connection));
}

static void http1_drain(struct connection *connection) {
    struct http1_server *server = server_of(connection);
    server->draining = true;
    if (server->exchange)
        exchange_drain(server->exchange);
    else
        connection->over = true;
}

static void http1_close_state(struct connection *connection) {
    struct http1_server *server = server_of(connection);
    if (server->exchange)
        exchange_close(server->exchange);
    loop_timer_clear(&server->gone);
    (void)gateway_count_buffered(connection->worker->gateway, &server->counted_bytes, 0);
    buffer_done(&server->held);
    http1_close(server->parser);
    memory_free(server);
    connection->state = NULL;
}

bool http1_server_start(struct connection *connection) {
    static const struct connection_protocol protocol = {
        .receive = http1_receive,
        .end_of_input = http1_end_of_input,
        .hung_up = http1_hung_up,
        .fill = http1_fill,
        .phase = http1_phase,
        .drain = http1_drain,
        .close = http1_close_state,
        .sent = http1_sent,
    };
    struct http1_server *server = memory_zalloc(1, sizeof(*server));
    struct http1_parser *parser = http1_open();
    if (!server || !parser) {
        http1_close(parser);
        memory_free(server);
        return false;
    }
    server->connection = connection;
    server->parser = parser;
    server->gone.fire = http1_gone;
    buffer_init(&server->held, HTTP1_HELD_MAX + WORKER_SCRATCH_SIZE);
    connection->protocol = &protocol;
    connection->peer.protocol = "HTTP/1.1";
    connection->state = server;
    return true;
}
