/* Server: the gRPC service on a Unix socket and, when wanted, a loopback port.
 *
 * libgrpc faces no network that is not ours: an address elsewhere needs `allow_remote`. One
 * completion queue and one thread each `threads`; handlers run on the service's pool. */
#ifndef SERVICE_RPC_SERVER_H
#define SERVICE_RPC_SERVER_H

#include "service/rpc/call.h"

struct rpc_server;

struct rpc_server_options {
    struct service *service;          /* outlives the server */
    const struct rpc_method *methods; /* outlive the server */
    size_t method_count;
    unsigned threads;
    const char *unix_path; /* NULL: none. Its folder exists */
    const char *address;   /* HOST:PORT, port 0 for any; NULL: none */
    bool allow_remote;
    /* Of messages received and not yet released, of all calls; beyond it the library ends calls
     * that are in the middle of theirs. 0: MESSAGES_BYTES_MAX. */
    size_t messages_bytes_max;
    uint64_t request_timeout_ms; /* for a request's message to come whole; 0: 60 s */
    /* At a drain, for clients to take how their calls ended, and to hang up; 0:
     * STREAM_END_PATIENCE_MS. */
    uint64_t close_grace_ms;
    size_t answers_bytes_max; /* of large answers that clients have yet to take; 0: 512 MiB */
    struct log *audit_log;    /* NULL: none */
};

/* Binds and starts. On failure `error` holds one line for the operator: a socket or port that is in
 * use, an address that is none. The signals that the program handles are blocked before. */
enum sync_status rpc_server_open(const struct rpc_server_options *options, struct sync_error *error,
                                 struct rpc_server **ret_server);

/* The port that is bound, 0 without one. */
int rpc_server_port(const struct rpc_server *server);

/* Tells the streams that wait (rpc_call_watch_leave) and lets them end, in the options' time. Then
 * takes no more calls and waits for those under way: `grace_ms`, then they are cancelled, and once
 * more `grace_ms` for their handlers to notice. Clients hang up once they have heard; who does not
 * in the options' time is cut. False when calls still run: then the server cannot be closed, and
 * the process should end without. */
bool rpc_server_drain(struct rpc_server *server, uint64_t grace_ms);

/* Closes a drained server; returns NULL. */
struct rpc_server *rpc_server_close(struct rpc_server *server);

#endif
