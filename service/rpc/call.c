#include "service/rpc/call.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <protobuf-c/protobuf-c.h>

#include "base/memory.h"
#include "base/wire.h"
#include "service/rpc/call_private.h"

struct service *rpc_call_service(struct rpc_call *call) {
    return call->queue->server->service;
}

struct arena *rpc_call_arena(struct rpc_call *call) {
    return &call->arena;
}

const struct identity *rpc_call_identity(const struct rpc_call *call) {
    return &call->identity;
}

int64_t rpc_call_received_us(const struct rpc_call *call) {
    return call->received_us;
}

bool rpc_call_is_cancelled(const struct rpc_call *call) {
    return atomic_load_explicit(&call->is_cancelled, memory_order_relaxed) ||
           clock_monotonic_us(call->queue->server->service->clock) >= call->deadline_us;
}

struct slice rpc_call_request(const struct rpc_call *call) {
    return call->request;
}

size_t rpc_call_faults(const struct rpc_call *call) {
    return call->faults;
}

void rpc_call_set_device(struct rpc_call *call, struct slice device) {
    struct slice copy;
    if (arena_copy(&call->arena, device, &copy))
        call->device = copy;
}

/* Takes what the logs name a call by out of the metadata; false without memory. */
static bool call_keep_ids(struct rpc_call *call) {
    struct slice id = call->request_id, trace = call->trace_id;
    if (id.size + trace.size == 0)
        return true;
    call->ids = memory_alloc(id.size + trace.size);
    if (!call->ids)
        return false;
    if (id.size > 0)
        memcpy(call->ids, id.data, id.size);
    if (trace.size > 0)
        memcpy(call->ids + id.size, trace.data, trace.size);
    call->request_id.data = call->ids;
    call->trace_id.data = call->ids + id.size;
    return true;
}

void rpc_call_settle(struct rpc_call *call) {
    if (call_keep_ids(call)) {
        grpc_metadata_array_destroy(&call->metadata);
        grpc_metadata_array_init(&call->metadata);
    }
    arena_done(&call->arena);
    arena_init(&call->arena, CALL_ARENA_MAX);
}

struct ProtobufCMessage *rpc_call_unpack(struct rpc_call *call,
                                         const struct ProtobufCMessageDescriptor *descriptor) {
    struct sync_error error;
    if (wire_check(call->request, descriptor, WIRE_DEPTH_MAX, &error) != SYNC_OK) {
        rpc_call_fail(call, &error);
        return NULL;
    }
    ProtobufCAllocator allocator;
    arena_protobuf_allocator(&call->arena, &allocator);
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, call->request.size, call->request.data);
    if (!message) /* what is well-formed fails for memory alone */
        rpc_call_fail_with(call, SYNC_ERR_NO_MEMORY, "NO_MEMORY", "no memory for the message");
    return message;
}

void call_start(struct rpc_call *call, struct rpc_tag *tag, const grpc_op *ops, size_t count) {
    atomic_fetch_add_explicit(&call->references, tag->kind == TAG_END ? 0 : 1,
                              memory_order_release);
    grpc_call_error error = grpc_call_start_batch(call->call, ops, count, tag, NULL);
    assert(error == GRPC_CALL_OK);
    (void)error;
}

/* Makes a call, or takes a used one; NULL without memory. */
static struct rpc_call *call_take(struct rpc_queue *queue) {
    struct rpc_call *call = queue->free;
    if (call) {
        queue->free = call->next_free;
        queue->free_count--;
        return call;
    }
    call = memory_zalloc(1, sizeof *call);
    if (!call)
        return NULL;
    call->queue = queue;
    call->accept = (struct rpc_tag){call, TAG_ACCEPT};
    call->close = (struct rpc_tag){call, TAG_CLOSE};
    call->read = (struct rpc_tag){call, TAG_READ};
    call->write = (struct rpc_tag){call, TAG_WRITE};
    call->end = (struct rpc_tag){call, TAG_END};
    arena_init(&call->arena, CALL_ARENA_MAX);
    return call;
}

static void call_free(struct rpc_call *call) {
    arena_done(&call->arena);
    memory_free(call);
}

