/* What a call sends: a message that its owner holds, or bytes as they come. */
#include <assert.h>

#include "base/limits.h"
#include "gateway/upstream_stream.h"

void upstream_request_init(struct upstream_call *call) {
    /* A call that is started again brings its queue along. */
    if (!call->queue.data)
        buffer_init(&call->queue, GRPC_MESSAGE_MAX);
    call->sent = 0;
    call->deferred = false;
    call->request_sent = false;
    call->any_taken = false;
}

void upstream_request_done(struct upstream_call *call, bool keep) {
    if (!keep || !upstream_call_is_whole(call))
        buffer_done(&call->queue);
}

/* What is still to be sent. */
static struct slice upstream_request_rest(const struct upstream_call *call) {
    return slice_after(call->streamed ? buffer_slice(&call->queue) : call->request, call->sent);
}

ssize_t upstream_request_read(nghttp2_session *http2, int32_t stream_id, uint8_t *out, size_t size,
                              uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)out;
    (void)source;
    (void)context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, stream_id);
    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    size_t left = upstream_request_rest(call).size;
    bool more = call->streamed && !call->request_ended;
    if (left == 0 && more) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    size_t taken = left < size ? left : size;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (taken == left && !more)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)taken;
}

/* Counts bytes of the queue as sent. May end the call. */
static void upstream_queue_take(struct upstream_call *call, size_t size) {
    call->any_taken = true;
    if (call->sent == call->queue.size) {
        /* A stream that says nothing for hours holds nothing. */
        call->sent = 0;
        buffer_done(&call->queue);
    } else if (call->sent > call->queue.size / 2) {
        buffer_consume(&call->queue, call->sent);
        call->sent = 0;
    }
    if (call->events->taken)
        call->events->taken(call, size);
}

int upstream_request_send(nghttp2_session *http2, nghttp2_frame *frame, const uint8_t *frame_head,
                          size_t size, nghttp2_data_source *source, void *context) {
    (void)source;
    struct upstream_session *session = context;
    struct upstream_call *call = nghttp2_session_get_stream_user_data(http2, frame->hd.stream_id);
    assert(call && frame->data.padlen == 0);
    struct slice part = slice_first(upstream_request_rest(call), size);
    outbox_add(&session->out, slice_of(frame_head, 9));
    if (call->streamed) /* the queue moves on below */
        outbox_add(&session->out, part);
    else
        outbox_lend(&session->out, part);
    call->sent += size;
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        call->request_sent = true;
    if (call->streamed && size > 0)
        upstream_queue_take(call, size);
    return outbox_has_failed(&session->out) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static void upstream_request_resume(struct upstream_call *call) {
    if (call->deferred)
        nghttp2_session_resume_data(call->session->http2, call->stream_id);
    call->deferred = false;
    upstream_session_wake(call->session);
}

enum sync_status upstream_call_send(struct upstream_call *call, struct slice bytes) {
    assert(call->session && call->streamed && !call->request_ended);
    buffer_append(&call->queue, bytes);
    upstream_request_resume(call);
    return buffer_status(&call->queue);
}

void upstream_call_end_request(struct upstream_call *call) {
    if (!call->session || call->request_ended)
        return;
    assert(call->streamed);
    call->request_ended = true;
    upstream_request_resume(call);
}
