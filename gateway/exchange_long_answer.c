/* A unary answer whose message takes long to write as JSON, and to pack: another thread does both,
 * once the service has ended the call well. */
#include <assert.h>

#include "base/memory.h"
#include "gateway/exchange_types.h"
#include "gateway/offload.h"

enum {
    MESSAGE_SHORT_MAX = 256 << 10, /* larger ones are written elsewhere, … */
    PACKED_SHORT_MAX = 64 << 10,   /* … and so are these where they are packed as well */
};

/* It goes with its exchange, or, where that ends sooner, when the thread is done. */
struct exchange_long_answer {
    struct offload_task task;
    struct exchange *exchange; /* NULL: it is gone */
    struct worker *worker;
    struct api *api; /* held */
    struct route route;
    struct buffer message;
    size_t message_size;     /* of it while it is there; for the loop's thread */
    uint64_t buffered_bytes; /* what an exchange that is gone counted for it */
    bool is_running;
    enum content_coding coding; /* to pack in */
    bool must_pack;             /* also where that makes it no smaller */
    struct compressor *compressor;

    /* what comes of it */
    struct arena arena; /* of the headers' values */
    struct buffer out;
    bool is_packed;
    struct transcode_header headers[RESPONSE_HEADERS_MAX];
    size_t header_count;
    enum sync_status status;
    struct sync_error error;
};

static void long_answer_free(struct exchange_long_answer *answer) {
    (void)gateway_count_buffered(answer->worker->gateway, &answer->buffered_bytes, 0);
    buffer_done(&answer->message);
    buffer_done(&answer->out);
    compressor_close(answer->compressor);
    arena_done(&answer->arena);
    api_release(answer->api);
    memory_free(answer);
}

/* On a thread of the pool, or where that has no room for it on the loop's. */
static void long_answer_run(struct offload_task *task) {
    struct exchange_long_answer *answer = (struct exchange_long_answer *)task;
    answer->status = transcode_response_to_json(
        answer->api->schema, &answer->route, buffer_slice(&answer->message), &answer->arena,
        &answer->out, answer->headers, RESPONSE_HEADERS_MAX, &answer->header_count, &answer->error);
    buffer_done(&answer->message);
    if (answer->status == SYNC_OK && answer->coding != CODING_IDENTITY)
        answer->is_packed =
            compressor_replace(answer->compressor, answer->coding, answer->must_pack, &answer->out);
}

/* Answers with what came of it. */
static void long_answer_conclude(struct exchange *exchange) {
    struct exchange_long_answer *answer = exchange->long_answer;
    answer->message_size = 0;
    if (answer->status == SYNC_ERR_NO_MEMORY) {
        exchange_fail_memory(exchange);
        return;
    }
    if (answer->status != SYNC_OK) {
        exchange_fail(exchange, GRPC_INTERNAL, slice_text(answer->error.message), SLICE_EMPTY);
        return;
    }
    for (size_t i = 0; i < answer->header_count; i++)
        exchange_header(exchange, answer->headers[i].name, answer->headers[i].value);
    buffer_done(&exchange->out);
    exchange->out = answer->out;
    buffer_init(&answer->out, 0);
    exchange_answer_packed(exchange, exchange->route.method->success_status, answer->coding,
                           answer->is_packed);
}

/* Back on the loop's thread. */
static void long_answer_done(struct offload_task *task) {
    struct exchange_long_answer *answer = (struct exchange_long_answer *)task;
    answer->is_running = false;
    if (!answer->exchange) {
        long_answer_free(answer);
        return;
    }
    assert(answer->exchange->state == EXCHANGE_CALL); /* nothing answers it but its deadline */
    loop_timer_clear(&answer->exchange->timer);
    long_answer_conclude(answer->exchange);
}

bool exchange_long_answer_keep(struct exchange *exchange, struct slice message) {
    if (!exchange->worker->offload || message.size <= PACKED_SHORT_MAX)
        return false;
    enum content_coding coding = exchange_answer_coding(exchange);
    if (coding == CODING_IDENTITY && message.size <= MESSAGE_SHORT_MAX)
        return false;
    struct exchange_long_answer *answer = memory_zalloc(1, sizeof(*answer));
    if (!answer)
        return false;
    answer->task = (struct offload_task){
        .client = exchange->client_ip, .run = long_answer_run, .done = long_answer_done};
    answer->exchange = exchange;
    answer->worker = exchange->worker;
    answer->api = api_hold(exchange->api);
    answer->route = exchange->route;
    answer->message_size = message.size;
    answer->coding = coding;
    answer->must_pack = coding_refuses_identity(exchange->known.accept_encoding);
    arena_init(&answer->arena, EXCHANGE_ARENA_MAX);
    buffer_init(&answer->message, message.size);
    buffer_init(&answer->out, exchange->out.size_max);
    if (coding != CODING_IDENTITY)
        answer->compressor = compressor_open();
    if ((coding != CODING_IDENTITY && !answer->compressor) ||
        !upstream_call_keep(&exchange->call, message, &answer->message)) {
        long_answer_free(answer);
        return false;
    }
    exchange->long_answer = answer;
    if (!exchange_count(exchange))
        exchange_fail_buffers(exchange);
    return true;
}

size_t exchange_long_answer_held(const struct exchange *exchange) {
    return exchange->long_answer ? exchange->long_answer->message_size : 0;
}

void exchange_long_answer_begin(struct exchange *exchange) {
    struct exchange_long_answer *answer = exchange->long_answer;
    if (offload_start(exchange->worker->offload, &answer->task) == SYNC_OK) {
        answer->is_running = true;
        loop_timer_set(exchange->worker->loop, &exchange->timer, exchange_timeout_us(exchange));
        return;
    }
    /* The service has done what it was asked for: that is told, if only by the loop's thread. */
    long_answer_run(&answer->task);
    long_answer_conclude(exchange);
}

bool exchange_long_answer_is_late(struct exchange *exchange) {
    if (!exchange->long_answer || !exchange->long_answer->is_running)
        return false;
    exchange_long_answer_close(exchange);
    exchange_fail(exchange, GRPC_DEADLINE_EXCEEDED,
                  SLICE("the gateway did not get to the answer in time"), SLICE_EMPTY);
    return true;
}

void exchange_long_answer_close(struct exchange *exchange) {
    struct exchange_long_answer *answer = exchange->long_answer;
    exchange->long_answer = NULL;
    if (!answer->is_running || offload_withdraw(&answer->task)) {
        long_answer_free(answer);
        return;
    }
    /* The thread reads the message yet: its memory is counted until that is done. */
    answer->exchange = NULL;
    answer->buffered_bytes = answer->message_size;
    exchange->buffered_bytes -= answer->message_size;
}
