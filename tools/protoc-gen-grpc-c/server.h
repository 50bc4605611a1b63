/* Server: the functions that a method gets on service/rpc, as templates. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_SERVER_H
#define TOOLS_PROTOC_GEN_GRPC_C_SERVER_H

#include "tools/protoc-gen-grpc-c/emit.h"

/* In the order in which a header shows them. */
extern const struct emit_function server_functions[];
extern const size_t server_functions_count;

#endif
