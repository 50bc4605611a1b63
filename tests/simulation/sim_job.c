/* The service's work on the store: uploads, puts and resolutions. Each reads in one step and writes
 * in a later one, so that others come in between, as with several instances of the service. */
#include <stdio.h>
#include <string.h>

#include "service/core/hybrid_clock.h"
#include "service/rpc/upload_validate.h"
#include "tests/simulation/sim_judge.h"

enum { JOB_ARENA_MAX = 64 << 20 };

struct sim_job *sim_job_start(struct sim_world *world, enum sim_job_kind kind) {
    for (size_t i = 0; i < SIM_JOBS_MAX; i++) {
        struct sim_job *job = &world->jobs[i];
        if (job->is_used)
            continue;
        *job = (struct sim_job){.is_used = true, .kind = kind, .begun_us = world->now_us};
        job->random.state = sim_next(world->random);
        arena_init(&job->arena, JOB_ARENA_MAX);
        return job;
    }
    return NULL;
}

void sim_job_drop(struct sim_job *job) {
    if (job->stream)
        job->stream->job = NULL;
    arena_done(&job->arena);
    job->is_used = false;
}

static void job_end(struct sim_world *world, struct sim_job *job, enum sync_status status) {
    if (job->kind == JOB_UPLOAD && job->stream)
        sim_stream_applied(world, job, status);
    else if (job->kind == JOB_UPLOAD)
        sim_answer_upload(world, job, status);
    sim_job_drop(job);
}

/* ---- Uploads, as service/rpc/upload.c does them */

static void device_key(struct sim_job *job, const struct sim_device *device,
                       struct slice *ret_key) {
    *ret_key = slice_text(arena_format(&job->arena, "u-%s", device->id));
}

/* The stored acknowledgement of a device. */
static uint64_t acknowledged_read(const struct row *row) {
    uint64_t sequence = 0;
    if (row->found)
        memcpy(&sequence, row->value.data, sizeof sequence);
    return sequence;
}

static enum sync_status upload_read(struct sim_world *world, struct sim_job *job) {
    PB(Change) *messages[SIM_BATCH_MAX];
    struct violations violations;
    struct upload_content content;
    Google__Protobuf__Timestamp sent_at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    struct upload_rules rules = {.received_us = world->now_us, .random = &world->ids};
    sent_at.seconds = job->upload.sent_us / 1000000;
    for (size_t i = 0; i < job->upload.count; i++)
        messages[i] = &world->ledger.changes[job->upload.changes[i]]->message;
    struct upload_message message = {.changes = messages,
                                     .count = job->upload.count,
                                     .sent_at = job->upload.is_stream ? NULL : &sent_at};
    violations_init(&violations, &job->arena, 0);
    upload_validate(&message, &rules, &violations, &content);
    SIM_HOLDS(world, !violations_any(&violations), "a sound batch is refused");
    if (!job->upload.is_stream)
        job->upload.clock_offset_us = content.clock_offset_us;
    job->changes = content.changes;
    return SYNC_OK;
}

/* Adds what the device acknowledges to the set. */
static void upload_add_row(struct sim_world *world, struct sim_job *job) {
    struct write_set *set = &job->set;
    bool is_guarded = set->record_count + set->log_count + set->settled_count + set->row_count > 0;
    struct row_write *rows = arena_zalloc(&job->arena, set->row_count + 1, sizeof *rows);
    uint64_t *value = arena_alloc(&job->arena, sizeof *value);
    if (set->row_count > 0)
        memcpy(rows, set->rows, set->row_count * sizeof *rows);
    set->rows = rows;
    set->user = SIM_USER;
    set->any_revision = !is_guarded;
    if (!job->upload.has_acknowledged)
        return;
    *value = job->acknowledged;
    rows[set->row_count] =
        (struct row_write){.table = TABLE_DEVICE, .value = slice_of(value, sizeof *value)};
    device_key(job, &world->devices[job->device], &rows[set->row_count].key);
    set->row_count++;
}

