#include <assert.h>
#include <inttypes.h>

#include "gateway/exchange_types.h"
#include "gateway/http_text.h"
#include "gateway/schema_types.h"

enum {
    COMPRESS_BYTES_MIN = 256,      /* a delta of one field already shrinks by a third */
    STREAM_HOLD_BYTES = 256 << 10, /* waiting for a slow client: the service pauses */
    STREAM_RESUME_BYTES = 128 << 10,
    ANSWER_SMALL = 4 << 10,
};

void exchange_header(struct exchange *exchange, struct slice name, struct slice value) {
    if (exchange->header_count < EXCHANGE_HEADERS_MAX)
        exchange->headers[exchange->header_count++] = (struct transcode_header){name, value};
}

const struct slice *exchange_header_find(const struct exchange *exchange, struct slice name) {
    for (size_t i = 0; i < exchange->header_count; i++) {
        if (slice_equal(exchange->headers[i].name, name))
            return &exchange->headers[i].value;
    }
    return NULL;
}

/* The headers that every answer has. */
static void exchange_add_common(struct exchange *exchange) {
    struct slice date = SLICE_EMPTY;
    if (exchange_copy(exchange, worker_date(exchange->worker), &date))
        exchange_header(exchange, SLICE("date"), date);
    if (exchange->request_id.size)
        exchange_header(exchange, SLICE("x-request-id"), exchange->request_id);
    /* What has a tag may be kept by its client, who asks each time whether it still holds. */
    if (!exchange_header_find(exchange, SLICE("cache-control")))
        exchange_header(exchange, SLICE("cache-control"),
                        exchange_header_find(exchange, SLICE("etag")) ? SLICE("private, no-cache")
                                                                      : SLICE("no-store"));
    exchange_header(exchange, SLICE("x-content-type-options"), SLICE("nosniff"));
    if (exchange->peer->secure)
        exchange_header(exchange, SLICE("strict-transport-security"), SLICE("max-age=31536000"));
    exchange_add_cors(exchange);
}

static void exchange_answer_head(struct exchange *exchange, int status, struct slice type,
                                 enum exchange_state next) {
    assert(exchange->state < EXCHANGE_ANSWERED);
    loop_timer_clear(&exchange->timer);
    if (type.size && !exchange_header_find(exchange, SLICE("content-type")))
        exchange_header(exchange, SLICE("content-type"), type);
    exchange_add_common(exchange);
    bool bodiless = status == 204 || status == 304 || status < 200;
    exchange->answer = (struct exchange_answer){
        .status = status,
        .headers = exchange->headers,
        .header_count = exchange->header_count,
        .has_length = exchange_header_find(exchange, SLICE("content-length")) != NULL,
        .has_body = !bodiless && !exchange->head_only,
    };
    exchange->state = next;
    if (!exchange->answer.has_body) {
        buffer_clear(&exchange->out);
        exchange->state = EXCHANGE_OVER;
        upstream_call_cancel(&exchange->call);
    }
    exchange->sink->answered(exchange, exchange->context);
}

/* Counts an answer that its client has yet to take among what the gateway holds; false when that is
 * full. Small ones, errors among them, always pass. */
static bool exchange_hold(struct exchange *exchange) {
    return exchange->out.size <= ANSWER_SMALL || exchange->head_only || exchange_count(exchange);
}

void exchange_answer_whole(struct exchange *exchange, int status, struct slice type) {
    if (exchange->out.failed) {
        buffer_clear(&exchange->out);
        exchange_fail_memory(exchange);
        return;
    }
    if (!exchange_hold(exchange)) {
        buffer_done(&exchange->out);
        exchange_fail_buffers(exchange);
        return;
    }
    if (status != 204 && status != 304) {
        char digits[HTTP_NUMBER_MAX];
        struct slice length = http_text_number(exchange->out.size, digits);
        if (exchange_copy(exchange, length, &length))
            exchange_header(exchange, SLICE("content-length"), length);
    }
    exchange_answer_head(exchange, status, type, EXCHANGE_OVER);
}

