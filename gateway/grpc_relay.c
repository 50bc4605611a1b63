#include "gateway/grpc_relay.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>

#include "base/memory.h"
#include "gateway/grpc_status.h"

enum {
    CALL_FIXED_BYTES = 512, /* of metadata: what every call has beside its path */
    RELAY_ARENA_MAX = 64 << 10,
    DEADLINE_GRACE_US = 1000000, /* the service sees its own deadline first */
    TIMEOUT_US_MIN = 1000,
    WATCH_US = 5000000,
    WATCH_BYTES_MIN = 1200, /* of a message that has begun, in that time */
    WATCH_STILL_MAX = 12,   /* looks */
    RELAY_MESSAGE_MAX = 1024,
};

/* What the service is told, while the call may still be started again. */
struct relay_metadata {
    char client_ip[IP_TEXT_MAX];
    struct grpc_metadata gathered;
};

static struct grpc_relay *relay_of(struct upstream_call *call) {
    return (struct grpc_relay *)((char *)call - offsetof(struct grpc_relay, call));
}

/* The headers of the request are needed no more: it cannot be sent again. */
static void relay_settle(struct grpc_relay *relay) {
    if (relay->settled)
        return;
    relay->settled = true;
    relay->call.path = relay->call.content_type = SLICE_EMPTY;
    relay->call.metadata = NULL;
    relay->call.metadata_count = 0;
    memory_free(relay->metadata);
    relay->metadata = NULL;
    relay->sink->settled(relay);
}

size_t grpc_relay_queued(const struct grpc_relay *relay) {
    return upstream_call_queued(&relay->call);
}

/* Bytes that the gateway or the service holds of messages that are not whole, or not yet taken,
 * and those that the client has yet to take. */
static void relay_count_buffered(struct grpc_relay *relay) {
    uint64_t now = grpc_relay_ready(relay).size;
    if (!relay->end)
        now += grpc_tracker_partial(&relay->tracker) + grpc_relay_queued(relay);
    if (!gateway_count_buffered(relay->worker->gateway, &relay->buffered_bytes, now))
        grpc_relay_fail(relay, GRPC_RESOURCE_EXHAUSTED,
                        SLICE("the gateway holds as many bytes of calls as it may; try again"));
}

/* Copies fields into one piece of memory. */
static struct grpc_relay_end *relay_end_make(const struct transcode_header *fields, size_t count) {
    size_t size = sizeof(struct grpc_relay_end) + count * sizeof(struct transcode_header);
    size_t text_at = size;
    for (size_t i = 0; i < count; i++)
        size += fields[i].name.size + fields[i].value.size;
    struct grpc_relay_end *end = memory_alloc(size);
    if (!end)
        return NULL;
    uint8_t *text = (uint8_t *)end + text_at;
    end->count = count;
    for (size_t i = 0; i < count; i++) {
        struct slice from[2] = {fields[i].name, fields[i].value}, to[2];
        for (int part = 0; part < 2; part++) {
            to[part] = slice_of(text, from[part].size);
            if (from[part].size > 0)
                memcpy(text, from[part].data, from[part].size);
            text += from[part].size;
        }
        end->list[i] = (struct transcode_header){to[0], to[1]};
    }
    return end;
}

/* The end is known. */
static void relay_end(struct grpc_relay *relay, int code, const struct transcode_header *fields,
                      size_t count) {
    if (relay->end)
        return;
    relay->end = relay_end_make(fields, count);
    relay->code = code;
    loop_timer_clear(&relay->deadline);
    relay_count_buffered(relay);
    if (relay->end)
        relay->sink->more(relay);
    else
        relay->sink->broken(relay, false);
}

static void relay_end_status(struct grpc_relay *relay, int code, struct slice message) {
    struct transcode_header fields[3];
    struct buffer text;
    char number[16];
    size_t count = 0;
    buffer_init(&text, 3 * RELAY_MESSAGE_MAX);
    grpc_message_encode(
        &text,
        slice_first(message, message.size < RELAY_MESSAGE_MAX ? message.size : RELAY_MESSAGE_MAX));
    snprintf(number, sizeof(number), "%d", code);
    if (!relay->answered)
        fields[count++] =
            (struct transcode_header){SLICE("content-type"), SLICE("application/grpc")};
    fields[count++] = (struct transcode_header){SLICE("grpc-status"), slice_text(number)};
    if (text.size > 0)
        fields[count++] = (struct transcode_header){SLICE("grpc-message"), buffer_slice(&text)};
    relay_end(relay, code, fields, count);
    buffer_done(&text);
}

