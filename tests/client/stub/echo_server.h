/* Echo server: a raw libgrpc server that answers any method as its callers' metadata ask, one
 * thread per call. Ends the test program when a step of its own fails.
 *
 * Metadata of a call, each optional, as decimal numbers where they count something:
 *   x-fail-times      the first so many calls of the server fail at once, with what follows
 *   x-code, x-message, x-details-bin, x-pushback    how the call ends
 *   x-delay-ms        waits before anything else, unless the call is cancelled
 *   x-initial-delay-ms    waits with the server's metadata
 *   x-echo-initial, x-echo-trailing-bin    come back as initial and trailing metadata
 *   x-end-delay-ms    waits between the last answer and the status
 *   x-compress        compresses the answers so ("gzip", "deflate")
 *   x-answers         so many messages, each of x-size bytes of `value`, after the first request
 *                     message (default: one for each request message, the same bytes,
 *                     compressed if it was)
 *   x-read-all        answers after the last request message, with its bytes
 *   x-garbage         answers bytes that parse as no message
 *   x-no-answer       ends without a message
 *   x-cut-after       after so many answers, cuts all connections
 *   x-hold            after the answers, waits until the call is cancelled */
#ifndef TESTS_CLIENT_STUB_ECHO_SERVER_H
#define TESTS_CLIENT_STUB_ECHO_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct echo_server;

/* PEM, for TLS with client certificates required when `roots` is given. */
struct echo_server_tls {
    const char *certificate, *key, *roots;
};

/* Listens on a port of the loopback that the system chooses. `tls` may be NULL. */
struct echo_server *echo_server_open(const struct echo_server_tls *tls);

/* Cancels what is under way and closes; returns NULL. NULL is allowed. */
struct echo_server *echo_server_close(struct echo_server *server);

/* "127.0.0.1:PORT"; lives as long as the server. */
const char *echo_server_target(const struct echo_server *server);

/* Calls that have come. */
unsigned echo_server_calls(struct echo_server *server);

/* Calls whose handlers saw that their client cancelled. */
unsigned echo_server_cancelled(struct echo_server *server);

/* Messages that came compressed. */
unsigned echo_server_compressed(struct echo_server *server);

/* Calls under way now. */
unsigned echo_server_running(struct echo_server *server);

/* Bytes of messages read. */
size_t echo_server_bytes(struct echo_server *server);

/* The last value of a key among the metadata of all calls; "" when it never came. Lives until the
 * next call of this function. */
const char *echo_server_seen(struct echo_server *server, const char *key);

/* Cuts all connections. */
void echo_server_cut(struct echo_server *server);

/* With true, connections are cut as soon as they come. */
void echo_server_refuse(struct echo_server *server, bool refuses);

#endif
