/* Sync streams: the session of the core, and its way to a device: in order and whole, until it is
 * cut. The service's side of it. */
#include <stdlib.h>
#include <string.h>

#include "service/core/session_private.h"
#include "service/rpc/conflict_view.h"
#include "tests/simulation/sim.h"

enum { ACTIONS_MAX = 1000, ANSWER_ARENA_MAX = 64 << 20, INDEX_BYTES_MAX = 1 << 16 };

static struct session_time time_now(const struct sim_world *world) {
    return (struct session_time){.wall_us = world->now_us, .monotonic_us = world->monotonic_us};
}

/* Does what the session asks for, answers aside. */
static void stream_run(struct sim_world *world, struct sim_stream *stream) {
    struct session_action action = {0};
    for (int i = 0; i < ACTIONS_MAX; i++) {
        const char *fault = session_fault(stream->session);
        SIM_HOLDS(world, !fault, "a session is unsound: %s", fault);
        session_next(stream->session, time_now(world), &action);
        if (action.kind == SESSION_WAIT)
            return;
        SIM_HOLDS(world, !stream->has_ended, "a session goes on after its end");
        if (action.kind == SESSION_RECEIVE) {
            stream->wants_message = true;
        } else if (action.kind == SESSION_SEND) {
            SIM_HOLDS(world, !stream->is_sending && stream->down_count < SIM_PIPE_MAX,
                      "a session sends too much at once");
            ProtobufCAllocator allocator;
            arena_protobuf_allocator(&world->arena, &allocator);
            stream->down[stream->down_count++] = travelsense__sync__v1__sync_response__unpack(
                &allocator, action.bytes.size, action.bytes.data);
            stream->is_sending = true;
        } else if (action.kind == SESSION_ASK) {
            stream->asked[action.request->kind] = action.request;
        } else {
            stream->has_ended = true;
        }
    }
    sim_violate(world, "a session asks without end");
}

static void stream_tell(struct sim_world *world, struct sim_stream *stream,
                        const struct session_event *event) {
    session_tell(stream->session, event, time_now(world));
    stream_run(world, stream);
}

static void stream_tell_kind(struct sim_world *world, struct sim_stream *stream,
                             enum session_event_kind kind) {
    stream_tell(world, stream,
                &(struct session_event){.kind = kind, .head = world->ledger.head.sequence});
}

/* ---- Answers */

static void stream_answer(struct sim_world *world, struct sim_stream *stream,
                          const struct session_answer *answer) {
    stream->asked[answer->kind] = NULL;
    stream_tell(world, stream, &(struct session_event){.kind = SESSION_ANSWERED, .answer = answer});
}

static void answer_failed(struct session_answer *answer, enum sync_status status) {
    if (status != SYNC_OK)
        sync_error_of(&answer->error, status);
}

static void answer_open(struct sim_world *world, struct session_answer *answer,
                        struct arena *arena) {
    struct touched want = {.user = SIM_USER};
    struct user_view view;
    enum sync_status status = store_load(world->store, NULL, &want, arena, &view);
    answer_failed(answer, status);
    if (status != SYNC_OK)
        return;
    answer->open.sync_id = SLICE("sync");
    answer->open.epoch = store_epoch(world->store);
    answer->open.head = view.head.sequence;
    answer->open.conflicts_open = view.head.conflicts_open;
    answer->open.data_bytes = view.head.data_bytes;
    answer->open.record_count = view.head.record_count;
}

static void answer_conflict(struct sim_world *world, const struct session_request *request,
                            struct session_answer *answer, struct arena *arena) {
    struct row row = {.table = TABLE_CONFLICT, .key = request->conflict_id};
    struct touched want = {.user = SIM_USER, .rows = &row, .row_count = 1};
    struct user_view view;
    struct conflict conflict;
    enum sync_status status = store_load(world->store, NULL, &want, arena, &view);
    if (status == SYNC_OK && !view.rows[0].found)
        status = SYNC_ERR_NOT_FOUND;
    if (status == SYNC_OK)
        status = conflict_unpack(view.rows[0].value, arena, &conflict);
    answer_failed(answer, status);
    if (status == SYNC_OK)
        answer->conflict = conflict_message(&conflict, NULL, arena);
}

static void answer_acknowledge(struct sim_world *world, struct sim_stream *stream,
                               uint64_t sequence, struct session_answer *answer,
                               struct arena *arena) {
    struct row_write row = {
        .table = TABLE_DEVICE,
        .key = slice_text(arena_format(arena, "u-%s", world->devices[stream->device].id)),
        .value = slice_of(&sequence, sizeof sequence)};
    struct write_set set = {.user = SIM_USER, .any_revision = true, .rows = &row, .row_count = 1};
    SIM_HOLDS(world, sequence <= world->ledger.head.sequence,
              "what a device acknowledges is not there yet");
    answer_failed(answer, store_commit_wait(world->store, &set, NULL));
}

