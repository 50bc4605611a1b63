/* Batches of a stream. */
#include <assert.h>

#include "base/memory.h"
#include "service/rpc/sync_stream_private.h"
#include "service/rpc/upload.h"

enum { FAULTS_TOLD_MAX = 100 };

/* A batch being applied. */
struct apply_work {
    struct upload upload; /* first: found from it */
    struct sync_stream *stream;
    struct arena arena;
    enum sync_status status;
    bool is_near; /* little of a limit is left */
};

/* Answers, and releases the work. */
static void apply_end(struct sync_stream *stream, const struct session_answer *answer) {
    struct apply_work *work = stream->applying;
    stream->applying = NULL;
    stream_answer(stream, answer);
    if (work) {
        arena_done(&work->arena);
        memory_free(work);
    }
}

static void apply_fail(struct sync_stream *stream, enum sync_status status,
                       const struct sync_error *error) {
    struct session_answer answer = {.kind = SESSION_APPLY};
    if (error && error->status == status)
        answer.error = *error;
    stream_error(&answer.error, status);
    apply_end(stream, &answer);
}

/* Refuses the batch with a message of its own. */
static void apply_refuse(struct sync_stream *stream, enum sync_status status,
                         const PB(SyncBatchError) *refusal) {
    struct session_answer answer = {.kind = SESSION_APPLY};
    sync_error_set(&answer.error, status, refusal->reason, NULL, "%s", refusal->message);
    answer.apply.refusal = refusal;
    apply_end(stream, &answer);
}

static PB(SyncFieldFault) *fault_message(const struct rpc_violation *violation,
                                         struct arena *arena) {
    PB(SyncFieldFault) *fault = arena_alloc(arena, sizeof *fault);
    if (!fault)
        return NULL;
    travelsense__sync__v1__sync_field_fault__init(fault);
    fault->field = arena_copy_text(arena, violation->field);
    fault->reason = (char *)violation->reason;
    fault->message = arena_copy_text(arena, violation->description);
    return fault->field && fault->message ? fault : NULL;
}

/* Refuses a batch with faults; those of the first changes are told. */
static void apply_refuse_faults(struct sync_stream *stream, const struct violations *violations) {
    struct arena *arena = &stream->applying->arena;
    size_t told = violations->count < FAULTS_TOLD_MAX ? violations->count : FAULTS_TOLD_MAX;
    PB(SyncBatchError) refusal = PB_INIT(SYNC_BATCH_ERROR);
    refusal.reason = "INVALID_CHANGES";
    refusal.message = "the batch has faults; nothing of it is stored";
    refusal.faults = arena_zalloc(arena, told, sizeof *refusal.faults);
    if (!refusal.faults || violations->no_memory) {
        apply_fail(stream, SYNC_ERR_BUSY, NULL);
        return;
    }
    for (size_t i = 0; i < told; i++) {
        refusal.faults[i] = fault_message(&violations->list[i], arena);
        if (!refusal.faults[i]) {
            apply_fail(stream, SYNC_ERR_BUSY, NULL);
            return;
        }
    }
    refusal.n_faults = told;
    refusal.faults_omitted = (int32_t)(violations->count - told + violations->omitted);
    apply_refuse(stream, SYNC_ERR_INVALID, &refusal);
}

static void apply_refuse_limit(struct sync_stream *stream, const struct limit_decision *decision) {
    Google__Protobuf__Duration after = GOOGLE__PROTOBUF__DURATION__INIT;
    after.seconds = (int64_t)(decision->retry_after_ms / 1000);
    after.nanos = (int32_t)(decision->retry_after_ms % 1000 * 1000000);
    PB(SyncBatchError) refusal = PB_INIT(SYNC_BATCH_ERROR);
    refusal.reason = decision->quota ? "QUOTA_EXCEEDED" : "RATE_LIMITED";
    refusal.message = decision->quota ? "the day's quota of changes is used up"
                                      : "too many changes at once; send the batch again later";
    refusal.retry_after = &after;
    apply_refuse(stream, SYNC_ERR_EXHAUSTED, &refusal);
}

static void apply_upload_done(struct upload *upload, enum sync_status status) {
    struct apply_work *work = (struct apply_work *)upload;
    work->status = status;
    wake_up(&work->stream->wake, STREAM_APPLIED);
}

/* Tells the device once that a limit is near, until it no longer is. */
static void apply_tell_near(struct sync_stream *stream, bool is_near) {
    bool is_news = is_near && !stream->is_near;
    stream->is_near = is_near;
    if (is_news)
        session_tell(stream->session,
                     &(struct session_event){
                         .kind = SESSION_QUOTA_NEAR,
                         .text = SLICE("more than nine tenths of the changes that are allowed at "
                                       "once, or in a day, are used")},
                     stream_now(stream));
}

void stream_apply_done(struct sync_stream *stream) {
    struct apply_work *work = stream->applying;
    struct upload *upload = &work->upload;
    bool is_near = work->is_near;
    if (work->status != SYNC_OK) {
        apply_fail(stream, work->status, &upload->error);
        return;
    }
    struct session_answer answer = {.kind = SESSION_APPLY};
    answer.apply.results = upload->messages;
    answer.apply.count = upload->content.count;
    answer.apply.before = upload->before.sequence;
    answer.apply.after = upload->sequence;
    answer.apply.checksum = upload->checksum;
    answer.apply.as_sent = upload->as_sent;
    apply_end(stream, &answer);
    if (!stream->is_over)
        apply_tell_near(stream, is_near);
}

/* Checks the batch and takes it from the limits; false when it has been answered. */
static bool apply_check(struct sync_stream *stream, const struct session_request *request) {
    struct apply_work *work = stream->applying;
    const PB(SyncBatch) *batch = request->apply.batch;
    struct violations violations;
    violations_init(&violations, &work->arena, 0);
    struct upload_message message = {.changes = batch->changes, .count = batch->n_changes};
    upload_check(&work->upload, &message, &violations);
    if (violations_any(&violations)) {
        apply_refuse_faults(stream, &violations);
        return false;
    }
    work->upload.content.clock_offset_us = request->apply.clock_offset_us;
    struct limit_decision decision =
        upload_take(&work->upload, rpc_call_identity(stream->call)->is_service);
    work->is_near = decision.is_near;
    if (!decision.allowed)
        apply_refuse_limit(stream, &decision);
    return decision.allowed;
}

void stream_apply_ask(struct sync_stream *stream, const struct session_request *request) {
    assert(!stream->applying);
    struct apply_work *work = memory_zalloc(1, sizeof *work);
    if (!work) {
        apply_fail(stream, SYNC_ERR_BUSY, NULL);
        return;
    }
    arena_init(&work->arena, BATCH_ARENA_MAX);
    work->stream = stream;
    work->upload = (struct upload){
        .service = stream->service,
        .arena = &work->arena,
        .user = stream_user(stream),
        .device = slice_text(stream->device),
        .acknowledged = request->apply.acknowledged,
        .received_us = (int64_t)clock_now_us(stream->service->clock),
        .bytes = request->apply.bytes,
        .done = apply_upload_done,
    };
    stream->applying = work;
    if (apply_check(stream, request))
        upload_start(&work->upload);
}
