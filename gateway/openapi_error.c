/* The errors that methods answer with, each with an example. */
#include <stdio.h>

#include "gateway/openapi_writer.h"

/* When a status is among those of a method. */
enum error_when {
    ERROR_ALWAYS,
    ERROR_WITH_TOKEN,
    ERROR_WITH_BODY,
    ERROR_WITH_RANGE,
    ERROR_WITH_STREAMS, /* both ways */
    ERROR_APART, /* of requests that are none of any method, or that have a fault of HTTP's */
};

struct error_answer {
    int status;
    enum error_when when;
    const char *code;             /* the name of the gRPC code */
    const char *text;             /* what it means */
    const char *message, *reason; /* message NULL: the answer has no body */
};

static const struct error_answer ANSWERS[] = {
    {400, ERROR_ALWAYS, "INVALID_ARGUMENT",
     "The request is not as documented; details name the fields.", "pageSize: must be 1 to 1000",
     "INVALID_FIELDS"},
    {401, ERROR_WITH_TOKEN, "UNAUTHENTICATED", "There is no valid token.",
     "the request carries no token", "TOKEN_MISSING"},
    {403, ERROR_ALWAYS, "PERMISSION_DENIED", "It exists, but is not the caller's.",
     "This belongs to another user.", "NOT_YOURS"},
    {404, ERROR_ALWAYS, "NOT_FOUND", "There is nothing of that name.",
     "There is nothing with this id.", "NOT_FOUND"},
    {405, ERROR_APART, "UNIMPLEMENTED", "The path takes other methods, which Allow lists.",
     "this path takes GET, HEAD, OPTIONS", "METHOD_NOT_ALLOWED"},
    {408, ERROR_WITH_BODY, "DEADLINE_EXCEEDED", "The body came too slowly.",
     "the body came too slowly", "BODY_TOO_SLOW"},
    {409, ERROR_ALWAYS, "ABORTED", "It has changed meanwhile, or is there already.",
     "The record has moved on.", "VERSION_MISMATCH"},
    {413, ERROR_WITH_BODY, "RESOURCE_EXHAUSTED", "The body is too large.",
     "the body is larger than this service takes", "BODY_TOO_LARGE"},
    {414, ERROR_ALWAYS, "INVALID_ARGUMENT", "The path and query are too long.",
     "the request line is too long", "TARGET_TOO_LONG"},
    {415, ERROR_WITH_BODY, "INVALID_ARGUMENT",
     "The body is of another type than JSON, or in a coding other than gzip and zstd.",
     "the body must be application/json", "CONTENT_TYPE"},
    {416, ERROR_WITH_RANGE, "OUT_OF_RANGE", "The range lies outside the content.", NULL, NULL},
    {417, ERROR_APART, "INVALID_ARGUMENT", "Expect asks for something other than 100-continue.",
     "the only expectation taken is 100-continue", "EXPECTATION_UNKNOWN"},
    {429, ERROR_ALWAYS, "RESOURCE_EXHAUSTED",
     "Too many requests, or a quota is used up; Retry-After says when to come again.",
     "Too many requests.", "RATE_LIMITED"},
    {431, ERROR_ALWAYS, "INVALID_ARGUMENT", "The headers are too large, or too many.",
     "the headers are too large", "HEADERS_TOO_LARGE"},
    {499, ERROR_APART, "CANCELLED", "The call was cancelled.", "The call was cancelled.", NULL},
    {500, ERROR_ALWAYS, "INTERNAL", "A fault of the server's; it tells no more than a request id.",
     "internal error; request id 0195a3c4-7b1e-7c3a-9f00-2b6d1c8e4f01", NULL},
    {501, ERROR_ALWAYS, "UNIMPLEMENTED", "The service does not have this method.",
     "The method is not implemented.", NULL},
    {503, ERROR_ALWAYS, "UNAVAILABLE",
     "The service cannot be reached; Retry-After says when to come again.",
     "the service is away; try again", NULL},
    {504, ERROR_ALWAYS, "DEADLINE_EXCEEDED", "The service took too long.",
     "the service did not answer in time", NULL},
    {505, ERROR_WITH_STREAMS, "UNIMPLEMENTED", "The version of HTTP is not one that can do this.",
     "a method that streams both ways needs HTTP/2", "HTTP2_REQUIRED"},
};

