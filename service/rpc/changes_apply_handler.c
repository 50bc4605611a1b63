/* ApplyChanges: batches of changes, each of one user, from a service; one answer a batch.
 *
 * One batch is worked on at a time: the next message is read once the answer to the one before is
 * taken, so that a service that sends faster than it reads is held back by the transport. */
#include "base/wire.h"
#include "service/rpc/handlers.h"
#include "service/rpc/messages.h"
#include "service/rpc/record_check.h"
#include "service/rpc/upload.h"
#include "service/rpc/wake.h"

/* Causes to look. */
enum {
    APPLY_READ = WAKE_CAUSE_FIRST,   /* a message has come */
    APPLY_CLOSED = APPLY_READ << 1,  /* none comes any more */
    APPLY_DONE = APPLY_READ << 2,    /* the batch is in the store, or is not */
    APPLY_WRITTEN = APPLY_READ << 3, /* the answer is taken */
    APPLY_LOST = APPLY_READ << 4,    /* it is not */
    APPLY_LEFT = APPLY_READ << 5,    /* the client */
    APPLY_DRAIN = APPLY_READ << 6,
    APPLY_RANG = APPLY_READ << 7,    /* the timer */
    APPLY_EXPIRED = APPLY_READ << 8, /* the token: the timer's first meaning */
};

enum { BATCH_ARENA_MAX = 4 * GRPC_MESSAGE_MAX };

/* A stream; in the call's arena, which lives until the last read is answered. */
struct apply_stream {
    struct wake wake; /* first: found from it */
    struct rpc_call *call;
    struct timer timer;
    unsigned pending; /* causes not yet dealt with */
    enum {
        APPLY_READING,  /* next: APPLYING */
        APPLY_APPLYING, /* next: WRITING */
        APPLY_WRITING,  /* next: READING */
    } state;
    bool is_stopping, has_number;
    int64_t number;     /* of the batch at hand, or of the last */
    struct arena arena; /* of the batch at hand */
    struct upload upload;
    enum sync_status status; /* of the upload */
};

static void apply_received(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    wake_up(&((struct apply_stream *)context)->wake, ok ? APPLY_READ : APPLY_CLOSED);
}

static void apply_written(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    wake_up(&((struct apply_stream *)context)->wake, ok ? APPLY_WRITTEN : APPLY_LOST);
}

static void apply_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    (void)call;
    wake_up(&((struct apply_stream *)context)->wake,
            cause == RPC_LEAVE_DRAIN ? APPLY_DRAIN : APPLY_LEFT);
}

static void apply_rang(struct timer *timer) {
    struct apply_stream *stream =
        (struct apply_stream *)((char *)timer - offsetof(struct apply_stream, timer));
    wake_up(&stream->wake, APPLY_RANG);
}

static void apply_done(struct upload *upload, enum sync_status status) {
    struct apply_stream *stream = upload->context;
    stream->status = status;
    wake_up(&stream->wake, APPLY_DONE);
}

/* Ends all by which the stream could be woken. The call is to be ended next, and the stream may be
 * gone then; the batch's memory is the caller's to release. */
static struct arena apply_stop(struct apply_stream *stream) {
    timer_stop(rpc_call_service(stream->call)->timers, &stream->timer);
    rpc_call_unwatch_leave(stream->call);
    return stream->arena;
}

static void apply_fail(struct apply_stream *stream, const struct sync_error *error) {
    struct arena arena = apply_stop(stream);
    rpc_call_fail(stream->call, error);
    arena_done(&arena);
}

static void apply_fail_with(struct apply_stream *stream, enum sync_status status,
                            const char *reason, const char *text) {
    struct sync_error error;
    sync_error_set(&error, status, reason, NULL, "%s", text);
    apply_fail(stream, &error);
}

static void apply_fail_status(struct apply_stream *stream, enum sync_status status) {
    apply_fail_with(stream, status, sync_status_name(status), sync_status_text(status));
}

/* Unpacks the message at hand into the batch's arena; NULL when the stream has ended over it. */
static PB(ApplyChangesRequest) *apply_unpack(struct apply_stream *stream) {
    const ProtobufCMessageDescriptor *descriptor = PB_DESCRIPTOR(apply_changes_request);
    struct slice bytes = rpc_call_request(stream->call);
    struct sync_error error;
    if (wire_check(bytes, descriptor, WIRE_DEPTH_MAX, &error) != SYNC_OK) {
        apply_fail(stream, &error);
        return NULL;
    }
    ProtobufCMessage *message = message_unpack(descriptor, bytes, &stream->arena);
    if (!message)
        apply_fail_status(stream, SYNC_ERR_NO_MEMORY);
    return (PB(ApplyChangesRequest) *)message;
}

/* Begins with a batch; false when the stream has ended over it. */
static bool apply_batch(struct apply_stream *stream) {
    PB(ApplyChangesRequest) *request = apply_unpack(stream);
    if (!request)
        return false;
    struct service *service = rpc_call_service(stream->call);
    stream->upload = (struct upload){
        .service = service,
        .arena = &stream->arena,
        .user = slice_text(request->user_id),
        .acknowledged = UINT64_MAX, /* without a baseVersion: the record as it is */
        .received_us = (int64_t)clock_now_us(service->clock),
        .bytes = rpc_call_request(stream->call).size,
        .done = apply_done,
        .context = stream,
    };
    struct violations violations;
    violations_init(&violations, &stream->arena, 0);
    record_check_user(&violations, request->user_id);
    if (stream->has_number && request->batch_id - 1 != stream->number)
        violations_add(&violations, "batchId", "INVALID_VALUE",
                       "must be the number of the batch before, and one");
    else if (request->batch_id < 0)
        violations_add(&violations, "batchId", "OUT_OF_RANGE", "must not be negative");
    upload_check(&stream->upload,
                 &(struct upload_message){.changes = request->changes, .count = request->n_changes},
                 &violations);
    if (violations_any(&violations)) {
        struct arena arena = apply_stop(stream);
        violations_end(&violations, stream->call);
        arena_done(&arena);
        return false;
    }
    stream->number = request->batch_id;
    stream->has_number = true;
    stream->state = APPLY_APPLYING;
    upload_start(&stream->upload);
    return true;
}

