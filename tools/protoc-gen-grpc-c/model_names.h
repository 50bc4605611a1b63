/* Model names: chooses what the services of a model and their methods are called in C. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_MODEL_NAMES_H
#define TOOLS_PROTOC_GEN_GRPC_C_MODEL_NAMES_H

#include "tools/protoc-gen-grpc-c/model.h"

/* Fills `base`, `upper` and `field` of all services and methods. SYNC_ERR_EXISTS, with a sentence
 * that names both, when two services want one name. */
enum sync_status model_names_choose(struct arena *arena, const char *prefix,
                                    struct sync_error *error, struct model *model);

#endif
