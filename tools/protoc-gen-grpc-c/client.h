/* Client: the functions that a method gets on client/stub, as templates. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_CLIENT_H
#define TOOLS_PROTOC_GEN_GRPC_C_CLIENT_H

#include "tools/protoc-gen-grpc-c/emit.h"

/* In the order in which a header shows them. */
extern const struct emit_function client_functions[];
extern const size_t client_functions_count;

#endif
