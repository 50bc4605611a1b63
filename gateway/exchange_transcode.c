/* A request's body becomes the call's message: by the loop's own thread, or where that would hold
 * it for long, by another's. */
#include <assert.h>

#include "base/memory.h"
#include "gateway/exchange_types.h"
#include "gateway/offload.h"
#include "gateway/schema_types.h"

enum {
    FAULTS_TEXT_MAX = 8,
    MESSAGE_SMALL = 4 << 10,
    BODY_SHORT_MAX = 256 << 10, /* larger ones take their turn elsewhere, … */
    CODED_SHORT_MAX = 64 << 10, /* … and so do these, which may hold a hundredfold */
};

_Static_assert((int)BODY_SHORT_MAX >= (int)WORKER_SCRATCH_SIZE,
               "a body that is borrowed (exchange_whole_body) is never long");

/* What it takes to make a message of a body. */
struct transcode_work {
    const struct api *api;
    const struct route *route;
    struct transcode_request request; /* its body is plain, or in `coding` */
    struct transcode_options options;
    enum content_coding coding;
    struct compressor *compressor;
    struct buffer plain; /* the body as it was coded, where it was */
    struct buffer wire;
    enum sync_status decoded, status;
    struct sync_error error;
};

/* A transcoding that another thread does. It goes with its exchange, or, where that ends sooner,
 * when the thread is done. */
struct exchange_job {
    struct offload_task task;
    struct exchange *exchange; /* NULL: it is gone */
    struct worker *worker;
    struct api *api; /* held */
    struct route route;
    struct transcode_faults faults;
    struct transcode_work work;
    struct arena arena;      /* of what these borrow, and of what they find */
    struct buffer body;      /* left by an exchange that is gone, … */
    uint64_t buffered_bytes; /* … and what it counted for that */
    bool is_running;
};

/* Whether the service names the faults of the JSON together with its own. */
static bool exchange_hands_faults_on(const struct exchange *exchange) {
    return exchange->route.method->faults_metadata.size > 0 &&
           exchange->stream == EXCHANGE_STREAM_NONE;
}

/* Tells the service how many faults there are, so that it looks for more and stores nothing. */
static void exchange_pass_faults(struct exchange *exchange) {
    struct slice name = exchange->route.method->faults_metadata;
    size_t size = name.size + METADATA_ENTRY_BYTES + FAULTS_TEXT_MAX;
    char *text = arena_format(&exchange->arena, "%zu", exchange->faults.count);
    if (!text)
        exchange_fail_memory(exchange);
    else if (exchange_metadata_room(exchange) <= size)
        exchange_refuse_token(exchange);
    else
        exchange_metadata_add(exchange, name, slice_text(text));
}

/* Whether the work would hold the loop for long. */
static bool work_is_long(const struct exchange *exchange, const struct transcode_work *work) {
    size_t max = work->coding == CODING_IDENTITY ? BODY_SHORT_MAX : CODED_SHORT_MAX;
    return exchange->worker->offload && work->request.body.size > max;
}

/* Decodes the body; false when that failed. */
static bool work_decode(struct transcode_work *work) {
    work->decoded = SYNC_OK;
    if (work->coding == CODING_IDENTITY || work->request.body.size == 0)
        return true;
    work->decoded =
        compressor_unpack(work->compressor, work->coding, work->request.body, &work->plain);
    work->request.body = buffer_slice(&work->plain);
    work->coding = CODING_IDENTITY;
    return work->decoded == SYNC_OK;
}

/* Makes the message, with its prefix. */
static void work_transcode(struct transcode_work *work) {
    static const uint8_t prefix[GRPC_PREFIX_SIZE];
    buffer_append(&work->wire, slice_of(prefix, sizeof(prefix)));
    work->status = transcode_request_to_wire(work->api->schema, work->route, &work->request,
                                             &work->options, &work->wire, &work->error);
    if (work->status == SYNC_OK)
        work->status = buffer_status(&work->wire);
}

/* Answers that the body could not be decoded. */
static void exchange_refuse_coding(struct exchange *exchange, enum sync_status status) {
    if (status == SYNC_ERR_TOO_LARGE)
        exchange_refuse_as(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"),
                           "the body is larger than %d bytes once decoded, or than a hundredfold",
                           HTTP_BODY_MAX);
    else if (status == SYNC_ERR_INVALID)
        exchange_refuse_as(exchange, 400, GRPC_INVALID_ARGUMENT, SLICE("CONTENT_ENCODING"),
                           "the body is not whole and well-formed in its content coding");
    else
        exchange_fail_memory(exchange);
}

