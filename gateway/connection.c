#include "gateway/connection.h"

#include <stddef.h>
#include <sys/epoll.h>

#include "base/memory.h"
#include "gateway/connection_types.h"

enum {
    CONNECTION_OUT_MAX = 8 << 20,
    CONNECTION_OUT_FILL = 64 << 10, /* held for a client that does not read */
    CONNECTION_OUT_KEEP = 64 << 10, /* more is given back when all is sent */
    CONNECTION_TURN_ROUNDS = 2,     /* of as much, sent in one turn: others wait too */
    CONNECTION_LINGER_US = 2000000,
    CONNECTION_HELD_MAX = 128 << 10,       /* a turn's bytes, and those that tell the protocol */
    CONNECTION_IDENTITY_MAX = 2 << 10,     /* of a certificate: it goes with every call */
    CONNECTION_STALL_US = 60000000,        /* a client that takes nothing for so long is gone */
    CONNECTION_STALL_PRESSED_US = 2000000, /* the same while answers fill the gateway's memory */
};

static struct connection *connection_of_timer(struct loop_timer *timer) {
    return (struct connection *)((char *)timer - offsetof(struct connection, timer));
}

static size_t connection_waiting(const struct connection *connection) {
    return outbox_waiting(&connection->out);
}

bool connection_has_room(const struct connection *connection) {
    return connection_waiting(connection) < CONNECTION_OUT_FILL &&
           !outbox_has_failed(&connection->out);
}

void connection_wake(struct connection *connection) {
    if (!connection->closed)
        loop_task_queue(connection->worker->loop, &connection->flush);
}

static void connection_enter_handshake(struct connection *connection) {
    struct worker *worker = connection->worker;
    connection->handshake_link = worker->handshakes_tail;
    *worker->handshakes_tail = connection;
    worker->handshakes_tail = &connection->handshake_next;
    worker->handshake_count++;
    metric_add(gateway_metrics_series(worker->gateway->metrics)->handshakes, 1);
}

void connection_leave_handshake(struct connection *connection) {
    struct worker *worker = connection->worker;
    if (!connection->handshake_link)
        return;
    *connection->handshake_link = connection->handshake_next;
    if (connection->handshake_next)
        connection->handshake_next->handshake_link = connection->handshake_link;
    else
        worker->handshakes_tail = connection->handshake_link;
    connection->handshake_link = NULL;
    worker->handshake_count--;
    metric_add(gateway_metrics_series(worker->gateway->metrics)->handshakes, -1);
}

static void connection_free(struct loop_task *task) {
    struct connection *connection =
        (struct connection *)((char *)task - offsetof(struct connection, grave));
    memory_free(connection);
}

void connection_close(struct connection *connection) {
    if (connection->closed)
        return;
    connection->closed = true;
    struct worker *worker = connection->worker;
    if (connection->protocol)
        connection->protocol->close(connection);
    loop_timer_clear(&connection->timer);
    loop_job_cancel(worker->loop, &connection->turn);
    loop_source_remove(worker->loop, &connection->source);
    transport_done(&connection->transport);
    outbox_done(&connection->out);
    buffer_done(&connection->held);
    buffer_done(&connection->identity);
    client_disconnect(worker->gateway->clients, connection->peer.client);
    connection_leave_handshake(connection);
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    atomic_fetch_sub(&worker->gateway->connections, 1);
    metric_add(gateway_metrics_series(worker->gateway->metrics)->connections, -1);
    loop_bury(worker->loop, &connection->grave);
}

static enum connection_phase connection_phase_now(const struct connection *connection) {
    if (!connection->transport.established)
        return CONNECTION_HANDSHAKE;
    if (!connection->protocol)
        return CONNECTION_HEAD;
    return connection->protocol->phase(connection);
}

