/* Metadata: what may be sent with a call. For client/stub alone. */
#ifndef CLIENT_STUB_METADATA_H
#define CLIENT_STUB_METADATA_H

#include "base/bytes.h"
#include "client/stub/status.h"

/* Why the entries may not be sent, as a static sentence; NULL when they may. */
const char *metadata_fault(const struct stub_metadata *entries, size_t count);

/* Tells whether an entry has this key. */
bool metadata_has(const struct stub_metadata *entries, size_t count, const char *key);

/* Tells whether a token can stand in a header. */
bool metadata_is_token(struct slice token);

#endif