/* A batch is a job; its answer comes when it is durable. */
static bool apply_begin(struct sim_world *world, struct sim_stream *stream) {
    const struct session_request *request = stream->asked[SESSION_APPLY];
    if (stream->job)
        return false;
    struct sim_job *job = sim_job_start(world, JOB_UPLOAD);
    if (!job)
        return false;
    stream->job = job;
    job->stream = stream;
    job->device = stream->device;
    job->upload.is_stream = true;
    job->upload.clock_offset_us = request->apply.clock_offset_us;
    job->upload.has_acknowledged = true;
    job->upload.acknowledged = request->apply.acknowledged;
    for (size_t i = 0; i < request->apply.batch->n_changes; i++)
        job->upload.changes[job->upload.count++] =
            (uint32_t)strtoul(request->apply.batch->changes[i]->id + 1, NULL, 10);
    return true;
}

static PB(ChangeResult) *result_message(struct sim_world *world,
                                        const struct change_result *result) {
    PB(ChangeResult) *message = sim_alloc(world, sizeof *message);
    travelsense__sync__v1__change_result__init(message);
    message->change_id = arena_copy_text(&world->arena, result->change_id);
    message->data_id = arena_copy_text(&world->arena, result->data_id);
    message->conflict_id = arena_copy_text(&world->arena, result->conflict_id);
    message->outcome = (PB(ChangeOutcome))result->outcome;
    message->duplicate = result->duplicate;
    message->data_type = (PB(DataType))result->type;
    message->version = (int64_t)result->version;
    return message;
}

void sim_stream_applied(struct sim_world *world, struct sim_job *job, enum sync_status status) {
    struct sim_stream *stream = job->stream;
    struct session_answer answer = {.kind = SESSION_APPLY};
    stream->job = NULL;
    job->stream = NULL;
    answer_failed(&answer, status);
    if (status == SYNC_OK) {
        size_t count = job->upload.count;
        bool stores = job->set.log_count > 0;
        PB(ChangeResult) **results = sim_alloc(world, count * sizeof *results);
        answer.apply.as_sent = true;
        for (size_t i = 0; i < count; i++) {
            const struct change_result *result = &job->results[i];
            results[i] = result_message(world, result);
            answer.apply.as_sent =
                answer.apply.as_sent && result->outcome == OUTCOME_APPLIED && !result->duplicate;
        }
        answer.apply.results = results;
        answer.apply.count = count;
        answer.apply.before = job->before.sequence;
        answer.apply.after = stores ? job->set.head.sequence : job->before.sequence;
        answer.apply.checksum = stores ? job->set.head.checksum : job->before.checksum;
    }
    stream_answer(world, stream, &answer);
}

static void answer_make(struct sim_world *world, struct sim_stream *stream,
                        enum session_request_kind kind) {
    const struct session_request *request = stream->asked[kind];
    struct session_answer answer = {.kind = kind};
    struct arena arena;
    arena_init(&arena, ANSWER_ARENA_MAX);
    if (kind == SESSION_OPEN)
        answer_open(world, &answer, &arena);
    else if (kind == SESSION_CONFLICT)
        answer_conflict(world, request, &answer, &arena);
    else if (kind == SESSION_ACKNOWLEDGE)
        answer_acknowledge(world, stream, request->acknowledged, &answer, &arena);
    if (kind == SESSION_PAGE) {
        struct lap_source source = {.store = world->store,
                                    .user = SIM_USER,
                                    .now_us = world->now_us,
                                    .index_bytes_max = INDEX_BYTES_MAX};
        lap_read(&stream->lap, &source, &request->page, &arena, &answer);
    }
    if (!world->has_crashed)
        stream_answer(world, stream, &answer);
    arena_done(&arena);
}

/* ---- Moves */

static bool move_answer(struct sim_world *world, struct sim_stream *stream) {
    uint32_t kind = world_pick(world, SESSION_REQUEST_KINDS);
    for (uint32_t i = 0; i < SESSION_REQUEST_KINDS;
         i++, kind = (kind + 1) % SESSION_REQUEST_KINDS) {
        if (!stream->asked[kind])
            continue;
        if (kind == SESSION_APPLY && apply_begin(world, stream))
            return true;
        if (kind == SESSION_APPLY && stream->job) {
            sim_job_step(world, stream->job);
            return true;
        }
        if (kind == SESSION_APPLY)
            continue;
        answer_make(world, stream, (enum session_request_kind)kind);
        return true;
    }
    return false;
}