static enum sync_status upload_prepare_set(struct sim_world *world, struct sim_job *job) {
    struct change_batch batch = {.user = SIM_USER,
                                 .device = slice_text(world->devices[job->device].id),
                                 .count = job->upload.count};
    struct touched want;
    struct user_view view;
    struct row row = {.table = TABLE_DEVICE};
    enum sync_status status = upload_read(world, job);
    batch.changes = job->changes;
    batch.acknowledged = job->upload.has_acknowledged ? job->upload.acknowledged : 0;
    job->read_us = world->now_us;
    job->forgotten_us =
        world->nature.kept_s > 0 ? world->now_us - (int64_t)world->nature.kept_s * 1000000 : 0;
    if (job->forgotten_us > 0)
        batch.forgotten_device_us =
            hybrid_clock_at_device(job->forgotten_us, job->upload.clock_offset_us);
    if (status == SYNC_OK)
        status = change_batch_touch(&batch, &job->arena, &want);
    if (status != SYNC_OK)
        return status;
    struct row *rows = arena_zalloc(&job->arena, want.row_count + 1, sizeof *rows);
    if (want.row_count > 0)
        memcpy(rows, want.rows, want.row_count * sizeof *rows);
    device_key(job, &world->devices[job->device], &row.key);
    rows[want.row_count++] = row;
    want.rows = rows;
    want.user = SIM_USER;
    status = store_load(world->store, NULL, &want, &job->arena, &view);
    if (status != SYNC_OK)
        return status;
    uint64_t stored = acknowledged_read(&view.rows[want.row_count - 1]);
    if (stored > batch.acknowledged)
        batch.acknowledged = stored;
    job->acknowledged = batch.acknowledged;
    job->before = view.head;
    struct batch_context context = {.now_us = world->now_us,
                                    .clock_offset_us = job->upload.clock_offset_us,
                                    .forgotten_us = job->forgotten_us,
                                    .random = &world->ids,
                                    .policies = &world->policies,
                                    .strategy = world->nature.strategy};
    status = change_batch_apply(&view, &batch, &context, &job->arena, &job->set, &job->results);
    SIM_HOLDS(world, status == SYNC_OK, "change_batch_apply answers %s", sync_status_name(status));
    upload_add_row(world, job);
    return status;
}

/* ---- Puts */

bool sim_put_start(struct sim_world *world) {
    struct sim_job *job = sim_job_start(world, JOB_PUT);
    if (!job)
        return false;
    snprintf(job->request_id, sizeof job->request_id, "put-%u", world->puts++);
    sim_tell(world, "a service puts records (%s)", job->request_id);
    return true;
}

/* What to put is made once, of the records as they are then. */
static void put_make(struct sim_world *world, struct sim_job *job) {
    uint32_t count = 1 + sim_pick(&job->random, 2), first = sim_pick(&job->random, SIM_RECORDS);
    struct record_put *puts = sim_alloc(world, count * sizeof *puts);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = (first + i) % world->nature.records;
        struct sim_copy now = sim_ledger_image(&world->ledger, number, UINT64_MAX);
        bool lives = now.found && !now.deleted;
        puts[i] = (struct record_put){.key = sim_record_key(number)};
        puts[i].remove = lives && sim_once_in(&job->random, world->nature.delete_in);
        if (lives && sim_once_in(&job->random, 4))
            puts[i].base_version = now.version;
        if (puts[i].remove)
            continue;
        if (!lives) {
            puts[i].data = record_shape_document(world->shapes[number], &job->random,
                                                 world->nature.document_percent, &world->arena);
            continue;
        }
        struct slice patch = record_shape_edit(world->shapes[number], &job->random, EDITOR_SERVICE,
                                               now.document, &world->arena);
        SIM_HOLDS(world,
                  document_merge_patch(now.document, patch, &world->arena, &puts[i].data) ==
                      SYNC_OK,
                  "a patch does not apply");
    }
    job->puts =
        (struct record_put_batch){.user = SIM_USER,
                                  .puts = puts,
                                  .count = first + count > world->nature.records ? 1 : count,
                                  .request_id = slice_text(job->request_id)};
}

static enum sync_status put_prepare_set(struct sim_world *world, struct sim_job *job) {
    struct touched want;
    struct user_view view;
    struct sync_error error;
    struct record *records;
    if (!job->puts.puts)
        put_make(world, job);
    job->puts.now_us = world->now_us;
    enum sync_status status = record_put_touch(&job->puts, &job->arena, &want);
    want.user = SIM_USER;
    if (status == SYNC_OK)
        status = store_load(world->store, NULL, &want, &job->arena, &view);
    if (status != SYNC_OK)
        return status;
    job->before = view.head;
    status = record_put_apply(&view, &job->puts, &job->arena, &error, &job->set, &records);
    SIM_HOLDS(world, status == SYNC_OK || status == SYNC_ERR_PRECONDITION,
              "record_put_apply answers %s", sync_status_name(status));
    for (size_t i = 0; status == SYNC_OK && job->set.log_count > 0 && i < job->puts.count; i++)
        SIM_HOLDS(world,
                  job->puts.puts[i].remove ? records[i].deleted
                                           : slice_equal(records[i].data, job->puts.puts[i].data),
                  "what a service put is not there");
    return status;
}