void grpc_relay_fail(struct grpc_relay *relay, int code, struct slice message) {
    if (relay->end)
        return;
    upstream_call_cancel(&relay->call);
    relay_end_status(relay, code, message);
    relay_settle(relay);
}

static bool is_hop_by_hop(struct slice name) {
    return slice_equal(name, SLICE("connection")) || slice_equal(name, SLICE("content-length")) ||
           slice_equal(name, SLICE("transfer-encoding"));
}

static void relay_on_head(struct upstream_call *call, const struct upstream_fields *fields) {
    struct grpc_relay *relay = relay_of(call);
    struct transcode_header list[UPSTREAM_FIELDS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < fields->count; i++) {
        if (!is_hop_by_hop(fields->list[i].name))
            list[count++] = fields->list[i];
    }
    relay->answered = true;
    relay->sink->head(relay, list, count);
    relay_settle(relay);
}

static void relay_watch(struct grpc_relay *relay) {
    if (relay->watch.link)
        return;
    relay->watched_in = relay->bytes_in;
    relay->watched_out = relay->bytes_out;
    relay->still = 0;
    loop_timer_set(relay->worker->loop, &relay->watch, WATCH_US);
}

static void relay_on_data(struct upstream_call *call, struct slice bytes) {
    struct grpc_relay *relay = relay_of(call);
    buffer_append(&relay->ready, bytes);
    if (relay->ready.failed) {
        upstream_call_cancel(call);
        relay->sink->broken(relay, false);
        return;
    }
    relay_watch(relay);
    relay_count_buffered(relay);
    relay->sink->more(relay);
}

static void relay_on_taken(struct upstream_call *call, size_t size) {
    struct grpc_relay *relay = relay_of(call);
    relay_settle(relay);
    relay_count_buffered(relay);
    relay->sink->taken(relay, size);
}

/* Whoever sent the call may do so again. */
static void relay_refuse(struct grpc_relay *relay, int code) {
    relay->code = code;
    loop_timer_clear(&relay->deadline);
    relay->sink->broken(relay, true);
}

static void relay_on_done(struct upstream_call *call, const struct upstream_result *result) {
    struct grpc_relay *relay = relay_of(call);
    if (result->trailers)
        relay_end(relay, result->code, result->trailers->list, result->trailers->count);
    else if (result->refused && !relay->answered)
        relay_refuse(relay, result->code);
    else
        relay_end_status(relay, result->code, result->message);
    relay_settle(relay);
}

static void relay_deadline_fired(struct loop_timer *timer) {
    struct grpc_relay *relay =
        (struct grpc_relay *)((char *)timer - offsetof(struct grpc_relay, deadline));
    if (relay->draining)
        grpc_relay_fail(relay, GRPC_UNAVAILABLE, SLICE("the gateway stops; come again"));
    else
        grpc_relay_fail(relay, GRPC_DEADLINE_EXCEEDED, SLICE("the service did not answer in time"));
}

/* A message that trickles in holds memory for nothing, here and in the service. What waits for the
 * service to take more is not the client's fault, and what began since the last look has time until
 * the next. */
static bool relay_request_stalls(const struct grpc_relay *relay) {
    uint64_t came = relay->bytes_in - relay->watched_in;
    return relay->call.queue.size == 0 && came < WATCH_BYTES_MIN &&
           came < grpc_tracker_partial(&relay->tracker);
}

/* A client that takes nothing of its answer is gone; the sooner where what it holds is scarce. */
static bool relay_answer_stalls(struct grpc_relay *relay) {
    bool still = grpc_relay_ready(relay).size > 0 && relay->bytes_out == relay->watched_out;
    relay->still = still ? relay->still + 1 : 0;
    return relay->still >=
           (gateway_is_pressed(relay->worker->gateway) ? 1 : (unsigned)WATCH_STILL_MAX);
}

static void relay_watch_fired(struct loop_timer *timer) {
    struct grpc_relay *relay =
        (struct grpc_relay *)((char *)timer - offsetof(struct grpc_relay, watch));
    bool receiving = !relay->end && grpc_tracker_partial(&relay->tracker) > 0;
    if (receiving && relay_request_stalls(relay)) {
        grpc_relay_fail(relay, GRPC_DEADLINE_EXCEEDED, SLICE("the message came too slowly"));
        receiving = false;
    }
    if (relay_answer_stalls(relay)) {
        upstream_call_cancel(&relay->call);
        relay->sink->broken(relay, false);
        return;
    }
    if (!receiving && grpc_relay_ready(relay).size == 0)
        return;
    relay->watched_in = relay->bytes_in;
    relay->watched_out = relay->bytes_out;
    loop_timer_set(relay->worker->loop, timer, WATCH_US);
}

