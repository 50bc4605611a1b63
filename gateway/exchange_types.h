/* Exchange types: the inside of an exchange, for the exchange_*.c files alone. */
#ifndef GATEWAY_EXCHANGE_TYPES_H
#define GATEWAY_EXCHANGE_TYPES_H

#include "base/arena.h"
#include "base/limits.h"
#include "gateway/compress.h"
#include "gateway/error_body.h"
#include "gateway/exchange.h"
#include "gateway/grpc_metadata.h"
#include "gateway/grpc_status.h"

enum {
    EXCHANGE_HEADERS_MAX = 48, /* of an answer */
    EXCHANGE_TRAILERS_MAX = 2,
    EXCHANGE_METADATA_MAX = 12, /* of a call */
    RESPONSE_HEADERS_MAX = 24,  /* that are fields of an answer's message */
    EXCHANGE_ARENA_MAX = 24 << 20,
    EXCHANGE_REQUEST_ID_MAX = 128,
};

enum exchange_state {
    EXCHANGE_OPEN,     /* next: BODY, ANSWERED */
    EXCHANGE_BODY,     /* routed, the body is coming; next: CALL, ANSWERED */
    EXCHANGE_CALL,     /* waits for the service; next: ANSWERED */
    EXCHANGE_ANSWERED, /* the head stands; the body may still grow; next: OVER */
    EXCHANGE_OVER,     /* the body is complete */
};

/* How a streamed answer is written. */
enum exchange_stream {
    EXCHANGE_STREAM_NONE, /* a unary answer */
    EXCHANGE_STREAM_RAW,  /* google.api.HttpBody, also where it is not streamed */
    EXCHANGE_STREAM_NDJSON,
    EXCHANGE_STREAM_SSE,
    EXCHANGE_STREAM_ARRAY, /* of JSON */
};

/* The request headers that the gateway itself looks at. */
struct exchange_known {
    struct slice authorization, content_type, content_encoding, accept, accept_encoding;
    struct slice if_none_match, cache_control, origin, access_control_method,
        access_control_headers;
    struct slice traceparent, tracestate, request_id, user_agent, accept_language;
    struct slice grpc_timeout, request_timeout, te;
};

struct exchange {
    struct worker *worker;
    const struct exchange_sink *sink;
    void *context;
    struct api *api; /* held: another may take its place meanwhile */
    struct exchange *spare_next;
    const struct peer *peer;
    enum exchange_state state;
    struct arena arena;
    uint64_t begun_us;
    struct loop_timer timer;     /* BODY: pace of the body; CALL: deadline */
    struct loop_timer heartbeat; /* of streamed events */

    /* the request */
    struct transcode_request request;
    struct exchange_known known;
    struct slice method; /* as sent; request.verb has GET for HEAD */
    struct slice request_id;
    struct ip client_ip;   /* whom the request is from, behind trusted proxies */
    struct client *client; /* whom it counts for, or NULL */
    bool head_only;
    bool routed;
    struct route route;
    struct slice allowed; /* methods that the path takes, where the request's is none of them */
    struct buffer body;
    uint64_t body_size;        /* received, decoded or not */
    uint64_t body_size_before; /* at the last look at its pace */
    uint64_t buffered_bytes;   /* counted in the gateway's */

    /* the call */
    struct transcode_faults faults; /* found in the request; the call must fail for them */
    struct buffer wire;             /* the request message with its prefix */
    struct upstream_call call;
    size_t metadata_count;
    bool is_health_check;
    bool has_message;
    enum exchange_stream stream;

    struct exchange_job *job;       /* of a long body; NULL: none */
    struct exchange_web *web;       /* a gRPC-Web call; NULL: none */
    struct exchange_upload *upload; /* a streamed request; NULL: none */

    /* the answer */
    struct exchange_long_answer *long_answer; /* NULL: none */
    struct exchange_answer answer;
    int code; /* the gRPC status that the answer came of; -1: none */
    size_t header_count;
    size_t trailer_count;
    struct buffer out;
    size_t out_taken;
    uint64_t sent_bytes;

