/* Transcode: JSON to protobuf wire bytes in one pass over the input, and back, without a message
 * tree.
 *
 * The proto3 JSON mapping (https://protobuf.dev/programming-guides/json) with the additions of
 * travelsense/http/v1. Pure: no I/O, no clock. A transcoder's memory is bounded by its input. Each
 * call is independent; the schema is shared. */
#ifndef GATEWAY_TRANSCODE_H
#define GATEWAY_TRANSCODE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "gateway/schema.h"

/* One fault found while reading JSON: a path such as "changes[3].timestamp" and a sentence. */
struct transcode_fault {
    struct slice path;
    struct slice description;
    const char *reason; /* stable: "REQUIRED", "INVALID_VALUE", "UNKNOWN_FIELD", "DUPLICATE_FIELD" …
                           static memory */
};

/* Faults of one request, in the order found. Texts live in the arena. */
struct transcode_faults {
    struct arena *arena;
    size_t count_max; /* given: more than 0, at most BATCH_FAULTS_MAX */
    struct transcode_fault *list;
    size_t count, capacity;
    size_t omitted; /* found beyond the list */
};

struct transcode_options {
    bool ignore_unknown;       /* skip unknown JSON fields instead of refusing them */
    bool ignore_unknown_query; /* the same of query parameters */
    bool check_required;       /* fields marked REQUIRED that are absent are faults */
    /* Where set, faults that leave the rest readable (a wrong value, a missing field) are collected
     * there, the field is skipped (an element of a list stands as an empty one, so that the others
     * keep their numbers) and reading goes on; where NULL the first fault ends it. */
    struct transcode_faults *faults;
};

/* Reads `json` as `message` and appends the wire bytes to `out`. SYNC_ERR_INVALID (or TOO_LARGE)
 * when the text is not well-formed, too deep, or (without options->faults) has a fault; `error`
 * then names the field and what was expected. With faults collected the answer is SYNC_OK: look at
 * their count. */
enum sync_status transcode_to_wire(const struct schema *schema,
                                   const struct schema_message *message, struct slice json,
                                   const struct transcode_options *options, struct buffer *out,
                                   struct sync_error *error);

/* Writes the wire bytes of `message` as JSON appended to `out`. SYNC_ERR_INVALID when the bytes are
 * malformed, or hold what JSON cannot (the error's message then begins with "json:"). */
enum sync_status transcode_to_json(const struct schema *schema,
                                   const struct schema_message *message, struct slice wire,
                                   struct buffer *out, struct sync_error *error);

/* The same for one field of the message (google.api.http's response_body): its value alone; "{}"
 * where a message field is absent. `field` is a proto name. */
enum sync_status transcode_field_to_json(const struct schema *schema,
                                         const struct schema_message *message, struct slice field,
                                         struct slice wire, struct buffer *out,
                                         struct sync_error *error);

/* What a header of a request or response says, as a name and a value. */
struct transcode_header {
    struct slice name, value;
};

/* One REST request, taken apart. All slices are borrowed. */
struct transcode_request {
    struct slice verb;   /* "GET" */
    struct slice path;   /* as sent, percent-encoded, without query */
    struct slice query;  /* as sent, without '?' */
    struct slice accept; /* the Accept header, or empty */
    struct slice body;   /* JSON, or raw bytes for google.api.HttpBody */
    struct slice content_type;
    const struct transcode_header *headers; /* lower-case names; for request_header fields */
    size_t header_count;
};

struct route_table;

/* What is decoded in a variable that takes several segments. One that takes a single segment is
 * always decoded wholly (google/api/http.proto, "Path template syntax"). */
enum route_unescape {
    ROUTE_UNESCAPE_EXCEPT_SLASH,    /* all but %2F: google.api.http's rule */
    ROUTE_UNESCAPE_EXCEPT_RESERVED, /* all but the reserved characters of RFC 3986 section 2.2 */
    ROUTE_UNESCAPE_ALL,             /* an encoded slash is then one like any other */
};

/* Compiles the path templates of all methods. Two rules that match the same requests, and are not
 * told apart by Accept, are an error that names both. The schema outlives the table. Immutable,
 * shared by threads. */
enum sync_status route_table_open(const struct schema *schema, enum route_unescape unescape,
                                  struct sync_error *error, struct route_table **ret_table);

/* Closes; returns NULL. */
struct route_table *route_table_close(struct route_table *table);

struct route_binding {
    struct slice field_path; /* proto path, "a.b" */
    struct slice value;      /* decoded; lives in the arena given to route_match */
};

enum { ROUTE_BINDINGS_MAX = 16 };

/* A request's route. */
struct route {
    const struct schema_method *method;
    const struct schema_http_rule *rule;
    struct route_binding bindings[ROUTE_BINDINGS_MAX];
    size_t binding_count;
};

/* Finds the route. A rule of the request's own verb comes before one of the kind "*"; HEAD has that
 * of GET where it has none of its own. SYNC_ERR_NOT_FOUND: no template matches the path.
 * SYNC_ERR_UNIMPLEMENTED: one does, but not for this verb; `ret_allowed` then lists the verbs it
 * has, and OPTIONS, which asks for this list, comma-separated, in the arena. SYNC_ERR_INVALID: bad
 * percent-encoding or a value that is not UTF-8. */
enum sync_status route_match(const struct route_table *table,
                             const struct transcode_request *request, struct arena *arena,
                             struct route *ret_route, struct slice *ret_allowed,
                             struct sync_error *error);

/* Prints "VERB template -> /service/method" a line, in the order matched. */
void route_table_print(const struct route_table *table, struct buffer *out);

/* Builds the request message of a route: body, path bindings, query parameters, headers, and for
 * PATCH an update mask from the body's fields where a FieldMask field named update_mask is empty.
 * Appends wire bytes to `out`. Faults and errors as transcode_to_wire. */
enum sync_status transcode_request_to_wire(const struct schema *schema, const struct route *route,
                                           const struct transcode_request *request,
                                           const struct transcode_options *options,
                                           struct buffer *out, struct sync_error *error);

/* Turns a response message into a body: JSON of it or of its response_body field, without the
 * fields that are response headers; those are appended to `headers` (at most `header_max`; values
 * in the arena) and counted. */
enum sync_status transcode_response_to_json(const struct schema *schema, const struct route *route,
                                            struct slice wire, struct arena *arena,
                                            struct buffer *out, struct transcode_header *headers,
                                            size_t header_max, size_t *ret_header_count,
                                            struct sync_error *error);

/* An OpenAPI 3.1 document of all routes, with comments, parameters, schemas and errors, as JSON. */
enum sync_status openapi_render(const struct schema *schema, const char *title, const char *version,
                                struct buffer *out);

#endif
