#include "gateway/upstream_stream.h"

#include <assert.h>
#include <pthread.h>

#include "base/json_text.h"
#include "base/limits.h"
#include "gateway/grpc_status.h"

enum { UPSTREAM_METADATA_FIXED = 8 };

static void upstream_call_attach(struct upstream_session *session, struct upstream_call *call) {
    call->session = session;
    call->next = session->calls;
    call->link = &session->calls;
    if (call->next)
        call->next->link = &call->next;
    session->calls = call;
    session->load++;
}

static void upstream_call_detach(struct upstream_call *call) {
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->session->load--;
    call->session = NULL;
    grpc_reader_done(&call->reader);
}

/* Tells the pool; true when it has given the call to another session. */
static bool upstream_call_ended(struct upstream_call *call, const struct upstream_result *result) {
    return call->ended && call->ended(call, result);
}

/* Tells the end; the call may be freed or started again by its owner. */
static void upstream_call_finish(struct upstream_call *call) {
    struct upstream_result result = call->result;
    upstream_call_detach(call);
    if (upstream_call_ended(call, &result))
        return;
    upstream_request_done(call, result.unprocessed);
    call->events->done(call, &result);
}

static bool upstream_call_is_raw(const struct upstream_call *call) {
    return call->events->data != NULL;
}

/* Tells whether the head of the answer is one of gRPC. */
static bool upstream_call_is_grpc(const struct upstream_call *call) {
    return call->is_grpc && call->http_status == 200;
}

void upstream_stream_end(struct upstream_call *call, struct slice message, bool unprocessed) {
    call->result = (struct upstream_result){.code = GRPC_UNAVAILABLE,
                                            .message = message,
                                            .unprocessed = unprocessed,
                                            .refused = unprocessed};
    upstream_call_finish(call);
}

/* A text that is there for as long as the program. */
static nghttp2_nv nv_of_fixed(struct slice name, struct slice value) {
    nghttp2_nv nv = nv_of(name, value);
    nv.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
    return nv;
}

/* A value to be copied, behind a name that is there for as long as the program. */
static nghttp2_nv nv_of_value(struct slice name, struct slice value) {
    nghttp2_nv nv = nv_of(name, value);
    nv.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME;
    return nv;
}

/* A value that few calls have would only push out of the table of HPACK what all have; a token has
 * no business there. `due`: where names are due, else NULL; it goes there then all the same, for
 * its name, which is then a byte of the calls that follow. */
static nghttp2_nv nv_of_metadata(const struct transcode_header *header, struct http2_names *due) {
    nghttp2_nv nv = nv_of(header->name, header->value);
    bool is_own = slice_equal(header->name, SLICE("x-request-id")) ||
                  slice_equal(header->name, SLICE("traceparent"));
    if (is_own && due)
        http2_names_put(due);
    else if (is_own || slice_equal(header->name, SLICE("authorization")))
        nv.flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return nv;
}

