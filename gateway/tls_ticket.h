/* TLS tickets: the keys that session tickets are sealed with (RFC 8446 section 4.6.1, RFC 5077).
 * A key seals for one lifetime and opens for another; all threads share it. Used by
 * gateway/tls alone. */
#ifndef GATEWAY_TLS_TICKET_H
#define GATEWAY_TLS_TICKET_H

#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/status.h"

struct tls_tickets;

/* Opens with a first key. Clock and source outlive it. SYNC_ERR_NO_MEMORY. */
enum sync_status tls_tickets_open(uint64_t lifetime_us, const struct clock *clock,
                                  const struct random_source *random,
                                  struct tls_tickets **ret_tickets);

/* Closes once no connection uses it; returns NULL. */
struct tls_tickets *tls_tickets_close(struct tls_tickets *tickets);

/* Seals and opens the tickets of a context, which the tickets outlive. */
void tls_tickets_serve(struct tls_tickets *tickets, SSL_CTX *context);

/* Forgets all keys: no ticket given out before opens any more. Thread-safe. */
void tls_tickets_forget(struct tls_tickets *tickets);

#endif
