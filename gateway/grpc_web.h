/* gRPC-Web: what it has beside gRPC (PROTOCOL-WEB.md of grpc): trailers as a frame of the body, and
 * bodies in base64. Pure. */
#ifndef GATEWAY_GRPC_WEB_H
#define GATEWAY_GRPC_WEB_H

#include <stdbool.h>

#include "base/bytes.h"
#include "gateway/transcode.h"

enum grpc_web_form {
    GRPC_WEB_NONE,   /* another content type */
    GRPC_WEB_BINARY, /* application/grpc-web */
    GRPC_WEB_TEXT,   /* application/grpc-web-text: base64 */
};

/* Reads a content type. */
enum grpc_web_form grpc_web_form_of(struct slice content_type);

/* Decodes base64 as it comes: pieces cut anywhere, each flush of the sender padded or not. Zeroed
 * to begin with. */
struct grpc_web_decoder {
    uint32_t bits;
    uint8_t count;   /* characters of the quartet */
    uint8_t padding; /* of them */
};

/* Appends what a piece holds. False when it is not base64; a failure of `out` is told by
 * buffer_status alone. */
bool grpc_web_decode(struct grpc_web_decoder *decoder, struct slice text, struct buffer *out);

/* Tells whether the text may end here. */
bool grpc_web_decode_at_end(const struct grpc_web_decoder *decoder);

/* Appends the frame of the trailers. */
void grpc_web_trailers_write(struct buffer *out, const struct transcode_header *list, size_t count);

#endif