enum sync_status upstream_session_start(struct upstream_session *session,
                                        struct upstream_call *call) {
    assert(session->state <= UPSTREAM_UP && !call->session);
    assert(call->metadata_count <= HTTP_HEADERS_COUNT_MAX);
    char timeout[GRPC_TIMEOUT_TEXT_MAX];
    nghttp2_nv headers[UPSTREAM_METADATA_FIXED + HTTP_HEADERS_COUNT_MAX];
    size_t count = 0;
    headers[count++] = nv_of_fixed(SLICE(":method"), SLICE("POST"));
    headers[count++] =
        nv_of_fixed(SLICE(":scheme"), session->transport.ssl ? SLICE("https") : SLICE("http"));
    headers[count++] = nv_of_value(SLICE(":path"), call->path);
    headers[count++] = nv_of_value(SLICE(":authority"), session->authority);
    headers[count++] = nv_of_fixed(SLICE("te"), SLICE("trailers"));
    headers[count++] =
        nv_of_value(SLICE("content-type"),
                    call->content_type.size ? call->content_type : SLICE("application/grpc"));
    if (call->timeout_us > 0) {
        grpc_timeout_format(call->timeout_us, timeout);
        headers[count++] = nv_of_value(SLICE("grpc-timeout"), slice_text(timeout));
    }
    /* Trailers are small; details that are not may come as a message before them. */
    if (call->takes_details)
        headers[count++] = nv_of_fixed(SLICE("accept-status-details"), SLICE("message"));
    struct http2_names *due =
        http2_names_are_due(&session->names, session->http2) ? &session->names : NULL;
    for (size_t i = 0; i < call->metadata_count; i++)
        headers[count++] = nv_of_metadata(&call->metadata[i], due);
    nghttp2_data_provider provider = {.read_callback = upstream_request_read};
    int32_t id = nghttp2_submit_request(session->http2, NULL, headers, count, &provider, call);
    if (id < 0)
        return id == NGHTTP2_ERR_NOMEM ? SYNC_ERR_NO_MEMORY : SYNC_ERR_UNAVAILABLE;
    call->stream_id = id;
    upstream_request_init(call);
    call->held_back = false;
    call->unconsumed = 0;
    call->http_status = 0;
    call->is_grpc = false;
    call->has_code = false;
    call->details_come = false;
    call->result = (struct upstream_result){.code = GRPC_UNKNOWN};
    grpc_reader_init(&call->reader, call->response_max);
    upstream_call_attach(session, call);
    upstream_silence_begin(session);
    upstream_session_wake(session);
    return SYNC_OK;
}

void upstream_call_cancel(struct upstream_call *call) {
    struct upstream_session *session = call->session;
    upstream_request_done(call, false);
    if (!session)
        return;
    nghttp2_session_set_stream_user_data(session->http2, call->stream_id, NULL);
    nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    upstream_silence_doubt(session, call);
    upstream_call_detach(call);
    (void)upstream_call_ended(call, NULL);
    upstream_session_wake(session);
}

void upstream_call_consume(struct upstream_call *call, size_t size) {
    if (!call->session || size == 0)
        return;
    nghttp2_session_consume_stream(call->session->http2, call->stream_id, size);
    upstream_session_wake(call->session);
}

void upstream_call_hold(struct upstream_call *call, bool hold) {
    call->held_back = hold;
    if (hold || !call->session || call->unconsumed == 0)
        return;
    nghttp2_session_consume_stream(call->session->http2, call->stream_id, call->unconsumed);
    call->unconsumed = 0;
    upstream_session_wake(call->session);
}

static int decimal_of(struct slice text, int fallback) {
    int value = 0;
    if (text.size == 0 || text.size > 4)
        return fallback;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return fallback;
        value = value * 10 + (text.data[i] - '0');
    }
    return value;
}

static struct slice upstream_decode_details(struct upstream_call *call, struct slice text) {
    struct buffer bytes;
    struct slice copy = SLICE_EMPTY;
    buffer_init(&bytes, text.size);
    if (!base64_decode(text, &bytes) || !arena_copy(call->arena, buffer_slice(&bytes), &copy))
        copy = SLICE_EMPTY;
    buffer_done(&bytes);
    return copy;
}

static int upstream_on_begin_headers(nghttp2_session *http2, const nghttp2_frame *frame,
                                     void *context) {
    (void)http2;
    (void)frame;
    struct upstream_session *session = context;
    session->fields.count = session->fields.used = 0;
    session->fields.overflow = false;
    return 0;
}

/* Keeps a field of a raw answer as it came. */
static void upstream_fields_add(struct upstream_fields *fields, struct slice name,
                                struct slice value) {
    if (name.size == 0 || name.data[0] == ':')
        return;
    if (fields->count == UPSTREAM_FIELDS_MAX ||
        name.size + value.size > sizeof(fields->text) - fields->used) {
        fields->overflow = true;
        return;
    }
    uint8_t *text = fields->text + fields->used;
    memcpy(text, name.data, name.size);
    if (value.size)
        memcpy(text + name.size, value.data, value.size);
    fields->used += name.size + value.size;
    fields->list[fields->count++] = (struct transcode_header){
        slice_of(text, name.size), slice_of(text + name.size, value.size)};
}