/* Tells whether an If-None-Match header lists the tag, by weak comparison. */
static bool etag_is_listed(struct slice list, struct slice tag) {
    if (slice_starts_with(tag, SLICE("W/")))
        tag = slice_after(tag, 2);
    if (tag.size < 2)
        return false;
    for (size_t i = 0; i < list.size;) {
        if (list.data[i] == '*')
            return true;
        if (list.data[i] != '"') {
            i++;
            continue;
        }
        const uint8_t *end = memchr(list.data + i + 1, '"', list.size - i - 1);
        if (!end)
            return false;
        size_t size = (size_t)(end - (list.data + i)) + 1;
        if (slice_equal(slice_of(list.data + i, size), tag))
            return true;
        i += size;
    }
    return false;
}

static bool exchange_client_has_it(const struct exchange *exchange, int status) {
    const struct slice *tag = exchange_header_find(exchange, SLICE("etag"));
    return tag && status == 200 && exchange->known.if_none_match.size &&
           slice_equal(exchange->request.verb, SLICE("GET")) &&
           etag_is_listed(exchange->known.if_none_match, *tag);
}

/* A strong tag is of one coding's bytes alone (RFC 9110 section 8.8.3.3). */
static void exchange_weaken_tag(struct exchange *exchange) {
    for (size_t i = 0; i < exchange->header_count; i++) {
        struct transcode_header *header = &exchange->headers[i];
        if (!slice_equal(header->name, SLICE("etag")) ||
            slice_starts_with(header->value, SLICE("W/")))
            continue;
        char *weak = arena_format(&exchange->arena, "W/%.*s", (int)header->value.size,
                                  (const char *)header->value.data);
        header->value = weak ? slice_text(weak) : SLICE_EMPTY;
    }
}

/* Tells that `out` is packed. */
static void exchange_note_packed(struct exchange *exchange, enum content_coding coding) {
    exchange_weaken_tag(exchange);
    exchange_header(exchange, SLICE("content-encoding"), coding_name(coding));
}

/* Packs `out` in the coding the client likes best, where that makes it smaller or must be. */
static void exchange_compress(struct exchange *exchange) {
    enum content_coding coding = coding_negotiate(exchange->known.accept_encoding);
    if (coding == CODING_IDENTITY)
        return;
    bool must = coding_refuses_identity(exchange->known.accept_encoding);
    if (compressor_replace(exchange->worker->compressor, coding, must, &exchange->out))
        exchange_note_packed(exchange, coding);
}

static bool text_has(struct slice text, const char *word) {
    return text.size && memmem(text.data, text.size, word, strlen(word)) != NULL;
}

static bool has_compress_field(const struct schema_message *request) {
    const struct schema_field *field = schema_field_find(request, SLICE("compress"));
    if (!field || field->repeated)
        return false;
    return field->type == SCHEMA_BOOL ||
           (field->message &&
            slice_equal(field->message->full_name, SLICE("google.protobuf.BoolValue")));
}

/* Tells whether the query sets a boolean field of the request named "compress" to false: the one
 * rule by which a method lets its caller decline compression. */
static bool exchange_declines_compression(const struct exchange *exchange) {
    if (text_has(exchange->known.cache_control, "no-transform"))
        return true;
    if (!exchange->routed || !has_compress_field(exchange->route.method->request))
        return false;
    struct slice query = exchange->request.query;
    while (query.size) {
        const uint8_t *mark = memchr(query.data, '&', query.size);
        size_t size = mark ? (size_t)(mark - query.data) : query.size;
        struct slice pair = slice_first(query, size);
        if (slice_equal(pair, SLICE("compress=false")) ||
            slice_equal(pair, SLICE("compress=False")) || slice_equal(pair, SLICE("compress=0")))
            return true;
        query = slice_after(query, mark ? size + 1 : size);
    }
    return false;
}

void exchange_answer_json(struct exchange *exchange, int status) {
    exchange_answer_text(exchange, status, SLICE("application/json"));
}

enum content_coding exchange_answer_coding(const struct exchange *exchange) {
    return exchange_declines_compression(exchange)
               ? CODING_IDENTITY
               : coding_negotiate(exchange->known.accept_encoding);
}

/* Answers that the client has what it asks for, of which it was told the tag in that coding. */
static void exchange_answer_unchanged(struct exchange *exchange, enum content_coding coding) {
    if (coding != CODING_IDENTITY)
        exchange_weaken_tag(exchange);
    buffer_clear(&exchange->out);
    exchange_header(exchange, SLICE("vary"), SLICE("accept-encoding"));
    exchange_answer_whole(exchange, 304, SLICE_EMPTY);
}

