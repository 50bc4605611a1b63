/* Message: packing for the wire, and unpacking what came from it. Thread-safe. For client/stub
 * alone. */
#ifndef CLIENT_STUB_MESSAGE_H
#define CLIENT_STUB_MESSAGE_H

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include "base/bytes.h"
#include "client/stub/status.h"

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/* Packs straight into a slice, which is the caller's to unref. False when it is too large for
 * gRPC. */
bool message_pack(const struct ProtobufCMessage *message, grpc_slice *ret_packed);

/* Unpacks a received message of at most `bytes_max` bytes, decompressed where it is compressed,
 * after checking it (see base/wire.h). The
 * result is one chain of memory for stub_message_free. On failure STUB_RESOURCE_EXHAUSTED or
 * STUB_INTERNAL with a sentence in `error`. */
enum stub_code message_unpack(const grpc_byte_buffer *received,
                              const struct ProtobufCMessageDescriptor *descriptor, size_t bytes_max,
                              struct sync_error *error, struct ProtobufCMessage **ret_message);

#endif
