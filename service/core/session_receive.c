/* What comes from the device: read, bounded, and handed to whoever knows what it means. */
#include <assert.h>

#include "base/memory.h"
#include "base/wire.h"
#include "service/core/session_private.h"

enum { BATCH_FIELD = 2, BATCH_ID_FIELD = 1, BATCH_CHANGES_FIELD = 2 };

/* What can be said of a message before memory is taken for it. */
struct message_scan {
    bool is_batch; /* as the last field wins in a oneof */
    size_t changes;
    int64_t batch_id;
};

static bool scan_batch(struct slice bytes, struct message_scan *scan) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.number == BATCH_ID_FIELD && field.type == WIRE_VARINT)
            scan->batch_id = (int64_t)field.bits;
        scan->changes += field.number == BATCH_CHANGES_FIELD && field.type == WIRE_LEN;
    }
    return true;
}

static bool scan_message(struct slice bytes, struct message_scan *ret_scan) {
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number <= TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BYE)
            ret_scan->is_batch = field.number == BATCH_FIELD;
        if (field.number == BATCH_FIELD && !scan_batch(field.bytes, ret_scan))
            return false;
    }
    return true;
}

/* An allocator of protobuf-c on an arena, which tells why it refused. */
struct bounded_arena {
    struct arena *arena;
    bool is_past_bound;
};

static void *bounded_alloc(void *context, size_t size) {
    struct bounded_arena *bounded = context;
    if (size > bounded->arena->size_max - bounded->arena->taken_bytes)
        bounded->is_past_bound = true;
    return arena_alloc(bounded->arena, size);
}

static void bounded_free(void *context, void *memory) {
    (void)context;
    (void)memory;
}

/* Unpacks; false when there is no room (SYNC_ERR_TOO_LARGE, SYNC_ERR_NO_MEMORY) or the message is
 * none (SYNC_ERR_INVALID). */
static enum sync_status unpack(struct session_received *received, struct slice bytes) {
    struct bounded_arena bounded = {.arena = &received->arena};
    ProtobufCAllocator allocator = {
        .alloc = bounded_alloc, .free = bounded_free, .allocator_data = &bounded};
    received->message =
        travelsense__sync__v1__sync_request__unpack(&allocator, bytes.size, bytes.data);
    if (received->message)
        return SYNC_OK;
    return bounded.is_past_bound ? SYNC_ERR_TOO_LARGE : SYNC_ERR_NO_MEMORY;
}

struct session_received *session_received_close(struct session_received *received) {
    if (!received)
        return NULL;
    arena_done(&received->arena);
    memory_free(received);
    return NULL;
}

bool session_may_receive(const struct session *session) {
    if (session->is_receiving || session->is_half_closed || session_is_leaving(session))
        return false;
    if (session->phase == SESSION_OPENING || session->token)
        return false;
    /* One message more than the batches in flight: it may be a token that the first one waits for.
     */
    return session->batch_count <= session->batches_max && session->out_count < OUT_COUNT_MAX;
}

/* Why a batch is refused unread, or NULL. */
static const char *batch_refusal(const struct message_scan *scan, size_t bytes) {
    if (bytes > SYNC_BATCH_BYTES_MAX)
        return "BATCH_TOO_LARGE";
    if (scan->changes == 0)
        return "EMPTY_BATCH";
    return scan->changes > BATCH_CHANGES_MAX ? "TOO_MANY_CHANGES" : NULL;
}

static void receive_batch(struct session *session, struct session_received *received,
                          struct slice bytes, const struct message_scan *scan) {
    received->batch_id = scan->batch_id;
    received->refusal = batch_refusal(scan, bytes.size);
    arena_init(&received->arena, bytes.size + BATCH_ARENA_EXTRA);
    enum sync_status status = received->refusal ? SYNC_OK : unpack(received, bytes);
    if (status == SYNC_ERR_TOO_LARGE)
        received->refusal = "BATCH_TOO_LARGE";
    if (status == SYNC_ERR_NO_MEMORY) {
        session_end_no_memory(session);
        session_received_close(received);
        return;
    }
    if (!received->message)
        arena_done(&received->arena);
    session_batch(session, received);
}

/* Messages that leave nothing behind. */
static void receive_note(struct session *session, const PB(SyncRequest) *message) {
    switch (message->message_case) {
    case TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_ACKNOWLEDGEMENT:
        session_acknowledge(session, message->acknowledgement);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_PAUSE:
        session->is_paused = true;
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_RESUME:
        session->is_paused = false;
        session_progress_rest(&session->progress, session->now.monotonic_us);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BYE:
        session_drop_records(session);
        session->phase = SESSION_CLOSING;
        break;
    default:
        session_end(session, SYNC_ERR_INVALID, "UNKNOWN_MESSAGE", NULL,
                    "the message is none that this service knows");
    }
}

static void receive_control(struct session *session, struct session_received *received,
                            struct slice bytes) {
    arena_init(&received->arena, CONTROL_ARENA_MAX);
    enum sync_status status =
        bytes.size > CONTROL_BYTES_MAX ? SYNC_ERR_TOO_LARGE : unpack(received, bytes);
    if (status == SYNC_ERR_TOO_LARGE)
        session_end(session, SYNC_ERR_TOO_LARGE, "MESSAGE_TOO_LARGE", NULL,
                    "a message other than a batch has at most %d bytes", CONTROL_BYTES_MAX);
    else if (status != SYNC_OK)
        session_end_no_memory(session);
    if (status != SYNC_OK) {
        session_received_close(received);
        return;
    }
    const PB(SyncRequest) *message = received->message;
    bool is_hello = message->message_case == TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    if (session->phase == SESSION_EXPECTS_HELLO && !is_hello)
        session_end(session, SYNC_ERR_INVALID, "HELLO_FIRST", "hello",
                    "the first message must be hello");
    else if (session->phase != SESSION_EXPECTS_HELLO && is_hello)
        session_end(session, SYNC_ERR_INVALID, "HELLO_TWICE", "hello", "hello was said already");
    else if (is_hello)
        session_hello(session, received);
    else if (message->message_case == TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_TOKEN)
        session_token(session, received);
    else
        receive_note(session, message);
    if (session->hello != received && session->token != received)
        session_received_close(received);
}

void session_receive(struct session *session, struct slice bytes) {
    struct message_scan scan = {0};
    if (!scan_message(bytes, &scan)) {
        session_end(session, SYNC_ERR_INVALID, "MALFORMED", NULL, "the message cannot be read");
        return;
    }
    if (scan.is_batch && session->phase == SESSION_EXPECTS_HELLO) {
        session_end(session, SYNC_ERR_INVALID, "HELLO_FIRST", "hello",
                    "the first message must be hello");
        return;
    }
    struct session_received *received = memory_zalloc(1, sizeof *received);
    if (!received) {
        session_end_no_memory(session);
        return;
    }
    received->bytes = bytes.size;
    received->received_wall_us = session->now.wall_us;
    if (scan.is_batch)
        receive_batch(session, received, bytes, &scan);
    else
        receive_control(session, received, bytes);
}
