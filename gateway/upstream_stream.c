#include "gateway/upstream_stream.h"

#include <assert.h>
#include <pthread.h>

#include "base/json_text.h"
#include "base/limits.h"
#include "gateway/grpc_status.h"

enum { UPSTREAM_METADATA_MAX = 24, UPSTREAM_METADATA_FIXED = 7 };

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
    if (!upstream_call_ended(call, &result))
        call->events->done(call, &result);
}

void upstream_stream_end(struct upstream_call *call, struct slice message, bool unprocessed) {
    call->result = (struct upstream_result){
        .code = GRPC_UNAVAILABLE, .message = message, .unprocessed = unprocessed};
    upstream_call_finish(call);
}

static nghttp2_nv nv_of(struct slice name, struct slice value) {
    return (nghttp2_nv){(uint8_t *)name.data, (uint8_t *)value.data, name.size, value.size,
                        NGHTTP2_NV_FLAG_NONE};
}

static ssize_t upstream_on_data_source(nghttp2_session *http2, int32_t stream_id, uint8_t *out,
                                       size_t size, uint32_t *flags, nghttp2_data_source *source,
                                       void *context) {
    (void)out;
    (void)source;
    (void)context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = call->request.size - call->sent;
    size_t taken = left < size ? left : size;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (taken == left)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)taken;
}

/* Appends a DATA frame straight from the call's message. */
static int upstream_on_send_data(nghttp2_session *http2, nghttp2_frame *frame,
                                 const uint8_t *frame_head, size_t size,
                                 nghttp2_data_source *source, void *context) {
    (void)source;
    struct upstream_session *session = context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    assert(call && frame->data.padlen == 0);
    buffer_append(&session->out, slice_of(frame_head, 9));
    buffer_append(&session->out, slice_of(call->request.data + call->sent, size));
    call->sent += size;
    return session->out.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

enum sync_status upstream_session_start(struct upstream_session *session,
                                        struct upstream_call *call) {
    assert(session->state <= UPSTREAM_UP && !call->session);
    assert(call->metadata_count < UPSTREAM_METADATA_MAX - UPSTREAM_METADATA_FIXED);
    char timeout[GRPC_TIMEOUT_TEXT_MAX];
    grpc_timeout_format(call->timeout_us, timeout);
    nghttp2_nv headers[UPSTREAM_METADATA_MAX] = {
        nv_of(SLICE(":method"), SLICE("POST")),
        nv_of(SLICE(":scheme"), session->transport.ssl ? SLICE("https") : SLICE("http")),
        nv_of(SLICE(":path"), call->path),
        nv_of(SLICE(":authority"), session->authority),
        nv_of(SLICE("te"), SLICE("trailers")),
        nv_of(SLICE("content-type"), SLICE("application/grpc")),
        nv_of(SLICE("grpc-timeout"), slice_text(timeout)),
    };
    size_t count = UPSTREAM_METADATA_FIXED;
    /* Trailers are small; details that are not may come as a message before them. */
    if (call->takes_details)
        headers[count++] = nv_of(SLICE("accept-status-details"), SLICE("message"));
    for (size_t i = 0; i < call->metadata_count; i++)
        headers[count++] = nv_of(call->metadata[i].name, call->metadata[i].value);
    nghttp2_data_provider provider = {.read_callback = upstream_on_data_source};
    int32_t id = nghttp2_submit_request(session->http2, NULL, headers, count, &provider, call);
    if (id < 0)
        return id == NGHTTP2_ERR_NOMEM ? SYNC_ERR_NO_MEMORY : SYNC_ERR_UNAVAILABLE;
    call->stream_id = id;
    call->sent = 0;
    call->held_back = false;
    call->unconsumed = 0;
    call->http_status = 0;
    call->is_grpc = false;
    call->has_code = false;
    call->details_come = false;
    call->result = (struct upstream_result){.code = GRPC_UNKNOWN};
    grpc_reader_init(&call->reader, call->response_max);
    upstream_call_attach(session, call);
    upstream_session_wake(session);
    return SYNC_OK;
}

void upstream_call_cancel(struct upstream_call *call) {
    struct upstream_session *session = call->session;
    if (!session)
        return;
    nghttp2_session_set_stream_user_data(session->http2, call->stream_id, NULL);
    nghttp2_submit_rst_stream(session->http2, NGHTTP2_FLAG_NONE, call->stream_id, NGHTTP2_CANCEL);
    upstream_call_detach(call);
    (void)upstream_call_ended(call, NULL);
    upstream_session_wake(session);
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

static int upstream_on_header(nghttp2_session *http2, const nghttp2_frame *frame,
                              const uint8_t *name_data, size_t name_size, const uint8_t *data,
                              size_t size, uint8_t flags, void *context) {
    (void)flags;
    (void)context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    if (!call)
        return 0;
    struct slice name = slice_of(name_data, name_size), value = slice_of(data, size);
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

/* What a call that ended without grpc-status has come to. */
static void upstream_call_judge(struct upstream_call *call, uint32_t error_code) {
    if (call->has_code) {
        if (is_cancelled_by_stop(call))
            call->result = (struct upstream_result){.code = GRPC_UNAVAILABLE,
                                                    .message = SLICE("the service is stopping")};
        return;
    }
    if (error_code == NGHTTP2_REFUSED_STREAM) {
        call->result.code = GRPC_UNAVAILABLE;
        call->result.unprocessed = true;
    } else if (error_code == NGHTTP2_CANCEL) {
        /* The service's own doing, as it stops: what our side cancels is not told. */
        call->result.code = GRPC_UNAVAILABLE;
    } else if (error_code != NGHTTP2_NO_ERROR) {
        call->result.code = GRPC_INTERNAL;
    } else if (call->http_status != 200 || !call->is_grpc) {
        call->result.code = grpc_code_of_http(call->http_status);
    }
    if (call->result.message.size == 0)
        call->result.message = SLICE("the service ended the call without a status");
}

static int upstream_on_close(nghttp2_session *http2, int32_t stream_id, uint32_t error_code,
                             void *context) {
    (void)context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, stream_id);
    if (!call)
        return 0;
    nghttp2_session_set_stream_user_data(http2, stream_id, NULL);
    upstream_call_judge(call, error_code);
    if (call->result.code == GRPC_OK && !grpc_reader_at_boundary(&call->reader))
        call->result.code = GRPC_INTERNAL;
    upstream_call_finish(call);
    return 0;
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
    /* Details that come as a message are those of an error, not an answer that begins. */
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    bool is_begin = frame->hd.type == NGHTTP2_HEADERS &&
                    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && call && call->is_grpc &&
                    call->http_status == 200 && !call->details_come &&
                    frame->headers.cat == NGHTTP2_HCAT_RESPONSE;
    if (is_begin && call->events->begun)
        call->events->begun(call);
    return 0;
}

static nghttp2_session_callbacks *upstream_callbacks;

static void upstream_callbacks_make(void) {
    nghttp2_session_callbacks *made = NULL;
    if (nghttp2_session_callbacks_new(&made) != 0)
        return;
    nghttp2_session_callbacks_set_send_data_callback(made, upstream_on_send_data);
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