/* ---- Resolutions */

/* A conflict for the user to look at: one that waits, if any does behind a first by chance. At the
 * end he leaves nothing open. SIM_CONFLICTS_MAX: there is none. */
static uint32_t conflict_pick(struct sim_world *world) {
    const struct sim_ledger *ledger = &world->ledger;
    if (ledger->conflict_count == 0)
        return SIM_CONFLICTS_MAX;
    uint32_t number = world_pick(world, ledger->conflict_count);
    if (!world->is_quiet && sim_once_in(world->random, 4))
        return number;
    for (uint32_t i = 0; i < ledger->conflict_count; i++) {
        uint32_t next = (number + i) % ledger->conflict_count;
        if (ledger->conflicts[next].is_open)
            return next;
    }
    return world->is_quiet ? SIM_CONFLICTS_MAX : number;
}

bool sim_resolve_start(struct sim_world *world) {
    static const char *const NAMES[] = {"", "client", "server", "merge"};
    uint32_t number = conflict_pick(world);
    struct sim_job *job = number < SIM_CONFLICTS_MAX ? sim_job_start(world, JOB_RESOLVE) : NULL;
    if (!job)
        return false;
    job->conflict = number;
    job->resolution.resolution = (enum resolution)(1 + world_pick(world, 3));
    bool is_open = world->ledger.conflicts[number].is_open;
    job->is_undo = !is_open && world_pick(world, 2);
    job->is_settling = is_open && !world->is_quiet && world_pick(world, 2);
    if (job->is_settling)
        sim_tell(world, "the service looks whether conflict %u is due", number);
    else if (job->is_undo)
        sim_tell(world, "the user takes the decision of conflict %u back", number);
    else
        sim_tell(world, "the user resolves conflict %u as %s", number,
                 NAMES[job->resolution.resolution]);
    return true;
}

static void resolution_check(struct sim_world *world, const struct sim_job *job,
                             const struct conflict *before) {
    const struct resolution_request *request = &job->resolution;
    if (before->resolved_us != 0) {
        SIM_HOLDS(world, job->set.log_count == 0, "a conflict was resolved twice");
        return;
    }
    if (job->resolved.resolved_us == 0) { /* the record moved on: the user looks again */
        SIM_HOLDS(world, job->set.log_count == 0 && before->server_version != job->record.version,
                  "a conflict is asked again, though the record did not move");
        return;
    }
    SIM_HOLDS(world, job->set.row_count > 0, "a conflict was resolved and stays open");
    if (request->resolution == RESOLUTION_SERVER)
        SIM_HOLDS(world, job->set.log_count == 0 || job->set.log[0].device.size > 0,
                  "the server's side was chosen, and changed");
    struct slice wanted =
        request->resolution == RESOLUTION_MERGE ? request->merged : before->client;
    struct sim_copy decided = sim_decided_copy(world, job);
    if (request->resolution != RESOLUTION_SERVER)
        SIM_HOLDS(world,
                  (request->resolution == RESOLUTION_CLIENT && !before->has_client)
                      ? decided.deleted
                      : slice_equal(decided.document, wanted),
                  "a conflict was resolved and the record is not so");
}

/* Loads what deciding the conflict needs, all of one moment. */
static enum sync_status resolve_load(struct sim_world *world, struct sim_job *job,
                                     const struct conflict *conflict, struct user_view *view) {
    struct store_reader *reader;
    struct row row;
    struct touched want = {.user = SIM_USER, .rows = &row, .row_count = 1};
    bool holds;
    enum sync_status status = store_reader_open(world->store, &reader);
    if (status != SYNC_OK)
        return status;
    SIM_HOLDS(world, conflict_hold_row(conflict, &job->arena, &holds, &row) == SYNC_OK,
              "no memory for a conflict");
    if (holds)
        status = store_load(world->store, reader, &want, &job->arena, view);
    if (status == SYNC_OK && holds)
        row = view->rows[0];
    if (status == SYNC_OK)
        status = conflict_touch(conflict, holds ? &row : NULL, &job->arena, &want);
    if (status == SYNC_OK)
        status = store_load(world->store, reader, &want, &job->arena, view);
    store_reader_close(world->store, reader);
    return status;
}

