/* Plugin: from protoc's request to its answer. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_PLUGIN_H
#define TOOLS_PROTOC_GEN_GRPC_C_PLUGIN_H

#include "base/bytes.h"

enum { PLUGIN_BYTES_MAX = 256 << 20 }; /* of a request, and of what is made of it */

/* Answers a packed CodeGeneratorRequest by a packed CodeGeneratorResponse in `out`: the files, or
 * an error for the user of protoc. A status other than SYNC_OK means that the request itself was
 * malformed or too large (`error` says which), and `out` is empty. */
enum sync_status plugin_answer(struct slice request, struct buffer *out, struct sync_error *error);

#endif