/* What the client asks for, within the bound of what it calls. */
static uint64_t relay_timeout_us(const struct grpc_relay *relay, struct slice asked) {
    const struct gateway_limits *limits = &relay->worker->gateway->limits;
    const struct schema_method *method = relay->method;
    bool unary = method && !method->client_streaming && !method->server_streaming;
    uint64_t timeout_us = unary ? limits->call_timeout_us : limits->stream_timeout_us;
    uint64_t asked_us;
    if (grpc_timeout_parse(asked, &asked_us) && asked_us < timeout_us)
        timeout_us = asked_us;
    return timeout_us > TIMEOUT_US_MIN ? timeout_us : TIMEOUT_US_MIN;
}

static enum grpc_metadata_fault relay_gather(struct relay_metadata *told,
                                             const struct grpc_relay_request *request,
                                             struct slice *ret_name) {
    struct grpc_metadata *metadata = &told->gathered;
    metadata->count = 0;
    metadata->bytes = CALL_FIXED_BYTES + request->path.size + request->content_type.size;
    if (metadata->bytes > GRPC_METADATA_MAX)
        return GRPC_METADATA_TOO_LARGE;
    ip_format(request->client_ip, told->client_ip);
    const struct transcode_header own[] = {
        {SLICE("x-forwarded-for"), slice_text(told->client_ip)},
        {SLICE("x-forwarded-client-cert"), request->peer->identity},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        enum grpc_metadata_fault fault = GRPC_METADATA_OK;
        if (own[i].value.size > 0)
            fault = grpc_metadata_add(metadata, own[i].name, own[i].value);
        if (fault != GRPC_METADATA_OK)
            return fault;
    }
    return grpc_metadata_gather(metadata, request->headers, request->header_count, ret_name);
}

static void relay_fail_metadata(struct grpc_relay *relay, enum grpc_metadata_fault fault,
                                struct slice name) {
    char message[256];
    snprintf(message, sizeof(message), "%.*s: %s", name.size < 100 ? (int)name.size : 100,
             (const char *)name.data, grpc_metadata_fault_text(fault));
    grpc_relay_fail(
        relay, fault == GRPC_METADATA_TOO_LARGE ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT,
        slice_text(message));
}

static void relay_start(struct grpc_relay *relay, const struct grpc_relay_request *request) {
    static const struct upstream_call_events events = {.head = relay_on_head,
                                                       .data = relay_on_data,
                                                       .taken = relay_on_taken,
                                                       .done = relay_on_done};
    struct slice name = SLICE("metadata");
    if (request->fault) {
        grpc_relay_fail(relay, GRPC_RESOURCE_EXHAUSTED, slice_text(request->fault));
        return;
    }
    relay->metadata = memory_alloc(sizeof(*relay->metadata));
    if (!relay->metadata) {
        grpc_relay_fail(relay, GRPC_UNAVAILABLE, SLICE("the gateway is out of memory"));
        return;
    }
    enum grpc_metadata_fault fault = relay_gather(relay->metadata, request, &name);
    if (fault != GRPC_METADATA_OK) {
        relay_fail_metadata(relay, fault, name);
        return;
    }
    uint64_t timeout_us = relay_timeout_us(relay, request->timeout);
    relay->call = (struct upstream_call){
        .events = &events,
        .arena = &relay->arena,
        .path = request->path,
        .streamed = true,
        .content_type = request->content_type,
        .timeout_us = timeout_us,
        .metadata = relay->metadata->gathered.list,
        .metadata_count = relay->metadata->gathered.count,
    };
    if (upstream_start(relay->worker->upstream, &relay->call) != SYNC_OK) {
        grpc_relay_fail(relay, GRPC_UNAVAILABLE, SLICE("the service is away; try again"));
        return;
    }
    loop_timer_set(relay->worker->loop, &relay->deadline, timeout_us + DEADLINE_GRACE_US);
}

void grpc_relay_begin(struct grpc_relay *relay, struct worker *worker,
                      const struct grpc_relay_sink *sink,
                      const struct grpc_relay_request *request) {
    *relay = (struct grpc_relay){.worker = worker,
                                 .api = api_hold(worker->api),
                                 .sink = sink,
                                 .client_ip = *request->client_ip,
                                 .deadline.fire = relay_deadline_fired,
                                 .watch.fire = relay_watch_fired,
                                 .begun_us = loop_now_us(worker->loop),
                                 .code = GRPC_CANCELLED};
    relay->method = schema_method_find(relay->api->schema, request->path);
    arena_init(&relay->arena, RELAY_ARENA_MAX);
    buffer_init(&relay->ready, GRPC_MESSAGE_MAX);
    relay_start(relay, request);
}