static int upstream_on_header(nghttp2_session *http2, const nghttp2_frame *frame,
                              const uint8_t *name_data, size_t name_size, const uint8_t *data,
                              size_t size, uint8_t flags, void *context) {
    (void)flags;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    if (!call)
        return 0;
    struct slice name = slice_of(name_data, name_size), value = slice_of(data, size);
    if (upstream_call_is_raw(call))
        upstream_fields_add(&((struct upstream_session *)context)->fields, name, value);
    if (slice_equal(name, SLICE(":status"))) {
        call->http_status = decimal_of(value, 0);
    } else if (slice_equal(name, SLICE("content-type"))) {
        call->is_grpc = slice_starts_with(value, SLICE("application/grpc"));
    } else if (slice_equal(name, SLICE("status-details"))) {
        call->details_come = slice_equal(value, SLICE("message"));
    } else if (slice_equal(name, SLICE("grpc-status"))) {
        call->result.code = decimal_of(value, GRPC_UNKNOWN);
        call->has_code = true;
    } else if (slice_equal(name, SLICE("grpc-message"))) {
        call->result.message = grpc_message_decode(value, call->arena);
    } else if (slice_equal(name, SLICE("grpc-status-details-bin"))) {
        call->result.details = upstream_decode_details(call, value);
    }
    return 0;
}

/* Ends a call that the service answers in a way that is no gRPC. */
static void upstream_call_fail(struct upstream_call *call, int code, struct slice message) {
    struct upstream_session *session = call->session;
    nghttp2_session_set_stream_user_data(session->http2, call->stream_id, NULL);
    nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    call->result = (struct upstream_result){.code = code, .message = message};
    upstream_session_wake(session);
    upstream_call_finish(call);
}

static int upstream_on_data(nghttp2_session *http2, uint8_t flags, int32_t stream_id,
                            const uint8_t *data, size_t size, void *context) {
    (void)flags;
    (void)context;
    /* The connection's window is not a client's to hold: one slow client must not stop others. */
    nghttp2_session_consume_connection(http2, size);
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, stream_id);
    if (!call)
        return 0;
    if (upstream_call_is_raw(call)) {
        /* What is no gRPC has no reader; its end tells. */
        if (upstream_call_is_grpc(call))
            call->events->data(call, slice_of(data, size));
        else
            upstream_call_consume(call, size);
        return 0;
    }
    call->unconsumed += size;
    struct slice input = slice_of(data, size);
    while (call->session) {
        struct slice message;
        enum grpc_read read = grpc_reader_feed(&call->reader, &input, &message);
        if (read == GRPC_READ_MORE)
            break;
        if (read == GRPC_READ_BROKEN) {
            upstream_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                               SLICE("the answer is larger than the gateway takes"));
            return 0;
        }
        if (!call->details_come) {
            call->events->message(call, message);
        } else if (!arena_copy(call->arena, message, &call->result.details)) {
            upstream_call_fail(call, GRPC_UNAVAILABLE,
                               SLICE("there is no memory for the details of an error"));
            return 0;
        }
    }
    if (call->events->partial && upstream_call_partial(call) > 0)
        call->events->partial(call);
    if (call->session && !call->held_back)
        upstream_call_hold(call, false);
    return 0;
}

/* Whether a service that stops has cancelled the call; nobody on our side did. The C core says no
 * more than the code's name of a call that it drops unread, which may come ahead of its GOAWAY. */
static bool is_cancelled_by_stop(const struct upstream_call *call) {
    const struct upstream_result *result = &call->result;
    return result->code == GRPC_CANCELLED &&
           (call->session->state != UPSTREAM_UP ||
            (result->details.size == 0 && slice_equal(result->message, SLICE("CANCELLED"))));
}

/* Whether its time is over: then a service that cancels a call does so for that. */
static bool is_late(const struct upstream_call *call) {
    return call->begun_us > 0 && call->timeout_us > 0 &&
           loop_now_us(call->session->loop) - call->begun_us >= call->timeout_us;
}