static uint64_t connection_limit_us(const struct connection *connection) {
    const struct gateway_limits *limits = &connection->worker->gateway->limits;
    switch (connection->phase) {
    case CONNECTION_HANDSHAKE:
        return limits->handshake_timeout_us;
    case CONNECTION_IDLE:
        return limits->idle_timeout_us;
    case CONNECTION_HEAD:
        return limits->header_timeout_us;
    default:
        return gateway_is_pressed(connection->worker->gateway) ? CONNECTION_STALL_PRESSED_US
                                                               : CONNECTION_STALL_US;
    }
}

/* Notes a change of phase. The timer is set where its bound becomes nearer; otherwise it finds out
 * when it fires, which spares setting it for every request. */
void connection_note_phase(struct connection *connection) {
    enum connection_phase phase = connection_phase_now(connection);
    if (phase == connection->phase)
        return;
    connection->phase = phase;
    connection->phase_us = loop_now_us(connection->worker->loop);
    if (phase == CONNECTION_HEAD && !connection->lingering)
        loop_timer_set(connection->worker->loop, &connection->timer,
                       connection_limit_us(connection));
}

/* Asks a client that has long been silent whether it is there. How soon to look again; 0: it is
 * gone. */
static uint64_t connection_look_after(struct connection *connection) {
    const struct keepalive *keepalive = &connection->worker->gateway->limits.keepalive;
    uint64_t now_us = loop_now_us(connection->worker->loop);
    if (keepalive->after_us == 0 || !connection->protocol->ask)
        return UINT64_MAX;
    if (connection->asked_us > connection->heard_us) {
        uint64_t end_us = connection->asked_us + keepalive->timeout_us;
        return end_us > now_us ? end_us - now_us : 0;
    }
    uint64_t ask_us = connection->heard_us + keepalive->after_us;
    if (ask_us > now_us)
        return ask_us - now_us;
    connection->asked_us = now_us;
    connection->protocol->ask(connection);
    return keepalive->timeout_us;
}

/* Sets the timer; no later than a client that falls silent is to be asked. */
static void connection_set_timer(struct connection *connection, uint64_t delay_us) {
    uint64_t after_us = connection->worker->gateway->limits.keepalive.after_us;
    loop_timer_set(connection->worker->loop, &connection->timer,
                   after_us > 0 && after_us < delay_us ? after_us : delay_us);
}

/* Begins the connection's time. */
static void connection_begin(struct connection *connection) {
    connection->phase_us = connection->progress_us = connection->heard_us =
        loop_now_us(connection->worker->loop);
    connection_set_timer(connection, connection_limit_us(connection));
}

void connection_penalize(struct connection *connection) {
    struct worker *worker = connection->worker;
    struct gateway *gateway = worker->gateway;
    if (connection->peer.trusted || !penalty_is_due(gateway->penalties, &connection->peer.ip))
        return;
    connection->delayed = true;
    loop_timer_set(worker->loop, &connection->timer, gateway->limits.penalty_us);
    metric_add(gateway_metrics_series(gateway->metrics)->connections_delayed, 1);
    connection_watch(connection);
}

static void connection_timer_fired(struct loop_timer *timer) {
    struct connection *connection = connection_of_timer(timer);
    if (connection->delayed) {
        connection->delayed = false;
        connection_begin(connection);
        connection_watch(connection);
        return;
    }
    if (connection->lingering) {
        connection_close(connection);
        return;
    }
    connection_note_phase(connection);
    uint64_t now_us = loop_now_us(connection->worker->loop);
    uint64_t limit_us = connection_limit_us(connection);
    uint64_t since_us = connection->phase_us, look_us = UINT64_MAX;
    if (connection->phase == CONNECTION_BUSY) {
        since_us = connection_waiting(connection) ? connection->progress_us : now_us;
        look_us = connection_look_after(connection);
    }
    if (now_us - since_us >= limit_us || look_us == 0) {
        connection_close(connection);
        return;
    }
    uint64_t left_us = limit_us - (now_us - since_us);
    connection_set_timer(connection, left_us < look_us ? left_us : look_us);
}