/* Puts a call back for its next use, as new but for the arena's block. */
static void call_give_back(struct rpc_call *call) {
    struct rpc_queue *queue = call->queue;
    if (queue->is_stopped || queue->free_count == QUEUE_FREE_MAX) {
        call_free(call);
        return;
    }
    arena_reset(&call->arena);
    memset(&call->call, 0, offsetof(struct rpc_call, arena) - offsetof(struct rpc_call, call));
    memset(&call->task, 0, sizeof *call - offsetof(struct rpc_call, task));
    call->next_free = queue->free;
    queue->free = call;
    queue->free_count++;
}

void call_free_all(struct rpc_queue *queue) {
    while (queue->free) {
        struct rpc_call *call = queue->free;
        queue->free = call->next_free;
        call_free(call);
    }
    queue->free_count = 0;
}

/* Posts one request; false when the queue takes none, since it is shutting down. */
static bool call_request(struct rpc_queue *queue, struct rpc_call *call) {
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    if (grpc_server_request_call(queue->server->server, &call->call, &call->details,
                                 &call->metadata, queue->queue, queue->queue,
                                 &call->accept) == GRPC_CALL_OK)
        return true;
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    return false;
}

void call_post(struct rpc_queue *queue) {
    while (!queue->is_stopped && queue->posted < QUEUE_POSTED) {
        struct rpc_call *call = call_take(queue);
        if (!call)
            return;
        if (call_request(queue, call)) {
            queue->posted++;
        } else {
            queue->is_stopped = true;
            call_give_back(call);
        }
    }
}

/* Releases what the request brought. */
static void call_drop_message(struct rpc_call *call) {
    if (call->is_flat)
        grpc_slice_unref(call->flat);
    if (call->message)
        grpc_byte_buffer_destroy(call->message);
    call->is_flat = false;
    call->message = NULL;
    call->request = SLICE_EMPTY;
}

/* Ends a call's life; nothing of it is under way. */
static void call_release(struct rpc_call *call) {
    struct rpc_server *server = call->queue->server;
    assert(!call->left);
    call_unwait(call);
    call_observe(call);
    call_drop_message(call);
    grpc_slice_unref(call->status_text);
    grpc_slice_unref(call->trailer.value);
    memory_free(call->ids);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    grpc_call_unref(call->call);
    bool is_stream = call->is_stream;
    call_give_back(call);
    pthread_mutex_lock(&server->lock);
    server->live--;
    server->streams -= is_stream;
    if (server->is_draining && (server->live == 0 || server->streams == 0))
        pthread_cond_signal(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

static void call_receive(struct rpc_call *call) {
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->message;
    call_start(call, &call->read, &op, 1);
}

static struct rpc_call *call_of_task(struct work_task *task) {
    return (struct rpc_call *)((uint8_t *)task - offsetof(struct rpc_call, task));
}

/* Runs the handler, unless nobody waits for its answer any more. */
static void call_run_handler(struct work_task *task) {
    struct rpc_call *call = call_of_task(task);
    if (clock_monotonic_us(rpc_call_service(call)->clock) >= call->deadline_us)
        rpc_call_fail_with(call, SYNC_ERR_DEADLINE, "DEADLINE_EXPIRED",
                           "The deadline passed before the call's turn came.");
    else if (rpc_call_is_cancelled(call))
        rpc_call_fail_with(call, SYNC_ERR_CANCELLED, "CANCELLED", "The client has left.");
    else
        method_entry_method(call->entry)->handle(call);
}

/* Gives the call to its handler. */
static void call_dispatch(struct rpc_call *call) {
    const struct rpc_method *method = method_entry_method(call->entry);
    if (method->policy->is_inline) {
        method->handle(call);
        return;
    }
    call->task.run = call_run_handler;
    /* Streams come in herds after a restart; they are as many as connections let in, and wait
     * behind the calls that somebody waits for. */
    if (method->shape != RPC_UNARY) {
        work_pool_post(rpc_call_service(call)->pool, &call->task);
        return;
    }
    enum sync_status status = work_pool_submit(rpc_call_service(call)->pool, &call->task);
    if (status != SYNC_OK)
        rpc_call_fail_with(call, status, "OVERLOADED",
                           "The service has more calls than it can take; try again later.");
}

/* A request has come, or (not ok) the server is shutting down. */
static void call_accepted(struct rpc_call *call, bool ok) {
    struct rpc_queue *queue = call->queue;
    struct rpc_server *server = queue->server;
    queue->posted--;
    if (!ok) {
        queue->is_stopped = true;
        grpc_metadata_array_destroy(&call->metadata);
        grpc_call_details_destroy(&call->details);
        call_give_back(call);
        return;
    }
    pthread_mutex_lock(&server->lock);
    server->live++;
    pthread_mutex_unlock(&server->lock);
    call->status_text = grpc_empty_slice();
    call->trailer.value = grpc_empty_slice();
    call->received_us = (int64_t)clock_now_us(server->service->clock);
    call->started_us = clock_monotonic_us(server->service->clock);
    atomic_store_explicit(&call->is_cancelled, false, memory_order_relaxed);
    atomic_store_explicit(&call->references, 1, memory_order_relaxed);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->close_cancelled;
    call_start(call, &call->close, &op, 1);
    if (!interceptor_pass(call))
        return;
    if (method_entry_method(call->entry)->shape > RPC_SERVER_STREAM) {
        call_dispatch(call);
        return;
    }
    call_wait(call);
    call_receive(call);
}

/* Makes the message one slice: as it came when it came in one piece, otherwise a copy. */
static bool call_flatten(struct rpc_call *call) {
    grpc_byte_buffer *message = call->message;
    if (!message)
        return false;
    if (message->data.raw.slice_buffer.count == 1) {
        call->request = slice_of_grpc(&message->data.raw.slice_buffer.slices[0]);
        return true;
    }
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, message))
        return false;
    call->flat = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    call->is_flat = true;
    call->request = slice_of_grpc(&call->flat);
    return true;
}

