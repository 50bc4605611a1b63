/* Connection: one client's socket, and the protocol spoken on it. One thread. */
#ifndef GATEWAY_CONNECTION_H
#define GATEWAY_CONNECTION_H

#include <stdbool.h>

#include "base/bytes.h"
#include "gateway/loop.h"
#include "gateway/outbox.h"
#include "gateway/peer.h"
#include "gateway/tls.h"
#include "gateway/worker.h"

struct connection;

/* What a connection waits for; each has its own bound in time. */
enum connection_phase {
    CONNECTION_HANDSHAKE, /* for TLS to be agreed on: the handshake timeout */
    CONNECTION_IDLE,      /* for a request: the idle timeout */
    CONNECTION_HEAD,      /* for the rest of something small: the header timeout */
    CONNECTION_BUSY,      /* for a body or an answer, which keep their own time */
};

/* A protocol's side of a connection. */
struct connection_protocol {
    /* Takes bytes that the client sent, and tells how many: the others are given again when it is
     * the connection's turn. */
    size_t (*receive)(struct connection *connection, struct slice bytes);
    /* The client will send no more. */
    void (*end_of_input)(struct connection *connection);
    /* The client will send no more than waits to be read, while the input is paused; at most once.
     * NULL where it never is. */
    void (*hung_up)(struct connection *connection);
    /* Puts what is to be sent into `out`, up to connection_has_room. It is written then, or the
     * connection closed. What exceeds a turn makes the connection unfinished. */
    void (*fill)(struct connection *connection);
    /* What is waited for. */
    enum connection_phase (*phase)(const struct connection *connection);
    /* Asks the client whether it is there, so that it answers; NULL where there is no way to. */
    void (*ask)(struct connection *connection);
    /* Finishes what is in flight, then ends. */
    void (*drain)(struct connection *connection);
    /* Frees the protocol's state. */
    void (*close)(struct connection *connection);
    /* Something was lent to `out`: it is sent or copied, and so many bytes of the tail are sent. */
    void (*sent)(struct connection *connection, size_t size);
};

/* Fields are for the protocols and connection.c. */
struct connection {
    struct worker *worker;
    struct connection *next, **link;
    struct loop_source source;
    struct loop_timer timer;
    struct loop_task flush, grave;
    struct loop_job turn; /* queued while it waits behind others */
    struct transport transport;
    struct peer peer;
    struct connection *handshake_next, **handshake_link; /* link: NULL once TLS is agreed on */
    const struct connection_protocol *protocol;          /* NULL until the first bytes tell */
    void *state;                                         /* the protocol's */
    struct outbox out;                                   /* for the socket; a tail in clear alone */
    struct buffer held;  /* bytes that do not yet tell the protocol, or exceed the turn */
    uint32_t turn_bytes; /* read in one turn; more for who keeps sending */
    enum connection_phase phase;
    uint64_t phase_us;    /* when it began */
    uint64_t progress_us; /* when bytes last left, or none were waiting */
    uint64_t heard_us;    /* when bytes last came */
    uint64_t asked_us;    /* when the client was last asked whether it is there */
    bool unfinished;      /* there is more to do than one turn has time for */
    bool input_ended;     /* the client will send no more */
    bool hung_up;         /* nor more than is still to be read */
    bool input_paused;    /* the protocol has no room for more */
    bool over;            /* close once `out` is sent */
    bool linger;          /* then read on for a while, so that the client sees the answer */
    bool lingering;
    bool proven;   /* the client was answered: it is read before those who were not */
    bool wary;     /* the client keeps us busy for little: it gets little of a turn */
    bool crowded;  /* the client lately sent more than one turn takes: small requests go first */
    bool dribbles; /* the client sends many pieces of a few bytes at once */
    bool awaits_proxy; /* the PROXY protocol's header comes first */
    bool delayed;      /* nothing is read yet, for what others of its address did */
    bool closed;
    struct buffer identity; /* what peer.identity borrows */
};

/* Takes over an accepted socket and the peer's client; on failure both are given back. `tls` NULL
 * is in clear. */
void connection_open(struct worker *worker, int fd, struct tls *tls, const struct peer *peer);

/* Closes at once: exchanges are cancelled, memory goes at the end of the turn. */
void connection_close(struct connection *connection);

/* Asks for a flush at the end of the turn. */
void connection_wake(struct connection *connection);

/* Lets what is in flight finish, then closes. */
void connection_drain(struct connection *connection);

/* Tells whether `out` takes more before the socket must. */
bool connection_has_room(const struct connection *connection);

#endif