/* Sends what waits; false when the connection was closed. */
static bool connection_send(struct connection *connection) {
    struct outbox *out = &connection->out;
    size_t waiting = outbox_waiting(out), tail = out->tail.size;
    bool is_lent = out->lent_count > 0 || tail > 0;
    if (!outbox_write(out, &connection->transport, CONNECTION_OUT_KEEP)) {
        connection_close(connection);
        return false;
    }
    if (outbox_waiting(out) < waiting)
        connection->progress_us = loop_now_us(connection->worker->loop);
    if (is_lent)
        connection->protocol->sent(connection, tail - out->tail.size);
    return true;
}

/* Tells whether others are read first: who floods, and who was never answered, as floods come by
 * connections of their own. */
static bool connection_is_late(const struct connection *connection) {
    return !connection->proven || connection->wary || connection->dribbles;
}

/* Has the connection served once everybody else has had a turn. */
static void connection_queue_turn(struct connection *connection) {
    loop_job_queue(connection->worker->loop, &connection->turn,
                   connection_is_late(connection) ? LOOP_LAST : LOOP_NEXT);
}

void connection_watch(struct connection *connection) {
    struct loop *loop = connection->worker->loop;
    uint32_t events = 0;
    if (connection->delayed) {
        loop_source_change(loop, &connection->source, events);
        return;
    }
    if (connection->unfinished)
        connection_queue_turn(connection);
    if (!connection->input_ended && (!connection->input_paused || connection->lingering)) {
        bool has_more = connection->protocol && connection->held.size > 0;
        if (has_more || transport_has_pending(&connection->transport))
            connection_queue_turn(connection);
        if (!connection->turn.link)
            events |= EPOLLIN;
    } else if (!connection->hung_up && !connection->input_ended) {
        events |= EPOLLRDHUP; /* what is not read would hide it */
    }
    if (connection_waiting(connection) || connection->transport.wants_write)
        events |= EPOLLOUT;
    /* What waits for its turn anyway must not be told of in each. */
    if (connection_is_late(connection))
        events |= EPOLLONESHOT;
    loop_source_change(loop, &connection->source, events);
}

/* All is said. Where the client may still be sending, the socket is kept for a while: closing it
 * now would make the system throw away what the client has not yet read. */
static void connection_end(struct connection *connection) {
    if (!connection->linger || connection->input_ended) {
        connection_close(connection);
        return;
    }
    connection->lingering = true;
    transport_end_writing(&connection->transport);
    loop_timer_set(connection->worker->loop, &connection->timer, CONNECTION_LINGER_US);
    connection_watch(connection);
}

/* Sends until the socket takes no more, there is no more, or the turn is over; false when the
 * connection was closed. */
static bool connection_fill_and_send(struct connection *connection) {
    connection->unfinished = false;
    for (int round = 0; !connection->unfinished; round++) {
        connection->unfinished = round == CONNECTION_TURN_ROUNDS;
        if (connection->protocol)
            connection->protocol->fill(connection);
        if (outbox_has_failed(&connection->out)) {
            connection_close(connection);
            return false;
        }
        if (connection_waiting(connection) == 0)
            break;
        if (!connection_send(connection))
            return false;
        if (connection_waiting(connection) > 0)
            break;
    }
    return true;
}

static void connection_flush(struct loop_task *task) {
    struct connection *connection =
        (struct connection *)((char *)task - offsetof(struct connection, flush));
    if (connection->closed)
        return;
    if (connection->lingering) {
        connection_watch(connection);
        return;
    }
    if (connection_waiting(connection) == 0)
        connection->progress_us = loop_now_us(connection->worker->loop);
    if (!connection_fill_and_send(connection))
        return;
    if (connection_waiting(connection) == 0 && connection->over && !connection->unfinished) {
        connection_end(connection);
        return;
    }
    connection_note_phase(connection);
    connection_watch(connection);
}