/* What a call that ended without grpc-status has come to. */
static void upstream_call_judge(struct upstream_call *call, uint32_t error_code) {
    bool is_cancelled = call->has_code ? is_cancelled_by_stop(call) : error_code == NGHTTP2_CANCEL;
    if (is_cancelled && is_late(call)) {
        call->result = (struct upstream_result){
            .code = GRPC_DEADLINE_EXCEEDED, .message = SLICE("the service did not answer in time")};
        return;
    }
    if (call->has_code) {
        if (is_cancelled)
            call->result = (struct upstream_result){.code = GRPC_UNAVAILABLE,
                                                    .message = SLICE("the service is stopping")};
        return;
    }
    if (error_code == NGHTTP2_REFUSED_STREAM) {
        call->result.code = GRPC_UNAVAILABLE;
        call->result.refused = true;
        call->result.unprocessed = upstream_call_is_whole(call);
    } else if (error_code == NGHTTP2_CANCEL) {
        /* The service's own doing, as it stops: what our side cancels is not told. */
        call->result.code = GRPC_UNAVAILABLE;
    } else if (error_code != NGHTTP2_NO_ERROR) {
        call->result.code = GRPC_INTERNAL;
    } else if (!upstream_call_is_grpc(call)) {
        call->result.code = grpc_code_of_http(call->http_status);
    }
    if (call->result.message.size == 0)
        call->result.message = SLICE("the service ended the call without a status");
}

/* Tells the end that the service gave a call. */
static void upstream_call_conclude(struct upstream_call *call, uint32_t error_code) {
    nghttp2_session_set_stream_user_data(call->session->http2, call->stream_id, NULL);
    upstream_call_judge(call, error_code);
    if (call->result.code == GRPC_OK && !grpc_reader_at_boundary(&call->reader))
        call->result.code = GRPC_INTERNAL;
    upstream_call_finish(call);
}

static int upstream_on_close(nghttp2_session *http2, int32_t stream_id, uint32_t error_code,
                             void *context) {
    (void)context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, stream_id);
    if (!call)
        return 0;
    upstream_call_conclude(call, error_code);
    return 0;
}

/* The head or the trailers of an answer are read. */
static void upstream_on_fields(struct upstream_call *call, const nghttp2_frame *frame) {
    const struct upstream_fields *fields = &call->session->fields;
    bool raw = upstream_call_is_raw(call);
    if (raw && fields->overflow) {
        upstream_call_fail(call, GRPC_RESOURCE_EXHAUSTED,
                           SLICE("the answer's metadata is larger than the gateway takes"));
        return;
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        bool as_it_came = raw && call->has_code && upstream_call_is_grpc(call);
        call->result.trailers = as_it_came ? fields : NULL;
        return;
    }
    /* Details that come as a message are those of an error, not an answer that begins. */
    bool is_begin = upstream_call_is_grpc(call) && !call->details_come &&
                    frame->headers.cat == NGHTTP2_HCAT_RESPONSE;
    if (is_begin && raw)
        call->events->head(call, fields);
    else if (is_begin && call->events->begun)
        call->events->begun(call);
}

static int upstream_on_frame(nghttp2_session *http2, const nghttp2_frame *frame, void *context) {
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        upstream_session_drain(context);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        upstream_session_greeted(context);
        return 0;
    }
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    if (!call)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        upstream_on_fields(call, frame);
    bool ended = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                 (frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    /* Answered before the request's end: the rest of it is for nobody. */
    if (ended && call->session && !call->request_sent) {
        nghttp2_submit_rst_stream(http2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
        upstream_call_conclude(call, NGHTTP2_NO_ERROR);
        upstream_session_wake(context);
    }
    return 0;
}

static nghttp2_session_callbacks *upstream_callbacks;

static void upstream_callbacks_make(void) {
    nghttp2_session_callbacks *made = NULL;
    if (nghttp2_session_callbacks_new(&made) != 0)
        return;
    nghttp2_session_callbacks_set_send_data_callback(made, upstream_request_send);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, upstream_on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, upstream_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, upstream_on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, upstream_on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, upstream_on_frame);
    upstream_callbacks = made;
}

const nghttp2_session_callbacks *upstream_stream_callbacks(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, upstream_callbacks_make);
    return upstream_callbacks;
}
