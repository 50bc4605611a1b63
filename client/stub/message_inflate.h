/* Message, decompressed: gzip and deflate within a bound, which the library does not have. For
 * client/stub alone. */
#ifndef CLIENT_STUB_MESSAGE_INFLATE_H
#define CLIENT_STUB_MESSAGE_INFLATE_H

#include <grpc/byte_buffer.h>

#include "base/bytes.h"
#include "client/stub/status.h"

/* Decompresses a received message into `flat`, which is open and empty and has the bound. On
 * failure STUB_RESOURCE_EXHAUSTED (beyond the bound, or without memory) or STUB_INTERNAL (no whole
 * stream of its coding) with a sentence in `error`. Thread-safe. */
enum stub_code message_inflate(const grpc_byte_buffer *received, struct buffer *flat,
                               struct sync_error *error);

#endif