static void connection_read_late(struct loop_job *job) {
    connection_read((struct connection *)((char *)job - offsetof(struct connection, turn)));
}

static void connection_ready(struct loop_source *source, uint32_t events) {
    struct connection *connection =
        (struct connection *)((char *)source - offsetof(struct connection, source));
    /* Both directions are dead; what was still to be read does not matter. */
    if ((events & (EPOLLERR | EPOLLHUP)) && !(events & EPOLLIN)) {
        connection_close(connection);
        return;
    }
    if ((events & EPOLLIN) || connection->transport.wants_write) {
        bool is_late = connection_is_late(connection);
        if (!is_late)
            loop_note_served(connection->worker->loop);
        if (is_late || connection->crowded)
            connection_queue_turn(connection);
        else if (!connection->turn.link)
            connection_read(connection);
        return;
    }
    if ((events & EPOLLRDHUP) && connection->input_paused) {
        connection->hung_up = true;
        connection->protocol->hung_up(connection);
    }
    if (connection->closed)
        return;
    /* An answer that does not fit the socket is large: small ones go first. */
    if (events & EPOLLOUT)
        connection_queue_turn(connection);
    else if (events & EPOLLRDHUP)
        connection_wake(connection);
}

void connection_drain(struct connection *connection) {
    if (connection->protocol)
        connection->protocol->drain(connection);
    else
        connection->over = true;
    connection_wake(connection);
}

/* Half-open handshakes cost memory and are made for nothing: beyond the bound the oldest goes,
 * which leaves every client that is not slower than the flood its time. */
static void connection_begin_handshake(struct connection *connection) {
    struct worker *worker = connection->worker;
    if (worker->handshake_count >= worker->gateway->limits.handshakes_max) {
        metric_add(gateway_metrics_series(worker->gateway->metrics)->handshakes_dropped, 1);
        connection_close(worker->handshakes);
    }
    connection_enter_handshake(connection);
}

void connection_open(struct worker *worker, int fd, struct tls *tls, const struct peer *peer) {
    struct connection *connection = memory_zalloc(1, sizeof(*connection));
    if (!connection || transport_init(&connection->transport, fd, tls) != SYNC_OK) {
        memory_free(connection);
        transport_done(&(struct transport){.fd = fd});
        client_disconnect(worker->gateway->clients, peer->client);
        return;
    }
    connection->worker = worker;
    connection->peer = *peer;
    connection->awaits_proxy = worker->gateway->proxy_protocol && peer->trusted;
    connection->source = (struct loop_source){.fd = fd, .ready = connection_ready};
    connection->timer.fire = connection_timer_fired;
    connection->flush.run = connection_flush;
    connection->grave.run = connection_free;
    connection->turn.run = connection_read_late;
    connection->turn_bytes = CONNECTION_TURN_BYTES_MIN;
    outbox_init(&connection->out, CONNECTION_OUT_MAX, worker->lent, tls != NULL);
    buffer_init(&connection->identity, CONNECTION_IDENTITY_MAX);
    buffer_init(&connection->held, CONNECTION_HELD_MAX);
    if (loop_source_add(worker->loop, &connection->source, EPOLLIN | EPOLLONESHOT) != SYNC_OK) {
        transport_done(&connection->transport);
        memory_free(connection);
        client_disconnect(worker->gateway->clients, peer->client);
        return;
    }
    connection->phase = tls ? CONNECTION_HANDSHAKE : CONNECTION_HEAD;
    connection_begin(connection);
    connection_penalize(connection);
    connection->next = worker->connections;
    connection->link = &worker->connections;
    if (connection->next)
        connection->next->link = &connection->next;
    worker->connections = connection;
    if (tls)
        connection_begin_handshake(connection);
    atomic_fetch_add(&worker->gateway->connections, 1);
    metric_add(gateway_metrics_series(worker->gateway->metrics)->connections, 1);
}