/* Replaces the body by what it was found to hold; false when the answer stands. */
static bool exchange_take_plain(struct exchange *exchange, struct transcode_work *work) {
    if (work->decoded != SYNC_OK) {
        buffer_done(&work->plain);
        exchange_refuse_coding(exchange, work->decoded);
        return false;
    }
    if (!work->plain.data)
        return true;
    buffer_done(&exchange->body);
    exchange->body = work->plain;
    buffer_init(&work->plain, 0);
    if (exchange_count(exchange))
        return true;
    exchange_fail_buffers(exchange);
    return false;
}

/* Puts a message in the place of the body that it was made of; false when that is too much, and the
 * answer stands. Small ones are in what is counted for each request. */
static bool exchange_settle_message(struct exchange *exchange) {
    if (exchange->wire.size <= MESSAGE_SMALL && exchange->body.size <= MESSAGE_SMALL)
        return true;
    exchange_release_body(exchange);
    if (exchange_count(exchange))
        return true;
    exchange_fail_buffers(exchange);
    return false;
}

/* Answers that there is no message, or calls with it. */
static void exchange_conclude(struct exchange *exchange, const struct transcode_work *work) {
    const struct sync_error *error = &work->error;
    exchange->wire = work->wire;
    if (work->status == SYNC_ERR_TOO_LARGE)
        exchange_refuse_as(exchange, 413, GRPC_RESOURCE_EXHAUSTED, SLICE("BODY_TOO_LARGE"), "%s",
                           error->message[0] ? error->message : "the request is too large");
    else if (work->status == SYNC_ERR_INVALID)
        exchange_refuse_as(exchange, 400, GRPC_INVALID_ARGUMENT,
                           slice_text(error->reason[0] ? error->reason : "MALFORMED_BODY"),
                           "%s%s%s", error->field, error->field[0] ? ": " : "", error->message);
    else if (work->status != SYNC_OK)
        exchange_fail_memory(exchange);
    else if (exchange->faults.count > 0 && exchange_hands_faults_on(exchange))
        exchange_pass_faults(exchange);
    else if (exchange->faults.count > 0)
        exchange_fail_faults(exchange, SLICE_EMPTY);
    if (exchange->state == EXCHANGE_BODY && exchange_settle_message(exchange))
        exchange_call(exchange, exchange->route.method->path, exchange_timeout_us(exchange),
                      GRPC_MESSAGE_MAX);
}

static void job_free(struct exchange_job *job) {
    gateway_count_buffered(job->worker->gateway, &job->buffered_bytes, 0);
    buffer_done(&job->body);
    buffer_done(&job->work.plain);
    buffer_done(&job->work.wire);
    compressor_close(job->work.compressor);
    arena_done(&job->arena);
    api_release(job->api);
    memory_free(job);
}

/* On a thread of the pool. */
static void job_run(struct offload_task *task) {
    struct exchange_job *job = (struct exchange_job *)task;
    if (work_decode(&job->work))
        work_transcode(&job->work);
}

/* Back on the loop's thread. */
static void job_done(struct offload_task *task) {
    struct exchange_job *job = (struct exchange_job *)task;
    struct exchange *exchange = job->exchange;
    job->is_running = false;
    if (!exchange) {
        job_free(job);
        return;
    }
    assert(exchange->state == EXCHANGE_BODY); /* nothing answers it meanwhile but its deadline */
    loop_timer_clear(&exchange->timer);
    if (!exchange_take_plain(exchange, &job->work))
        return;
    buffer_done(&exchange->wire);
    exchange->faults = job->faults;
    exchange_conclude(exchange, &job->work);
    buffer_init(&job->work.wire, 0);
}

/* Copies what the work borrows of the exchange, but for the body; false without memory. */
static bool job_copy(struct exchange_job *job) {
    struct transcode_request *request = &job->work.request;
    struct arena *arena = &job->arena;
    struct transcode_header *headers =
        arena_zalloc(arena, request->header_count + 1, sizeof(*headers));
    bool copied = headers && arena_copy(arena, request->verb, &request->verb) &&
                  arena_copy(arena, request->path, &request->path) &&
                  arena_copy(arena, request->query, &request->query) &&
                  arena_copy(arena, request->accept, &request->accept) &&
                  arena_copy(arena, request->content_type, &request->content_type);
    for (size_t i = 0; copied && i < request->header_count; i++)
        copied = arena_copy(arena, request->headers[i].name, &headers[i].name) &&
                 arena_copy(arena, request->headers[i].value, &headers[i].value);
    for (size_t i = 0; copied && i < job->route.binding_count; i++)
        copied = arena_copy(arena, job->route.bindings[i].value, &job->route.bindings[i].value);
    request->headers = headers;
    return copied;
}

