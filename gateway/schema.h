/* Schema: the descriptors of a FileDescriptorSet, resolved once so that transcoding only follows
 * pointers.
 *
 * Immutable after schema_open, so all threads share it. Everything found in it lives as long as the
 * schema. Text slices borrow from the set given, which must outlive the schema. */
#ifndef GATEWAY_SCHEMA_H
#define GATEWAY_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct schema;
struct schema_message;
struct schema_field;
struct schema_enum;

/* The declared HTTP face of a method (google.api.http and travelsense.http.v1.method). */
struct schema_http_rule {
    struct slice verb;          /* "GET", "POST", … */
    struct slice path_template; /* such as "/v1/{name=shelves/\*}:move" */
    struct slice body;          /* "*", a field of the request by proto name, or empty */
    struct slice response_body; /* a field of the response by proto name, or empty */
};

/* A method of a service. */
struct schema_method {
    struct slice service; /* full name, "travelsense.sync.v1.SyncService" */
    struct slice name;    /* "GetBundle" */
    struct slice path;    /* the gRPC path, "/travelsense.sync.v1.SyncService/GetBundle" */
    struct slice comment; /* leading comment, empty without source info */
    const struct schema_message *request, *response;
    bool client_streaming, server_streaming;
    bool bearer_token; /* a request must carry one */
    const struct schema_http_rule
        *rules; /* the rule and its additional bindings; rule_count may be 0 */
    size_t rule_count;
    int success_status;           /* 200 where not declared */
    struct slice accept;          /* media type that selects the method, or empty */
    struct slice faults_metadata; /* metadata name for JSON faults, or empty */
    bool own_path;                /* its paths are no others' with another verb */
    struct slice event_name;      /* of a streamed answer's server-sent events, or empty */
};

/* Loads a set. SYNC_ERR_INVALID with one clear line in `error` when it does not parse, or a name
 * does not resolve. */
enum sync_status schema_open(struct slice descriptor_set, struct sync_error *error,
                             struct schema **ret_schema);

/* Closes; returns NULL. */
struct schema *schema_close(struct schema *schema);

/* Finds a message by full name, without leading dot; NULL when there is none. */
const struct schema_message *schema_message_find(const struct schema *schema,
                                                 struct slice full_name);

/* Finds a method by its path, "/package.Service/Method"; NULL when there is none. */
const struct schema_method *schema_method_find(const struct schema *schema, struct slice path);

/* The methods of all services, in order of declaration. */
size_t schema_method_count(const struct schema *schema);
const struct schema_method *schema_method_at(const struct schema *schema, size_t index);

#endif