    /* by their counts above; what lies beyond is not cleared for a new request */
    struct transcode_header metadata[EXCHANGE_METADATA_MAX];
    struct transcode_header headers[EXCHANGE_HEADERS_MAX];
    struct transcode_header trailers[EXCHANGE_TRAILERS_MAX];
};

/* exchange.c */

/* So many bytes of a body that exchange_streams_body are done with. */
void exchange_body_taken(struct exchange *exchange, size_t size);

/* The body is needed no more: lets its memory go, or keeps it for the next request. */
void exchange_release_body(struct exchange *exchange);

/* exchange_request.c */

/* Gives the exchange the request's id, or a new one. */
void exchange_give_id(struct exchange *exchange);

/* exchange_transcode.c */

/* The body is complete: decodes, transcodes and calls. A long body is transcoded by the worker's
 * offload, where it has one, and the call follows then. */
void exchange_call_method(struct exchange *exchange);

/* The time of a call is over, and its body still waits to be transcoded: answers so. */
void exchange_transcode_late(struct exchange *exchange);

/* Ends the transcoding at any moment. */
void exchange_transcode_close(struct exchange *exchange);

/* exchange_long_answer.c */

/* Keeps the message of a unary answer that takes long to write, to begin with once the service has
 * ended the call well; false where it is to be written at once. */
bool exchange_long_answer_keep(struct exchange *exchange, struct slice message);

/* The bytes kept. */
size_t exchange_long_answer_held(const struct exchange *exchange);

/* Has what is kept written by the worker's offload; the answer follows then. */
void exchange_long_answer_begin(struct exchange *exchange);

/* The exchange's time is over: answers so where the answer was being written; else false. */
bool exchange_long_answer_is_late(struct exchange *exchange);

/* Ends it at any moment. */
void exchange_long_answer_close(struct exchange *exchange);

/* exchange_edge.c */

/* Gives the exchange the request's trace, or a new one where it has none that is well-formed. */
void exchange_give_trace(struct exchange *exchange);

/* Finds the client that the request is from; false when it takes too much and the answer stands. */
bool exchange_admit(struct exchange *exchange, const struct exchange_head *head);

/* Writes the request's line of the access log. */
void exchange_log(struct exchange *exchange, int status, uint64_t duration_us);

/* exchange_call.c */

/* Starts a call of the message in `wire`, with the metadata gathered, or answers why it cannot. */
void exchange_call(struct exchange *exchange, struct slice path, uint64_t timeout_us,
                   size_t response_max);

/* Gathers what is handed on of the request's headers. */
void exchange_gather_metadata(struct exchange *exchange);

/* Bytes that metadata may still take, as the service counts. */
size_t exchange_metadata_room(const struct exchange *exchange);

/* Adds metadata; both live as long as the exchange. */
void exchange_metadata_add(struct exchange *exchange, struct slice name, struct slice value);

/* The time the call may take: the gateway's bound, or less where the client says so. */
uint64_t exchange_timeout_us(const struct exchange *exchange);

/* How the answer is written. */
enum exchange_stream exchange_stream_form(const struct exchange *exchange);

/* exchange_upload.c: requests of many messages, a line of JSON each. */

/* Begins the call of a method that takes a stream; its body follows. */
void exchange_upload_begin(struct exchange *exchange, const struct exchange_head *head);

/* Takes some of the body, and its end. */
void exchange_upload_body(struct exchange *exchange, struct slice bytes);
void exchange_upload_end(struct exchange *exchange);

/* The service has taken some of what was sent. */
void exchange_upload_taken(struct exchange *exchange);

/* Ends it at any moment. */
void exchange_upload_close(struct exchange *exchange);

/* exchange_web.c: gRPC-Web. */

/* Begins a call where the request is one; false where it is not. */
bool exchange_web_begin(struct exchange *exchange, const struct exchange_head *head);