static bool move_up(struct sim_world *world, struct sim_stream *stream) {
    if (!stream->wants_message || (stream->up_count == 0 && !stream->has_half_closed))
        return false;
    stream->wants_message = false;
    if (stream->up_count == 0) {
        stream_tell_kind(world, stream, SESSION_HALF_CLOSED);
        return true;
    }
    struct slice bytes = stream->up[0];
    memmove(stream->up, stream->up + 1, --stream->up_count * sizeof *stream->up);
    stream_tell(world, stream, &(struct session_event){.kind = SESSION_RECEIVED, .bytes = bytes});
    return true;
}

static bool move_down(struct sim_world *world, struct sim_stream *stream) {
    if (stream->down_count == 0)
        return false;
    const PB(SyncResponse) *message = stream->down[0];
    memmove(stream->down, stream->down + 1, --stream->down_count * sizeof(void *));
    sim_stream_receive(world, stream, message);
    return true;
}

static bool move_sent(struct sim_world *world, struct sim_stream *stream) {
    if (!stream->is_sending || stream->down_count >= SIM_PIPE_MAX / 2)
        return false;
    stream->is_sending = false;
    stream_tell_kind(world, stream, SESSION_SENT);
    return true;
}

/* Whether nothing can come any more. */
static bool is_over(const struct sim_stream *stream) {
    return stream->has_ended && stream->down_count == 0;
}

bool sim_stream_step(struct sim_world *world, struct sim_stream *stream) {
    if (!stream->session)
        return false;
    bool moved = false;
    uint32_t first = world_pick(world, 5);
    for (uint32_t i = 0; i < 5 && !moved && !world->has_crashed; i++) {
        uint32_t move = (first + i) % 5;
        moved = move == 0   ? move_up(world, stream)
                : move == 1 ? move_down(world, stream)
                : move == 2 ? move_sent(world, stream)
                : move == 3 ? move_answer(world, stream)
                            : sim_stream_speak(world, stream);
    }
    /* A live device that has said all goes on listening until it has enough. */
    bool has_enough = !moved && stream->has_half_closed && stream->is_live;
    if (!world->has_crashed && (is_over(stream) || has_enough)) {
        sim_stream_cut(world, stream);
        return true;
    }
    return moved;
}

void sim_stream_committed(struct sim_world *world) {
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        struct sim_stream *stream = &world->devices[i].stream;
        if (stream->session && !stream->has_ended)
            stream_tell_kind(world, stream, SESSION_COMMITTED);
    }
}

void sim_stream_time(struct sim_world *world) {
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        struct sim_stream *stream = &world->devices[i].stream;
        if (stream->session && !stream->has_ended)
            stream_tell_kind(world, stream, SESSION_TIME);
    }
}

/* ---- Life */

void sim_stream_open(struct sim_world *world, struct sim_device *device) {
    struct sim_stream *stream = &device->stream;
    struct session_settings settings = session_settings_default;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    settings.page_bytes = 1 + world_pick(world, 3000);
    settings.page_records = 1 + world_pick(world, 6);
    *stream = (struct sim_stream){.device = device->number,
                                  .is_live = world_pick(world, 2),
                                  .next_batch = (int64_t)world_pick(world, 1000)};
    SIM_HOLDS(world, session_open(&settings, 0, time_now(world), &stream->session) == SYNC_OK,
              "a session does not open");
    device->request = 0;
    hello.device_id = device->id;
    hello.cursor = device->cursor;
    hello.live = stream->is_live;
    hello.sync_type = world_pick(world, 2)
                          ? TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA
                          : TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_INCREMENTAL;
    if (sim_patch_form(device) == PATCH_FORM_OPERATIONS)
        hello.patch_format = TRAVELSENSE__SYNC__V1__PATCH_FORMAT__PATCH_FORMAT_OPERATIONS;
    hello.batches_in_flight_max = (int32_t)(1 + world_pick(world, 4));
    hello.unacknowledged_bytes_max = (int32_t)world_pick(world, 4000);
    hello.changes_pending = device->queue_count;
    hello.sent_at = message_time(&world->arena, world->now_us + device->offset_us);
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    request.hello = &hello;
    SIM_HOLDS(world, message_pack(&request.base, &world->arena, &stream->up[stream->up_count++]),
              "no memory");
    sim_tell(world, "%s opens a stream at %llu", device->id, (unsigned long long)device->plain);
    world->report->streams++;
    stream_run(world, stream);
}

void sim_stream_cut(struct sim_world *world, struct sim_stream *stream) {
    struct sim_device *device = &world->devices[stream->device];
    if (!stream->session)
        return;
    if (stream->job) { /* it goes on; nobody hears of it */
        stream->job->stream = NULL;
        stream->job->request = 0;
        stream->job = NULL;
    }
    lap_release(&stream->lap);
    stream->session = session_close(stream->session);
    memset(device->in_flight, 0, sizeof device->in_flight);
}
