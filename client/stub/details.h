/* Details: google.rpc.Status as packed in `grpc-status-details-bin`, read without unpacking it.
 * Malformed details count as none from there on. For client/stub alone. */
#ifndef CLIENT_STUB_DETAILS_H
#define CLIENT_STUB_DETAILS_H

#include "base/arena.h"
#include "client/stub/status.h"

#define DETAILS_KEY "grpc-status-details-bin"

/* How long the server wants the client to wait (RetryInfo), rounded up; 0 without. */
uint64_t details_retry_ms(struct slice packed);

/* Copies text into the arena, with what is no UTF-8 replaced, up to a NUL. NULL without memory. */
char *details_text(struct arena *arena, struct slice text);

/* Decodes into the status, whose memory is the arena. False without memory. */
bool details_decode(struct slice packed, struct arena *arena, struct stub_status *status);

#endif