/* Ends it at any moment. */
void exchange_web_close(struct exchange_web *web);

/* Takes some of the body, and its end. */
void exchange_web_body(struct exchange_web *web, struct slice bytes);
void exchange_web_end(struct exchange_web *web);

/* Moves what the client has room for. */
void exchange_web_pump(struct exchange_web *web);

/* The gateway stops. */
void exchange_web_drain(struct exchange_web *web);

/* exchange_stream.c: answers of lines or events. */

/* Answers with the head, unless it stands. */
void exchange_stream_begin(struct exchange *exchange);

/* Adds a message, after the head. */
void exchange_stream_message(struct exchange *exchange, struct slice message);

/* Ends a stream of messages that went well. */
void exchange_stream_finish(struct exchange *exchange);

/* Answers a stream that has ended well without a message, and whose head does not stand. */
void exchange_stream_nothing(struct exchange *exchange);

/* exchange_answer.c */

/* Adds a header to the answer. Both live as long as the exchange; beyond the bound it is
 * dropped. */
void exchange_header(struct exchange *exchange, struct slice name, struct slice value);

/* The value of an answer's header, or NULL. */
const struct slice *exchange_header_find(const struct exchange *exchange, struct slice name);

/* Answers with what is in `out`, all of it. `type` may be empty when `out` is. */
void exchange_answer_whole(struct exchange *exchange, int status, struct slice type);

/* Answers with text in `out`, compressed where the client takes it, 304 where it has it already. */
void exchange_answer_text(struct exchange *exchange, int status, struct slice type);

/* The same with JSON. */
void exchange_answer_json(struct exchange *exchange, int status);

/* The coding that a long text would be packed in. */
enum content_coding exchange_answer_coding(const struct exchange *exchange);

/* Answers with JSON in `out`, a long text, that was to be packed in that coding, and was or was
 * not; 304 where the client has it already. */
void exchange_answer_packed(struct exchange *exchange, int status, enum content_coding coding,
                            bool is_packed);

/* Answers with a head; the body follows by exchange_grow and exchange_finish. */
void exchange_answer_stream(struct exchange *exchange, int status, struct slice type);

/* More was put into `out`: tells the protocol, and holds the service back where the client is
 * slow. */
void exchange_grow(struct exchange *exchange);

/* The body of a streamed answer is complete; its trailers tell this status. `message` may be empty,
 * and lives as long as the exchange. */
void exchange_finish(struct exchange *exchange, int code, struct slice message);

/* exchange_error.c */

/* Answers with an error of the gateway's own. `reason` is a stable word. */
void exchange_refuse_as(struct exchange *exchange, int http_status, int code, struct slice reason,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Answers that the request's token leaves no room for what else the service is told. */
void exchange_refuse_token(struct exchange *exchange);

/* Answers with a gRPC status and its details (a google.rpc.Status in wire form, or empty); an
 * INVALID_ARGUMENT with the faults of the request beside them. */
void exchange_fail(struct exchange *exchange, int code, struct slice message, struct slice details);

/* Answers 400 with all faults found in the request, and those that the service's details name
 * (a google.rpc.Status in wire form, or empty). */
void exchange_fail_faults(struct exchange *exchange, struct slice details);

/* Answers that the gateway has no memory. */
void exchange_fail_memory(struct exchange *exchange);

/* Writes an error into a streamed answer that has begun, or breaks it off where its form has no
 * place for one. */
void exchange_fail_stream(struct exchange *exchange, int code, struct slice message,
                          struct slice details);

/* exchange_own.c */

/* Serves the gateway's own paths and CORS preflights; false when the request is none of them. */
bool exchange_serve_own(struct exchange *exchange);

/* Answers an OPTIONS request with the methods in `allowed`. */
void exchange_answer_options(struct exchange *exchange);

/* Answers a health check by what the service said. */
void exchange_answer_health(struct exchange *exchange, bool serving);

/* Adds the CORS headers that the request's origin is given. */
void exchange_add_cors(struct exchange *exchange);

#endif