/* Answers a batch that has been applied; false when the stream has ended over it. */
static bool apply_answer(struct apply_stream *stream) {
    struct upload *upload = &stream->upload;
    if (stream->status != SYNC_OK) {
        if (upload->error.status == stream->status)
            apply_fail(stream, &upload->error);
        else
            apply_fail_status(stream, stream->status);
        return false;
    }
    PB(ApplyChangesResponse) response = PB_INIT(APPLY_CHANGES_RESPONSE);
    response.batch_id = stream->number;
    response.results = upload->messages;
    response.n_results = upload->content.count;
    response.write_checkpoint = message_cursor(upload->service, &stream->arena, upload->sequence);
    if (!response.write_checkpoint) {
        apply_fail_status(stream, SYNC_ERR_NO_MEMORY);
        return false;
    }
    stream->state = APPLY_WRITING;
    record_service_apply_changes_write(stream->call, &response, apply_written, stream);
    arena_done(&stream->arena);
    arena_init(&stream->arena, BATCH_ARENA_MAX);
    return true;
}

static void apply_read(struct apply_stream *stream) {
    stream->state = APPLY_READING;
    rpc_stream_read(stream->call, apply_received, stream);
}

/* Ends a stream that has nothing under way but a read, when there is cause to; true when it is
 * gone. */
static bool apply_end_for(struct apply_stream *stream, unsigned pending) {
    if (pending & (APPLY_LEFT | APPLY_LOST))
        apply_fail_with(stream, SYNC_ERR_CANCELLED, "CANCELLED", "The client has left.");
    else if (pending & APPLY_DRAIN)
        apply_fail_with(stream, SYNC_ERR_UNAVAILABLE, "DRAINING",
                        "The service stops; send to another what has not been answered.");
    else if (pending & APPLY_EXPIRED)
        apply_fail_with(stream, SYNC_ERR_UNAUTHENTICATED, "TOKEN_EXPIRED",
                        "The token has expired; send with a new one what has not been answered.");
    else
        return false;
    return true;
}

/* While an answer is under way: a client that does not take it is not waited for long. */
static void apply_press(struct apply_stream *stream) {
    struct service *service = rpc_call_service(stream->call);
    if (stream->is_stopping && (stream->pending & APPLY_RANG)) {
        rpc_call_cut(stream->call);
    } else if (!stream->is_stopping && (stream->pending & (APPLY_DRAIN | APPLY_EXPIRED))) {
        stream->is_stopping = true;
        timer_start(service->timers, &stream->timer,
                    clock_monotonic_us(service->clock) + 1000 * (uint64_t)STREAM_END_PATIENCE_MS);
    }
}

/* With nothing under way but a read. */
static bool apply_reading(struct apply_stream *stream) {
    unsigned pending = stream->pending;
    if (apply_end_for(stream, pending))
        return false;
    if (pending & APPLY_READ) {
        stream->pending &= ~(unsigned)APPLY_READ;
        return apply_batch(stream);
    }
    if (!(pending & APPLY_CLOSED))
        return true;
    struct arena arena = apply_stop(stream);
    rpc_stream_end(stream->call);
    arena_done(&arena);
    return false;
}

/* Goes on by what has happened; false when the stream is gone. */
static bool apply_look(struct wake *wake, unsigned causes) {
    struct apply_stream *stream = (struct apply_stream *)wake;
    stream->pending |= causes;
    if ((stream->pending & APPLY_RANG) && !stream->is_stopping)
        stream->pending ^= APPLY_RANG | APPLY_EXPIRED;
    switch (stream->state) {
    case APPLY_APPLYING:
        if (!(stream->pending & APPLY_DONE))
            return true;
        stream->pending &= ~(unsigned)APPLY_DONE;
        return apply_answer(stream);
    case APPLY_WRITING:
        if (!(stream->pending & (APPLY_WRITTEN | APPLY_LOST))) {
            apply_press(stream);
            return true;
        }
        stream->pending &= ~(unsigned)APPLY_WRITTEN;
        if (apply_end_for(stream, stream->pending))
            return false;
        apply_read(stream);
        return true;
    default:
        return apply_reading(stream);
    }
}

void changes_apply_handle(struct rpc_call *call) {
    struct service *service = rpc_call_service(call);
    struct apply_stream *stream = arena_zalloc(rpc_call_arena(call), 1, sizeof *stream);
    if (!stream) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    stream->call = call;
    stream->timer.expired = apply_rang;
    arena_init(&stream->arena, BATCH_ARENA_MAX);
    wake_init(&stream->wake, service->pool, apply_look);
    rpc_call_watch_leave(call, apply_left, stream);
    int64_t left_us = rpc_call_identity(call)->expires_us - rpc_call_received_us(call);
    timer_start(service->timers, &stream->timer,
                clock_monotonic_us(service->clock) + (uint64_t)(left_us > 0 ? left_us : 0));
    stream->state = APPLY_WRITING; /* of the head */
    rpc_stream_begin(call, apply_written, stream);
    wake_start(&stream->wake, 0);
}