/* A job for the work; NULL without memory. */
static struct exchange_job *job_open(struct exchange *exchange, const struct transcode_work *work) {
    struct exchange_job *job = memory_zalloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->task =
        (struct offload_task){.client = exchange->client_ip, .run = job_run, .done = job_done};
    job->worker = exchange->worker;
    job->api = api_hold(exchange->api);
    job->route = exchange->route;
    job->faults = exchange->faults;
    job->work = *work;
    job->work.api = job->api;
    job->work.route = &job->route;
    job->work.options.faults = &job->faults;
    arena_init(&job->arena, EXCHANGE_ARENA_MAX);
    job->faults.arena = &job->arena;
    buffer_init(&job->body, 0);
    buffer_init(&job->work.wire, GRPC_MESSAGE_MAX + GRPC_PREFIX_SIZE);
    job->work.compressor = NULL;
    bool coded = work->coding != CODING_IDENTITY;
    if (coded)
        job->work.compressor = compressor_open();
    if (job_copy(job) && (!coded || job->work.compressor))
        return job;
    job_free(job);
    return NULL;
}

/* Has the work done by another thread. */
static void exchange_offload(struct exchange *exchange, const struct transcode_work *work) {
    struct exchange_job *job = job_open(exchange, work);
    if (!job) {
        exchange_fail_memory(exchange);
        return;
    }
    if (offload_start(exchange->worker->offload, &job->task) != SYNC_OK) {
        job_free(job);
        exchange_refuse_as(exchange, 503, GRPC_UNAVAILABLE, SLICE("BODIES_WAIT"),
                           "as many long bodies wait to be read as may; try again");
        return;
    }
    job->exchange = exchange;
    job->is_running = true;
    exchange->job = job;
    loop_timer_set(exchange->worker->loop, &exchange->timer, exchange_timeout_us(exchange));
}

void exchange_transcode_close(struct exchange *exchange) {
    struct exchange_job *job = exchange->job;
    exchange->job = NULL;
    if (!job->is_running || offload_withdraw(&job->task)) {
        job_free(job);
        return;
    }
    /* The thread reads the body yet: its memory is held, and counted, until it is done. */
    job->exchange = NULL;
    job->body = exchange->body;
    buffer_init(&exchange->body, HTTP_BODY_MAX);
    job->buffered_bytes = exchange->buffered_bytes - EXCHANGE_BYTES;
    exchange->buffered_bytes = EXCHANGE_BYTES;
}

void exchange_transcode_late(struct exchange *exchange) {
    exchange_transcode_close(exchange);
    exchange_fail(exchange, GRPC_DEADLINE_EXCEEDED,
                  SLICE("the gateway did not get to the body in time"), SLICE_EMPTY);
}

void exchange_call_method(struct exchange *exchange) {
    exchange_gather_metadata(exchange);
    exchange->stream = exchange_stream_form(exchange);
    exchange->faults.arena = &exchange->arena;
    exchange->faults.count_max =
        exchange_hands_faults_on(exchange) ? BATCH_FAULTS_MAX : JSON_FAULTS_MAX;
    struct transcode_work work = {
        .api = exchange->api,
        .route = &exchange->route,
        .request = exchange->request,
        .options = {.check_required = true,
                    .ignore_unknown_query = exchange->worker->gateway->ignore_unknown_query,
                    .faults = &exchange->faults},
        .coding = coding_parse(exchange->known.content_encoding),
        .compressor = exchange->worker->compressor,
        .wire = exchange->wire,
    };
    buffer_init(&work.plain, HTTP_BODY_MAX);
    if (exchange->body.size > 0)
        work.request.body = buffer_slice(&exchange->body);
    if (!work_is_long(exchange, &work)) {
        work_decode(&work);
        if (!exchange_take_plain(exchange, &work))
            return;
    }
    if (work_is_long(exchange, &work)) {
        exchange_offload(exchange, &work);
        return;
    }
    work_transcode(&work);
    exchange_conclude(exchange, &work);
}