static bool takes_range(const struct schema_method *method) {
    for (size_t i = 0; i < method->request->field_count; i++)
        if (slice_equal(method->request->fields[i].request_header, SLICE("range")))
            return true;
    return false;
}

static bool answer_is_of(const struct error_answer *answer, const struct schema_method *method,
                         bool has_body) {
    switch (answer->when) {
    case ERROR_WITH_TOKEN:
        return method->bearer_token;
    case ERROR_WITH_BODY:
        return has_body;
    case ERROR_WITH_RANGE:
        return takes_range(method);
    case ERROR_WITH_STREAMS:
        return method->client_streaming && method->server_streaming;
    case ERROR_APART:
        return false;
    default:
        return true;
    }
}

static void status_name(struct openapi_writer *writer, int status) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d", status);
    openapi_name(writer, slice_of(text, (size_t)size));
}

static void reference_write(struct openapi_writer *writer, const char *name) {
    const char *reference = arena_format(&writer->arena, "#/components/responses/%s", name);
    writer->failed |= !reference;
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("$ref"), slice_text(reference));
    openapi_close(writer, '}');
}

void openapi_errors(struct openapi_writer *writer, const struct schema_method *method,
                    bool has_body) {
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        if (!answer_is_of(&ANSWERS[i], method, has_body))
            continue;
        char name[16];
        snprintf(name, sizeof name, "%d", ANSWERS[i].status);
        status_name(writer, ANSWERS[i].status);
        reference_write(writer, name);
    }
    OPENAPI_NAME(writer, "default");
    reference_write(writer, "error");
}

static void answer_example(struct openapi_writer *writer, const struct error_answer *answer) {
    OPENAPI_NAME(writer, "example");
    openapi_open(writer, '{');
    OPENAPI_NAME(writer, "error");
    openapi_open(writer, '{');
    openapi_number(writer, SLICE("code"), answer->status);
    openapi_member(writer, SLICE("status"), slice_text(answer->code));
    openapi_member(writer, SLICE("message"), slice_text(answer->message));
    OPENAPI_NAME(writer, "details");
    openapi_open(writer, '[');
    if (answer->reason) {
        openapi_open(writer, '{');
        openapi_member(writer, SLICE("@type"), SLICE("type.googleapis.com/google.rpc.ErrorInfo"));
        openapi_member(writer, SLICE("reason"), slice_text(answer->reason));
        openapi_close(writer, '}');
    }
    openapi_close(writer, ']');
    openapi_close(writer, '}');
    openapi_close(writer, '}');
}

static void answer_headers(struct openapi_writer *writer, int status) {
    if (status == 401)
        openapi_raw_member(writer, SLICE("headers"),
                           SLICE("{\"WWW-Authenticate\":{\"description\":\"How to authenticate "
                                 "(RFC 6750).\",\"schema\":{\"type\":\"string\"}}}"));
    if (status == 429 || status == 503)
        openapi_raw_member(writer, SLICE("headers"),
                           SLICE("{\"Retry-After\":{\"description\":\"Seconds to wait.\","
                                 "\"schema\":{\"type\":\"string\"}}}"));
}

static void answer_content(struct openapi_writer *writer, const struct error_answer *answer) {
    OPENAPI_NAME(writer, "content");
    openapi_open(writer, '{');
    OPENAPI_NAME(writer, "application/json");
    openapi_open(writer, '{');
    openapi_raw_member(writer, SLICE("schema"), SLICE("{\"$ref\":\"#/components/schemas/Error\"}"));
    if (answer)
        answer_example(writer, answer);
    openapi_close(writer, '}');
    openapi_close(writer, '}');
}

/* `answer` NULL: any error. */
static void answer_write(struct openapi_writer *writer, const struct error_answer *answer) {
    openapi_open(writer, '{');
    openapi_member(writer, SLICE("description"),
                   slice_text(answer ? answer->text : "Any other error."));
    if (answer)
        answer_headers(writer, answer->status);
    if (!answer || answer->message)
        answer_content(writer, answer);
    openapi_close(writer, '}');
}

void openapi_responses(struct openapi_writer *writer) {
    OPENAPI_NAME(writer, "responses");
    openapi_open(writer, '{');
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        status_name(writer, ANSWERS[i].status);
        answer_write(writer, &ANSWERS[i]);
    }
    OPENAPI_NAME(writer, "error");
    answer_write(writer, NULL);
    openapi_close(writer, '}');
}