static void call_read_done(struct rpc_call *call, bool ok) {
    call_unwait(call);
    ok = call_flatten(call) && ok;
    if (call->received)
        call->received(call, call->received_context, ok);
    else if (ok)
        call_dispatch(call);
    else if (call->is_late)
        rpc_call_fail_with(call, SYNC_ERR_DEADLINE, "REQUEST_LATE",
                           "The request's message did not come in time.");
    else
        rpc_call_fail_with(call, SYNC_ERR_INVALID, "MESSAGE_MISSING",
                           "The request has no message.");
}

static void call_run_written(struct work_task *task) {
    struct rpc_call *call = call_of_task(task);
    call->written(call, call->written_context, call->written_ok);
}

/* A message of a stream is out. The handler may block on its next one, so it is told on the pool,
 * unless it is one that only takes note. */
static void call_write_done(struct rpc_call *call, bool ok) {
    if (call->outgoing)
        grpc_byte_buffer_destroy(call->outgoing);
    call->outgoing = NULL;
    call->written_ok = ok;
    call->task.run = call_run_written;
    const struct rpc_policy *policy = method_entry_method(call->entry)->policy;
    if (policy->is_inline || policy->is_long_lived)
        call_run_written(&call->task);
    else
        work_pool_post(rpc_call_service(call)->pool, &call->task);
}

void call_event(struct rpc_tag *tag, bool ok) {
    struct rpc_call *call = tag->call;
    if (tag->kind == TAG_ACCEPT) {
        call_accepted(call, ok);
        return;
    }
    /* Acquires what the batch's starter wrote; the event's own reference keeps the call until the
     * end of this function. */
    (void)atomic_load_explicit(&call->references, memory_order_acquire);
    switch (tag->kind) {
    case TAG_CLOSE:
        if (call->close_cancelled)
            call_tell_left(call);
        break;
    case TAG_READ:
        call_read_done(call, ok);
        break;
    case TAG_WRITE:
        call_write_done(call, ok);
        break;
    case TAG_END:
        if (call->outgoing)
            grpc_byte_buffer_destroy(call->outgoing);
        call->outgoing = NULL;
        atomic_fetch_sub(&call->queue->server->answers_bytes, call->answer_bytes);
        if (!ok && call->code == RPC_OK) /* the answer did not reach the client */
            call->code = RPC_CANCELLED;
        break;
    default:
        assert(!"a tag of no call");
    }
    if (atomic_fetch_sub_explicit(&call->references, 1, memory_order_acq_rel) == 1)
        call_release(call);
}

void rpc_stream_drop(struct rpc_call *call) {
    call_drop_message(call);
}

void rpc_stream_read(struct rpc_call *call, rpc_received *received, void *context) {
    call_drop_message(call);
    call->received = received;
    call->received_context = context;
    call_receive(call);
}
