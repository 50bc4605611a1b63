/* Channel: connections to one gRPC target, shared by any number of calls and threads.
 *
 * A channel connects on first use, reconnects by itself and lives until it is closed; make one per
 * target, not one per call. All functions are thread-safe, but for open and close. */
#ifndef CLIENT_STUB_CHANNEL_H
#define CLIENT_STUB_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "client/stub/status.h"

struct stub_channel;

/* Certificates in PEM, for TLS. */
struct stub_tls {
    const char *roots;             /* NULL: those of the system */
    const char *certificate, *key; /* of the client (mTLS); both or neither */
    const char *server_name;       /* expected in the server's certificate; NULL: the target's */
};

/* Gives the token for a call: writes at most `size` bytes of NUL-terminated text, without
 * "Bearer". False: the call fails with UNAUTHENTICATED. Called before each attempt of each call, on
 * the thread that starts it (on a retry: one of the channel's loop); it does not block long. */
typedef bool stub_token(void *context, char *ret_token, size_t size);

enum { STUB_TOKEN_MAX = 8 << 10, STUB_RETRY_CODES_MAX = 8 };

/* How calls that may be repeated are retried: those whose method the proto marks idempotent
 * (`idempotency_level`), and any call that says so. Full jitter: before attempt n the wait is
 * random in [0, min(backoff_max_ms, backoff_ms × multiplier^(n-1))], or what the server's RetryInfo
 * or `grpc-retry-pushback-ms` says when that is longer. A call is never retried beyond its
 * deadline, nor once a message of its answer has come. */
struct stub_retry {
    unsigned attempts_max; /* the first included; 0 or 1: no retry */
    uint32_t backoff_ms, backoff_max_ms;
    double multiplier;
    enum stub_code codes[STUB_RETRY_CODES_MAX]; /* zero-terminated when fewer */
};

/* 4 attempts, 100 ms doubling to 5 s, UNAVAILABLE alone. */
extern const struct stub_retry stub_retry_default;

/* Everything copied but the callback's context, which outlives the channel. */
struct stub_channel_options {
    const char *target;         /* "HOST:PORT" or "unix:PATH" */
    const struct stub_tls *tls; /* NULL: cleartext, for loopback and Unix sockets */
    stub_token *token;          /* NULL: none */
    void *token_context;
    const struct stub_retry *retry; /* NULL: stub_retry_default */
    size_t message_bytes_max;       /* received; 0: 64 MiB */
    uint32_t keepalive_ms;          /* pings while calls are open; 0: none */
    const char *user_agent;         /* goes before the library's; NULL: none */
};

/* Opens. Connects nothing yet. STUB_INVALID_ARGUMENT (with a message in `ret_status`, when given)
 * for a target, certificate or policy that cannot be. */
enum stub_code stub_channel_open(const struct stub_channel_options *options,
                                 struct stub_status *ret_status, struct stub_channel **ret_channel);

/* Closes; returns NULL. Every call of the channel has ended before. NULL is allowed. */
struct stub_channel *stub_channel_close(struct stub_channel *channel);

#endif
