/* Channel: connections to one gRPC target, shared by any number of calls and threads.
 *
 * A channel connects on first use, reconnects by itself (after 100 ms, then up to 5 s apart) and
 * lives until it is closed; make one per target, not one per call. It has one connection to each
 * address of the target, its own even where another channel has the same target. Calls may be made
 * on it by any number of threads. A proxy that the environment names (http_proxy, no_proxy) is
 * used, but not to this machine.
 *
 * What the library complains of on stderr, statuses tell as well; GRPC_VERBOSITY=none in the
 * environment silences it. */
#ifndef CLIENT_STUB_CHANNEL_H
#define CLIENT_STUB_CHANNEL_H

#include <stdbool.h>
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
 * "Bearer". False, or a token with characters that no header may have: the call fails with
 * UNAUTHENTICATED and nothing is sent. Called before each attempt of each call, so that a renewed
 * token is used from then on; on the thread that starts the call (on a retry: the one that blocks
 * in it, or that runs its loop), so by several threads at once when calls are made by several. It
 * does not block long. Not called for a call whose own metadata have "authorization". */
typedef bool stub_token(void *context, char *ret_token, size_t size);

enum { STUB_TOKEN_MAX = 8 << 10 /* with its NUL */, STUB_RETRY_CODES_MAX = 8 };

/* How calls that may be repeated are retried: those whose method the proto marks idempotent
 * (`idempotency_level`), and any call that says so. Full jitter: before the n-th repetition the
 * wait is random in [0, min(backoff_max_ms, backoff_ms × multiplier^(n-1))], or what the server's
 * RetryInfo or `grpc-retry-pushback-ms` says when that is longer. Not retried: a call whose client
 * streams, one of whose answer a message has come, one whose wait would end after its deadline, one
 * whose server says so (a negative pushback) or asks for more than STUB_RETRY_HINT_MAX_MS; it fails
 * at once with what the last attempt told. The library's own retries are off. */
struct stub_retry {
    unsigned attempts_max; /* the first included; 0 or 1: no retry */
    uint32_t backoff_ms, backoff_max_ms;
    double multiplier;                          /* at least 1 */
    enum stub_code codes[STUB_RETRY_CODES_MAX]; /* zero-terminated when fewer */
};

enum { STUB_RETRY_HINT_MAX_MS = 60000 };

/* 4 attempts, 100 ms doubling to 5 s, UNAVAILABLE alone. */
extern const struct stub_retry stub_retry_default;

/* How messages are sent. What comes back is as the server likes, and within `message_bytes_max`
 * before and after it is decompressed. A message that would not become smaller goes as it is. A
 * server that takes no compressed messages (that of this project is one: it leaves compression to
 * the gateway) ends the call with UNIMPLEMENTED. */
enum stub_compression {
    STUB_COMPRESSION_DEFAULT, /* of a call: the channel's; of a channel: none */
    STUB_COMPRESSION_NONE,
    STUB_COMPRESSION_GZIP,
};

/* Everything is copied but the callback's context, which outlives the channel. */
struct stub_channel_options {
    const char *target;         /* "HOST:PORT", "[IPV6]:PORT" or "unix:PATH" */
    const struct stub_tls *tls; /* NULL: cleartext, for loopback and Unix sockets */
    stub_token *token;          /* NULL: none */
    void *token_context;
    const struct stub_retry *retry;    /* NULL: stub_retry_default */
    size_t message_bytes_max;          /* of a message received; 0: 64 MiB; at most 2 GiB - 1 */
    uint32_t keepalive_ms;             /* pings while calls are open; 0: none */
    enum stub_compression compression; /* of calls that do not say otherwise */
    const char *user_agent;            /* goes before the library's; NULL: none */
};

/* Opens. Connects nothing yet. STUB_INVALID_ARGUMENT (with a message in `ret_status`, when given)
 * for a target, certificate or policy that cannot be. */
enum stub_code stub_channel_open(const struct stub_channel_options *options,
                                 struct stub_status *ret_status, struct stub_channel **ret_channel);

/* Closes; returns NULL. Every call of the channel has ended or been closed before, though a closed
 * one may still have its end in the loop. NULL is allowed. */
struct stub_channel *stub_channel_close(struct stub_channel *channel);

#endif
