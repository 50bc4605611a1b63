/* Worker: one thread with its loop, its listeners, its connections and its way to the service. */
#ifndef GATEWAY_WORKER_H
#define GATEWAY_WORKER_H

#include "base/random_pool.h"
#include "gateway/compress.h"
#include "gateway/gateway.h"
#include "gateway/loop.h"
#include "gateway/outbox.h"
#include "gateway/upstream.h"

enum { WORKER_SCRATCH_SIZE = 128 << 10, WORKER_DATE_SIZE = 29 };

struct connection;
struct exchange;
struct listener;
struct offload;

/* Fields are read by the gateway's files; one thread. */
struct worker {
    struct gateway *gateway;
    struct api *api; /* held; what new requests are served by */
    struct loop *loop;
    struct upstream *upstream;
    struct compressor *compressor;
    struct offload *offload;              /* for long bodies; NULL: the loop's thread does it */
    struct random_pool random;            /* for ids of requests and traces */
    struct listener *http, *grpc, *https; /* NULL where not listening */
    struct connection *connections;
    struct connection *handshakes, **handshakes_tail; /* TLS not yet agreed on, oldest first */
    unsigned handshake_count;
    struct exchange *spare_exchanges; /* for the next requests */
    unsigned spare_exchange_count;
    struct buffer spare_body; /* of a request, for the next: it has its room and is warm */
    bool draining;
    struct outbox_part lent[OUTBOX_LENT_MAX]; /* of the connection that is being written to */
    uint8_t *scratch;          /* WORKER_SCRATCH_SIZE bytes for what is read from clients */
    uint8_t *upstream_scratch; /* the same for what is read from the service */
    char date[WORKER_DATE_SIZE + 1];
    uint64_t date_s; /* the second that `date` tells */
};

/* Opens a worker on listening sockets, -1 where there is none; it owns them from then on, also when
 * this fails. */
enum sync_status worker_open(struct gateway *gateway, int http_fd, int grpc_fd, int https_fd,
                             struct worker **ret_worker);

/* Starts the thread. SYNC_ERR_IO when the system refuses. */
enum sync_status worker_start(struct worker *worker);

/* Has the thread serve new requests by another API, of which it takes a hold. Any thread that has
 * one. */
void worker_adopt(struct worker *worker, struct api *api);

/* Asks the thread to take no new connections, finish what is in flight and end. Any thread. */
void worker_drain(struct worker *worker);

/* Waits for the thread. */
void worker_join(struct worker *worker);

/* Closes; the thread has ended or never began. Returns NULL. */
struct worker *worker_close(struct worker *worker);

/* The Date header of now. Lives until the next call. */
struct slice worker_date(struct worker *worker);

#endif
