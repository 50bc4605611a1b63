/* Exchange: one request's life, from its head to the last byte of its answer, whatever HTTP it came
 * by.
 *
 * A protocol (http1_server, http2_server) opens an exchange, feeds it the request and takes the
 * answer; the exchange routes, transcodes, calls the service and transcodes back. One thread. A
 * sink is never called within the function that closes the exchange, and never closes it itself. */
#ifndef GATEWAY_EXCHANGE_H
#define GATEWAY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "gateway/peer.h"
#include "gateway/transcode.h"
#include "gateway/worker.h"

/* Counted for a request among what the gateway holds: what it takes beside its body and answer,
 * about. */
enum { EXCHANGE_BYTES = 12 << 10 };

struct exchange;

/* What an exchange tells the protocol. */
struct exchange_sink {
    /* The answer's head is known; some or all of the body may be there. Once. */
    void (*answered)(struct exchange *exchange, void *context);
    /* There is more of the body, or its end. */
    void (*more)(struct exchange *exchange, void *context);
    /* The answer cannot be completed: break it off so that the client sees it. */
    void (*broken)(struct exchange *exchange, void *context);
    /* So many bytes of a body that exchange_streams_body are done with: as many more may come. */
    void (*taken)(struct exchange *exchange, void *context, size_t size);
};

/* A request's head. Slices outlive the exchange, but for those given to exchange_copy. */
struct exchange_head {
    struct slice method, path, query;
    struct transcode_header *headers; /* names in lower case */
    size_t header_count;
    bool has_body;
    uint64_t content_length; /* UINT64_MAX when the body's length is not told */
};

/* The head of an answer. Slices live as long as the exchange. */
struct exchange_answer {
    int status;
    const struct transcode_header *headers;
    size_t header_count;
    bool has_length; /* content-length is among the headers */
    bool has_body;   /* false: no body may be sent, whatever content-length says */
};

/* Opens an exchange for one request; NULL without memory, or where requests hold as much as they
 * may. The peer outlives it. */
struct exchange *exchange_open(struct worker *worker, const struct exchange_sink *sink,
                               void *context, const struct peer *peer);

/* Sets what the sink is given, where it was not yet known. */
void exchange_set_context(struct exchange *exchange, void *context);

/* Ends it at any moment; a call to the service is cancelled, the request is counted and logged. */
void exchange_close(struct exchange *exchange);

/* Gives back an exchange that was not begun: something else answers its request. */
void exchange_discard(struct exchange *exchange);

/* Copies text to live as long as the exchange. False without memory. */
bool exchange_copy(struct exchange *exchange, struct slice text, struct slice *ret_copy);

/* `size` bytes that live as long as the exchange, or NULL. */
void *exchange_alloc(struct exchange *exchange, size_t size);

/* Counts anew what the exchange holds of its request and answer; false when the gateway holds more
 * than it may. Errors always pass. */
bool exchange_count(struct exchange *exchange);

/* Ends the call, since the gateway holds all that it may: answers so, or says so behind what the
 * answer has. */
void exchange_fail_buffers(struct exchange *exchange);

/* Takes the request's head. */
void exchange_begin(struct exchange *exchange, const struct exchange_head *head);

/* Takes some of the request's body. Ignored once an answer stands. */
void exchange_body(struct exchange *exchange, struct slice bytes);

/* Takes all of the request's body, which came at once: it is borrowed until this returns, and not
 * copied. Of a body that is handed on as it comes, or where any of it came before, use
 * exchange_body. exchange_end follows either. */
void exchange_whole_body(struct exchange *exchange, struct slice bytes);

/* Tells whether the body is handed on as it comes: what was given to exchange_body is then held
 * until the sink is told that it is taken. */
bool exchange_streams_body(const struct exchange *exchange);

/* The request is complete. */
void exchange_end(struct exchange *exchange);

/* Answers a request that is malformed as HTTP, or one too many, instead of beginning it or in the
 * middle of it. */
void exchange_refuse(struct exchange *exchange, int http_status, const char *message);

/* Tells whether the request is a call of a method, not of the gateway's own paths. */
bool exchange_is_call(const struct exchange *exchange);

/* Tells whether the answer stands, that is `answered` was called. */
bool exchange_is_answered(const struct exchange *exchange);

/* The answer's head, once answered. */
const struct exchange_answer *exchange_answer(const struct exchange *exchange);

/* The trailers of an answer that is complete, where its client takes any. */
const struct transcode_header *exchange_trailers(const struct exchange *exchange,
                                                 size_t *ret_count);

/* The bytes of the body that are ready. They live until exchange_take. */
struct slice exchange_ready(const struct exchange *exchange);

/* Counts bytes of exchange_ready as sent. */
void exchange_take(struct exchange *exchange, size_t size);

/* Tells whether all of the body was taken and no more will come. */
bool exchange_is_over(const struct exchange *exchange);

/* Tells whether no more of the body will come, though some may be ready. */
bool exchange_is_complete(const struct exchange *exchange);

/* Tells whether the answer is a stream of lines or events that is open: there may be nothing to
 * send for long, and its client has nothing more to say. */
bool exchange_is_live(const struct exchange *exchange);

/* The gateway stops: a live stream ends, telling so in its own form. */
void exchange_drain(struct exchange *exchange);

/* Gives back the exchanges that a worker keeps. */
void exchange_spares_free(struct worker *worker);

#endif
