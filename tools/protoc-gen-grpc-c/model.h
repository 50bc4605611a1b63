/* Model: what the generated files need to know of a request's services, with all names chosen.
 *
 * Everything lives in the arena given. Names of one model are distinct: inside a service a name
 * that is taken gets an underscore behind it; between services it is an error. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_MODEL_H
#define TOOLS_PROTOC_GEN_GRPC_C_MODEL_H

#include "base/arena.h"
#include "google/protobuf/compiler/plugin.pb-c.h"

/* Which side of a method streams. */
enum model_shape { SHAPE_UNARY, SHAPE_SERVER_STREAM, SHAPE_CLIENT_STREAM, SHAPE_BIDIRECTIONAL };

/* A message as protoc-c has it. */
struct model_message {
    const char *type;       /* "Travelsense__Sync__V1__Record" */
    const char *init;       /* its initializer */
    const char *descriptor; /* its descriptor's name */
    const char *header;     /* "travelsense/sync/v1/record.pb-c.h" */
};

/* A method. */
struct model_method {
    const char *name;    /* "GetRecord" */
    const char *base;    /* what its functions' names begin with: "record_service_get_record" */
    const char *field;   /* "get_record" */
    const char *path;    /* "/travelsense.sync.v1.RecordService/GetRecord" */
    const char *comment; /* of the proto, "" without */
    enum model_shape shape;
    bool is_idempotent, is_deprecated;
    struct model_message request, response;
};

/* A service. */
struct model_service {
    const char *full_name; /* "travelsense.sync.v1.RecordService" */
    const char *base;      /* "record_service", the prefix before it */
    const char *upper;     /* "RECORD_SERVICE" */
    const char *comment;
    bool is_deprecated;
    struct model_method *methods;
    size_t count;
};

/* A .proto with services. */
struct model_file {
    const char *proto;          /* "travelsense/sync/v1/record_service.proto" */
    const char *stem;           /* the same without ".proto" */
    const char *guard;          /* "TRAVELSENSE_SYNC_V1_RECORD_SERVICE" */
    const char *const *headers; /* of its messages; sorted, each once, NULL-terminated */
    struct model_service *services;
    size_t count;
};

/* All that is to be generated. */
struct model {
    struct model_file *files;
    size_t count;
};

/* What the plugin was told (`--grpc-c_opt`). */
struct model_options {
    const char *prefix; /* before every name; "" without */
    bool with_server;
};

/* Reads "server,prefix=x_"; parts may be NULL. Borrows from the arena. On failure `error` says
 * what is wrong. */
enum sync_status model_options_read(struct arena *arena, const char *parameter,
                                    struct sync_error *error, struct model_options *ret_options);

/* Builds the model. The request outlives it. On failure `error` has a sentence for the user. */
enum sync_status model_build(struct arena *arena,
                             const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
                             const struct model_options *options, struct sync_error *error,
                             struct model *ret_model);

#endif