static enum sync_status resolve_prepare_set(struct sim_world *world, struct sim_job *job) {
    struct row row = {.table = TABLE_CONFLICT,
                      .key = slice_text(world->ledger.conflicts[job->conflict].id)};
    struct touched want = {.user = SIM_USER, .rows = &row, .row_count = 1};
    struct user_view view;
    struct conflict conflict;
    struct sync_error error;
    enum sync_status status = store_load(world->store, NULL, &want, &job->arena, &view);
    if (status != SYNC_OK)
        return status;
    SIM_HOLDS(world, view.rows[0].found || world->ledger.conflicts[job->conflict].is_gone,
              "a conflict is gone from the store");
    if (!view.rows[0].found)
        return SYNC_ERR_NOT_FOUND;
    SIM_HOLDS(world, conflict_unpack(view.rows[0].value, &job->arena, &conflict) == SYNC_OK,
              "a conflict does not unpack");
    status = resolve_load(world, job, &conflict, &view);
    if (status != SYNC_OK)
        return status;
    struct batch_context context = {.now_us = world->now_us,
                                    .random = &world->ids,
                                    .policies = &world->policies,
                                    .strategy = world->nature.strategy};
    job->before = view.head;
    job->held_before = conflict.held_count;
    job->resolution.merged = conflict.suggested;
    if (job->resolution.resolution == RESOLUTION_MERGE && conflict.suggested.size == 0)
        job->resolution.resolution = RESOLUTION_SERVER;
    if (job->is_settling)
        status = conflict_settle(&view, &conflict, &context, &job->arena, &job->set, &job->resolved,
                                 &job->record);
    else if (job->is_undo)
        status = conflict_undo(&view, &conflict, world->now_us, &job->arena, &error, &job->set,
                               &job->resolved, &job->record);
    else
        status = conflict_resolve(&view, &conflict, &job->resolution, &context, &job->arena, &error,
                                  &job->set, &job->resolved, &job->record);
    SIM_HOLDS(world, status == SYNC_OK || status == SYNC_ERR_PRECONDITION,
              "conflict_resolve answers %s", sync_status_name(status));
    struct sim_copy record = {view.records[0].found, view.records[0].record.deleted,
                              view.records[0].record.version, view.records[0].record.data};
    if (status == SYNC_OK && job->is_settling)
        sim_settle_check(world, job, &conflict, &record);
    else if (job->is_undo)
        sim_undo_check(world, job, &conflict, &record, status == SYNC_OK ? NULL : &error);
    else if (status == SYNC_OK)
        resolution_check(world, job, &conflict);
    return status;
}

/* ---- Steps */

static enum sync_status job_prepare(struct sim_world *world, struct sim_job *job) {
    arena_reset(&job->arena);
    job->set = (struct write_set){0};
    switch (job->kind) {
    case JOB_UPLOAD:
        return upload_prepare_set(world, job);
    case JOB_PUT:
        return put_prepare_set(world, job);
    case JOB_RESOLVE:
        break;
    }
    return resolve_prepare_set(world, job);
}

static bool set_is_empty(const struct write_set *set) {
    return set->record_count + set->log_count + set->settled_count + set->row_count == 0;
}

static enum sync_status job_commit(struct sim_world *world, struct sim_job *job) {
    if (set_is_empty(&job->set))
        return SYNC_OK;
    world->at = job;
    enum sync_status status = store_commit_wait(world->store, &job->set, NULL);
    world->at = NULL;
    return status;
}

void sim_job_step(struct sim_world *world, struct sim_job *job) {
    enum sync_status status = job->is_ready ? job_commit(world, job) : job_prepare(world, job);
    if (world->has_crashed)
        return;
    if (!job->is_ready && status == SYNC_OK) {
        job->is_ready = true;
        return;
    }
    if (status == SYNC_ERR_HEAD_MOVED && ++job->attempts < SIM_ATTEMPTS_MAX) {
        world->report->moved++;
        job->is_ready = false;
        return;
    }
    job_end(world, job, status == SYNC_ERR_HEAD_MOVED ? SYNC_ERR_BUSY : status);
}
