/* What all streams hold together: bounded, so that many devices that do not read cannot take what
 * one of them may. Beyond half of the bound a stream that has held something for a while ends;
 * beyond all of it nobody is given more. */
#include "service/rpc/sync_stream_private.h"

enum {
    REST_BYTES = 4 << 10,     /* of a session that waits: these are not counted */
    CONTROL_BYTES = 16 << 10, /* of a message that is taken whatever others hold */
    TIGHT_SHARE = 16, /* of the time for a message: what a device has beyond half of the bound … */
    FULL_SHARE = 128, /* … and beyond all of it */
};

static size_t memory_held(const struct sync_stream *stream) {
    return atomic_load_explicit(&stream->streams->held_bytes, memory_order_relaxed);
}

void stream_account(struct sync_stream *stream, size_t session_bytes) {
    struct sync_streams *streams = stream->streams;
    size_t held = session_bytes > REST_BYTES ? session_bytes - REST_BYTES : 0;
    if (held == stream->held_bytes)
        return;
    atomic_fetch_add_explicit(&streams->held_bytes, held - stream->held_bytes,
                              memory_order_relaxed);
    metric_add(streams->held, (double)held - (double)stream->held_bytes);
    stream->held_bytes = held;
}

bool stream_is_refused(struct sync_stream *stream, size_t size, struct sync_error *error) {
    if (size <= CONTROL_BYTES || memory_held(stream) <= stream->streams->memory_max)
        return false;
    sync_error_set(error, SYNC_ERR_EXHAUSTED, "STREAMS_MEMORY", NULL,
                   "all streams together hold as much as they may (%zu bytes); come back later",
                   stream->streams->memory_max);
    stream->retry_after_us = STREAM_MEMORY_RETRY_US;
    return true;
}

bool stream_hold(struct sync_stream *stream, uint64_t now_us, uint64_t *ret_due_us) {
    size_t held = memory_held(stream), most = stream->streams->memory_max;
    *ret_due_us = UINT64_MAX;
    if (stream->held_bytes == 0 || stream->applying || stream->is_gone)
        return true;
    uint64_t patience_us =
        stream->streams->send_timeout_us / (held > most ? FULL_SHARE : TIGHT_SHARE);
    if (held > most / 2 && now_us - stream->moved_us >= patience_us) {
        struct sync_error error;
        sync_error_set(&error, SYNC_ERR_EXHAUSTED, "STREAMS_MEMORY", NULL,
                       "the device does not take what waits for it, and all streams together may "
                       "hold no more than %zu bytes",
                       most);
        stream_refuse(stream, &error);
        stream->retry_after_us = STREAM_MEMORY_RETRY_US;
        return false;
    }
    uint64_t due_us = stream->moved_us + patience_us;
    *ret_due_us = due_us > now_us ? due_us : now_us + patience_us;
    return true;
}
