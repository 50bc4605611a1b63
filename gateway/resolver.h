/* Resolver: where the backends are. It reads a list of addresses and names, and looks the names up
 * in a thread of its own, again and again, so that no event loop ever waits for DNS. */
#ifndef GATEWAY_RESOLVER_H
#define GATEWAY_RESOLVER_H

#include "base/log.h"
#include "gateway/address.h"

enum {
    RESOLVER_TARGETS_MAX = 32,
    RESOLVER_ADDRESSES_MAX = 32, /* of all targets together */
};

struct resolver;

/* Where a backend is, and by which name it goes. */
struct resolver_address {
    struct address address;
    char host[ADDRESS_TEXT_MAX];      /* as the list has it; "localhost" for a Unix socket */
    char authority[ADDRESS_TEXT_MAX]; /* the host and port for HTTP */
};

/* Finds the addresses of a host, at most `max`: their count, or -1. May block. */
typedef int resolver_lookup(const char *host, const char *port, struct address *ret_addresses,
                            int max);

struct resolver_options {
    const char *targets; /* "HOST:PORT", "[V6]:PORT" or "unix:PATH", separated by commas */
    /* Refuse what other machines could read on the way: only Unix sockets and loopback are taken,
     * and of names only "localhost". */
    bool only_local;
    resolver_lookup *lookup; /* NULL: the system's */
    uint64_t refresh_us;     /* between looking up names; 0: every 30 s */
    struct log *log;         /* NULL: silent */
};

/* Reads the list. SYNC_ERR_INVALID with one clear line in `error` that quotes what is wrong. Texts
 * are copied. */
enum sync_status resolver_open(const struct resolver_options *options, struct sync_error *error,
                               struct resolver **ret_resolver);

/* Starts to look names up, and waits for the first answers, but not longer than 2 s. Does nothing
 * when the list has no names. SYNC_ERR_IO when there is no thread. Once. */
enum sync_status resolver_start(struct resolver *resolver);

/* Closes; returns NULL. A lookup under way ends in the background. */
struct resolver *resolver_close(struct resolver *resolver);

/* A number that changes whenever the addresses do. Any thread. */
unsigned resolver_generation(const struct resolver *resolver);

/* Copies the addresses, each once, and tells their count. Any thread. */
size_t resolver_addresses(struct resolver *resolver,
                          struct resolver_address ret_addresses[RESOLVER_ADDRESSES_MAX]);

/* Asks that names be looked up soon, because a backend is away; at most once a second it is done.
 * Any thread. */
void resolver_ask(struct resolver *resolver);

#endif
