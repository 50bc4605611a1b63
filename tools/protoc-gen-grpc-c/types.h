/* Types: the messages of a request by their full names, as protoc-c has them. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_TYPES_H
#define TOOLS_PROTOC_GEN_GRPC_C_TYPES_H

#include "tools/protoc-gen-grpc-c/model.h"

struct types;

/* Collects the messages of all files, nested ones too. Lives in the arena, as does all it gives;
 * borrows from the request. NULL: the arena has no room. */
struct types *types_build(struct arena *arena,
                          const Google__Protobuf__Compiler__CodeGeneratorRequest *request);

/* Finds what a method names (".travelsense.sync.v1.Record"). SYNC_ERR_NOT_FOUND,
 * SYNC_ERR_NO_MEMORY. */
enum sync_status types_find(struct types *types, const char *type_name,
                            struct model_message *ret_message);

/* A path without its ".proto" at the end; NULL: no room. */
char *types_stem(struct arena *arena, const char *path);

#endif