void exchange_answer_packed(struct exchange *exchange, int status, enum content_coding coding,
                            bool is_packed) {
    if (exchange_client_has_it(exchange, status)) {
        exchange_answer_unchanged(exchange, coding);
        return;
    }
    exchange_header(exchange, SLICE("vary"), SLICE("accept-encoding"));
    if (is_packed)
        exchange_note_packed(exchange, coding);
    exchange_answer_whole(exchange, status, SLICE("application/json"));
}

void exchange_answer_text(struct exchange *exchange, int status, struct slice type) {
    if (exchange_client_has_it(exchange, status)) {
        bool is_short = exchange->out.size < COMPRESS_BYTES_MIN;
        exchange_answer_unchanged(exchange,
                                  is_short ? CODING_IDENTITY : exchange_answer_coding(exchange));
        return;
    }
    if (!exchange->out.failed && (exchange->out.size >= COMPRESS_BYTES_MIN ||
                                  coding_refuses_identity(exchange->known.accept_encoding))) {
        exchange_header(exchange, SLICE("vary"), SLICE("accept-encoding"));
        if (!exchange_declines_compression(exchange))
            exchange_compress(exchange);
    }
    exchange_answer_whole(exchange, status, type);
}

void exchange_answer_stream(struct exchange *exchange, int status, struct slice type) {
    exchange_answer_head(exchange, status, type, EXCHANGE_ANSWERED);
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    uint64_t limit_us = exchange->worker->gateway->limits.stream_timeout_us;
    loop_timer_set(exchange->worker->loop, &exchange->timer, limit_us);
}

/* The answer cannot be completed. */
static void exchange_break(struct exchange *exchange) {
    upstream_call_cancel(&exchange->call);
    exchange->state = EXCHANGE_OVER;
    exchange->sink->broken(exchange, exchange->context);
}

void exchange_grow(struct exchange *exchange) {
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    if (exchange->out.failed) {
        exchange_break(exchange);
        return;
    }
    /* What gRPC-Web has here is little, and its relay counts as well. */
    if (!exchange_count(exchange) && !exchange->web) {
        exchange_fail_buffers(exchange);
        return;
    }
    if (exchange_ready(exchange).size > STREAM_HOLD_BYTES)
        upstream_call_hold(&exchange->call, true);
    exchange->sink->more(exchange, exchange->context);
}

void exchange_finish(struct exchange *exchange, int code, struct slice message) {
    if (exchange->state != EXCHANGE_ANSWERED)
        return;
    if (exchange->out.failed) {
        exchange_break(exchange);
        return;
    }
    (void)exchange_count(exchange);
    char *status = arena_format(&exchange->arena, "%d", code);
    if (status && !exchange->web)
        exchange->trailers[exchange->trailer_count++] =
            (struct transcode_header){SLICE("grpc-status"), slice_text(status)};
    if (status && message.size > 0)
        exchange->trailers[exchange->trailer_count++] =
            (struct transcode_header){SLICE("grpc-message"), message};
    loop_timer_clear(&exchange->timer);
    exchange->state = EXCHANGE_OVER;
    exchange->sink->more(exchange, exchange->context);
}

void exchange_take(struct exchange *exchange, size_t size) {
    assert(exchange->out_taken + size <= exchange->out.size);
    exchange->out_taken += size;
    exchange->sent_bytes += size;
    size_t left = exchange->out.size - exchange->out_taken;
    if (left == 0) {
        buffer_clear(&exchange->out);
        exchange->out_taken = 0;
    } else if (exchange->out_taken > STREAM_HOLD_BYTES && exchange->state == EXCHANGE_ANSWERED) {
        buffer_consume(&exchange->out, exchange->out_taken);
        exchange->out_taken = 0;
    }
    if (left < STREAM_RESUME_BYTES && exchange->call.held_back)
        upstream_call_hold(&exchange->call, false);
    if (exchange->web || exchange->stream != EXCHANGE_STREAM_NONE)
        (void)exchange_count(exchange);
    if (exchange->web)
        exchange_web_pump(exchange->web);
}