static void relay_log(const struct grpc_relay *relay, uint64_t duration_us) {
    char client[IP_TEXT_MAX];
    struct log *log = relay->worker->gateway->access_log;
    if (!log)
        return;
    ip_format(&relay->client_ip, client);
    log_line(
        log, LOG_INFO, "call", LOG_SLICE("rpc", relay->method ? relay->method->path : SLICE_EMPTY),
        LOG_SLICE("grpc_status",
                  relay->code == GRPC_OK ? SLICE("OK") : grpc_code_name(relay->code)),
        LOG_INT("duration_us", (int64_t)duration_us), LOG_INT("bytes_in", (int64_t)relay->bytes_in),
        LOG_INT("bytes_out", (int64_t)relay->bytes_out), LOG_TEXT("client", client));
}

void grpc_relay_close(struct grpc_relay *relay) {
    struct gateway *gateway = relay->worker->gateway;
    relay->settled = true;
    memory_free(relay->metadata);
    upstream_call_cancel(&relay->call);
    loop_timer_clear(&relay->deadline);
    loop_timer_clear(&relay->watch);
    atomic_fetch_sub_explicit(&gateway->buffered_bytes, relay->buffered_bytes,
                              memory_order_relaxed);
    uint64_t duration_us = clock_monotonic_us(gateway->clock) - relay->begun_us;
    int status = relay->code == GRPC_OK ? 200 : http_status_of_grpc(relay->code);
    method_metrics_request(relay->api->metrics, relay->method, status, duration_us, relay->bytes_in,
                           relay->bytes_out);
    relay_log(relay, duration_us);
    relay->api = api_release(relay->api);
    memory_free(relay->end);
    buffer_done(&relay->ready);
    arena_done(&relay->arena);
}

void grpc_relay_body(struct grpc_relay *relay, struct slice bytes) {
    relay->bytes_in += bytes.size;
    if (relay->end || !upstream_call_is_active(&relay->call)) {
        relay->sink->taken(relay, bytes.size); /* for nobody: its client may go on */
        return;
    }
    if (!grpc_tracker_feed(&relay->tracker, bytes, GRPC_MESSAGE_MAX)) {
        grpc_relay_fail(relay, GRPC_RESOURCE_EXHAUSTED,
                        SLICE("a message is larger than the gateway takes, or is none"));
        return;
    }
    if (upstream_call_send(&relay->call, bytes) != SYNC_OK) {
        grpc_relay_fail(relay, GRPC_UNAVAILABLE, SLICE("the gateway is out of memory"));
        return;
    }
    relay_count_buffered(relay);
    if (grpc_tracker_partial(&relay->tracker) > 0)
        relay_watch(relay);
}

void grpc_relay_body_end(struct grpc_relay *relay) {
    if (relay->end)
        return;
    if (grpc_tracker_partial(&relay->tracker) > 0)
        grpc_relay_fail(relay, GRPC_INVALID_ARGUMENT, SLICE("the request ends within a message"));
    else
        upstream_call_end_request(&relay->call);
}

void grpc_relay_take(struct grpc_relay *relay, size_t size) {
    relay->ready_taken += size;
    relay->bytes_out += size;
    assert(relay->ready_taken <= relay->ready.size);
    if (relay->ready_taken == relay->ready.size) {
        relay->ready_taken = 0;
        buffer_done(&relay->ready);
    } else if (relay->ready_taken > relay->ready.size / 2) {
        buffer_consume(&relay->ready, relay->ready_taken);
        relay->ready_taken = 0;
    }
    upstream_call_consume(&relay->call, size);
    relay_count_buffered(relay);
}

const struct grpc_relay_end *grpc_relay_ended(const struct grpc_relay *relay) {
    return relay->end;
}

void grpc_relay_drain(struct grpc_relay *relay) {
    struct loop *loop = relay->worker->loop;
    uint64_t left_us = relay->worker->gateway->limits.drain_timeout_us / 10 * 9;
    if (relay->end ||
        (relay->deadline.link && relay->deadline.due_us <= loop_now_us(loop) + left_us))
        return;
    relay->draining = true;
    loop_timer_set(loop, &relay->deadline, left_us);
}
