/* What a call sends: a message that its owner holds, or bytes as they come. */
#include <assert.h>

#include "base/limits.h"
#include "gateway/upstream_stream.h"

void upstream_request_init(struct upstream_call *call) {
    /* A call that is started again brings its queue along. */
    if (!call->queue.data)
        buffer_init(&call->queue, GRPC_MESSAGE_MAX);
    call->sent = 0;
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

struct slice upstream_request_ready(struct http2_client_stream *stream, bool *ret_last) {
    const struct upstream_call *call = upstream_call_of(stream);
    *ret_last = !call->streamed || call->request_ended;
    return upstream_request_rest(call);
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

void upstream_request_taken(struct http2_client_stream *stream, size_t size, bool last) {
    struct upstream_call *call = upstream_call_of(stream);
    call->sent += size;
    call->request_sent |= last;
    if (call->streamed && size > 0)
        upstream_queue_take(call, size);
}

static void upstream_request_resume(struct upstream_call *call) {
    http2_stream_resume(&call->stream);
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
