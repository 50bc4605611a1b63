/* The device's end of a stream. */
#include <stdlib.h>
#include <string.h>

#include "service/core/checksum.h"
#include "tests/simulation/sim.h"

static struct sim_device *device_of(struct sim_world *world, const struct sim_stream *stream) {
    return &world->devices[stream->device];
}

/* ---- What comes down */

/* A checksum tells that the device holds just what there was at its cursor. */
static void check_told(struct sim_world *world, struct sim_device *device,
                       ProtobufCBinaryData told) {
    if (told.len == 0)
        return;
    SIM_HOLDS(world, told.len == CHECKSUM_SIZE, "a checksum has %zu bytes", told.len);
    sim_device_check_sum(world, device, checksum_read(told.data));
    sim_device_check_at(world, device, device->plain);
}

static void take_records(struct sim_world *world, struct sim_device *device,
                         const PB(SyncRecords) *records) {
    for (size_t i = 0; i < records->n_records; i++) {
        const PB(Record) *message = records->records[i];
        bool is_patch =
            message->patch_presence_case == TRAVELSENSE__SYNC__V1__RECORD__PATCH_PRESENCE_PATCH;
        const ProtobufCBinaryData *bytes = is_patch ? &message->patch : &message->data;
        struct record_key key = {(enum data_type)message->data_type, slice_text(message->data_id)};
        struct sim_item item = {.record = sim_record_number(world, &key),
                                .deleted = message->deleted,
                                .form = is_patch ? PATCH_FORM_MERGE : PATCH_FORM_NONE,
                                .version = (uint64_t)message->version};
        for (size_t j = 0; j < message->n_operations; j++)
            sim_item_add_operation(
                world, &item, slice_of(message->operations[j].data, message->operations[j].len));
        if (!message->deleted && message->n_operations == 0)
            item.data = slice_of(bytes->data, bytes->len);
        sim_device_take(world, device, &item);
    }
    sim_device_keep_cursor(world, device, records->cursor);
    if (device->is_exact)
        sim_device_check_at(world, device, device->plain);
    check_told(world, device, records->checksum);
}

/* With a cursor the device holds its changes as it sent them. */
static void hold_sent(struct sim_world *world, struct sim_device *device,
                      const struct sim_upload *batch, const PB(SyncOutcomes) *outcomes) {
    for (size_t i = 0; i < batch->count; i++) {
        const struct sim_change *change = world->ledger.changes[batch->changes[i]];
        bool by_operations = change->operations.size > 0;
        struct sim_item item = {.record = change->record,
                                .deleted = change->kind == CHANGE_DELETE,
                                .form = by_operations                   ? PATCH_FORM_OPERATIONS
                                        : change->kind == CHANGE_UPDATE ? PATCH_FORM_MERGE
                                                                        : PATCH_FORM_NONE,
                                .version = (uint64_t)outcomes->results[i]->version,
                                .data = by_operations ? change->operations : change->data};
        sim_device_take(world, device, &item);
    }
    sim_device_keep_cursor(world, device, outcomes->cursor);
    sim_device_check_at(world, device, device->plain);
    check_told(world, device, outcomes->checksum);
}

static void take_outcomes(struct sim_world *world, struct sim_stream *stream,
                          const PB(SyncOutcomes) *outcomes) {
    struct sim_device *device = device_of(world, stream);
    SIM_HOLDS(world, stream->in_flight_count > 0, "%s gets outcomes of nothing", device->id);
    struct sim_upload batch = stream->in_flight[0];
    SIM_HOLDS(world, outcomes->batch_id == batch.sent_us, "%s gets outcomes of another batch",
              device->id);
    memmove(stream->in_flight, stream->in_flight + 1,
            --stream->in_flight_count * sizeof *stream->in_flight);
    SIM_HOLDS(world, outcomes->error || outcomes->n_results == batch.count,
              "%s gets %zu outcomes of %zu changes", device->id, outcomes->n_results, batch.count);
    sim_tell(world, "%s gets the outcomes of %zu changes from %s%s", device->id, batch.count,
             world->ledger.changes[batch.changes[0]]->id, outcomes->error ? ": refused" : "");
    for (size_t i = 0; i < batch.count; i++) {
        for (uint32_t j = 0; outcomes->error && j < device->queue_count; j++)
            if (device->queue[j] == batch.changes[i])
                device->in_flight[j] = false;
        if (!outcomes->error)
            sim_device_settle(
                world, device,
                &(struct sim_result){batch.changes[i],
                                     (enum change_outcome)outcomes->results[i]->outcome,
                                     (uint64_t)outcomes->results[i]->version});
    }
    if (outcomes->cursor[0])
        hold_sent(world, device, &batch, outcomes);
}

static void take_complete(struct sim_world *world, struct sim_stream *stream,
                          const PB(SyncComplete) *complete) {
    struct sim_device *device = device_of(world, stream);
    sim_device_keep_cursor(world, device, complete->cursor);
    sim_device_check_at(world, device, device->plain);
    check_told(world, device, complete->checksum);
    stream->has_completed = true;
}

static void take_notice(struct sim_world *world, struct sim_device *device,
                        const PB(SyncNotice) *notice) {
    if (notice->kind != TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_RESYNC_REQUIRED)
        return;
    sim_tell(world, "%s is told to resync on its stream", device->id);
    sim_device_forget(world, device);
}

void sim_stream_receive(struct sim_world *world, struct sim_stream *stream,
                        const PB(SyncResponse) *message) {
    struct sim_device *device = device_of(world, stream);
    switch (message->message_case) {
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME:
        stream->is_welcome = true;
        stream->batches_max = (size_t)message->welcome->batches_in_flight_max;
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_OUTCOMES:
        take_outcomes(world, stream, message->outcomes);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS:
        take_records(world, device, message->records);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_NOTICE:
        take_notice(world, device, message->notice);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE:
        take_complete(world, stream, message->complete);
        break;
    default:
        break;
    }
}

/* ---- What goes up */

static void stream_say(struct sim_world *world, struct sim_stream *stream,
                       const PB(SyncRequest) *request) {
    SIM_HOLDS(world, stream->up_count < SIM_PIPE_MAX, "a pipe is full");
    SIM_HOLDS(world, message_pack(&request->base, &world->arena, &stream->up[stream->up_count++]),
              "no memory");
}

#define SAY(world, stream, NAME, field, value)                                                     \
    do {                                                                                           \
        PB(SyncRequest) request_ = PB_INIT(SYNC_REQUEST);                                          \
        request_.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_##NAME;               \
        request_.field = (value);                                                                  \
        stream_say((world), (stream), &request_);                                                  \
    } while (0)

static bool say_batch(struct sim_world *world, struct sim_stream *stream) {
    struct sim_device *device = device_of(world, stream);
    PB(SyncBatch) message = PB_INIT(SYNC_BATCH);
    PB(Change) *list[SIM_BATCH_MAX];
    struct sim_upload upload;
    if (stream->in_flight_count == SIM_IN_FLIGHT_MAX ||
        stream->in_flight_count >= stream->batches_max)
        return false;
    if (!sim_device_choose(world, device, &upload))
        return false;
    for (size_t i = 0; i < upload.count; i++) {
        list[i] = &world->ledger.changes[upload.changes[i]]->message;
        for (uint32_t j = 0; j < device->queue_count; j++)
            if (device->queue[j] == upload.changes[i])
                device->in_flight[j] = true;
    }
    upload.sent_us = message.batch_id = stream->next_batch++;
    message.changes = list;
    message.n_changes = upload.count;
    message.sent_at = message_time(&world->arena, world->now_us + device->offset_us);
    stream->in_flight[stream->in_flight_count++] = upload;
    sim_tell(world, "%s sends %zu changes from %s on its stream", device->id, upload.count,
             list[0]->id);
    SAY(world, stream, BATCH, batch, &message);
    return true;
}

static bool say_acknowledgement(struct sim_world *world, struct sim_stream *stream) {
    struct sim_device *device = device_of(world, stream);
    PB(SyncAcknowledgement) message = PB_INIT(SYNC_ACKNOWLEDGEMENT);
    message.cursor = device->cursor;
    if (device->cursor[0])
        SAY(world, stream, ACKNOWLEDGEMENT, acknowledgement, &message);
    return device->cursor[0] != '\0';
}

static bool say_bye(struct sim_world *world, struct sim_stream *stream) {
    PB(SyncBye) bye = PB_INIT(SYNC_BYE);
    stream->has_left = true;
    if (world_pick(world, 2))
        SAY(world, stream, BYE, bye, &bye);
    else
        stream->has_half_closed = true;
    return true;
}

bool sim_stream_speak(struct sim_world *world, struct sim_stream *stream) {
    const struct sim_device *device = device_of(world, stream);
    if (!stream->is_welcome || stream->has_left || stream->up_count + 1 >= SIM_PIPE_MAX ||
        stream->has_ended)
        return false;
    uint32_t choice = world_pick(world, 24);
    if (choice < 10 && device->queue_count > 0)
        return say_batch(world, stream);
    if (choice < 20 && stream->up_count < 4)
        return say_acknowledgement(world, stream);
    bool is_done = stream->has_completed && device->queue_count == 0;
    if (choice == 23 && (is_done || sim_once_in(world->random, 8)))
        return say_bye(world, stream);
    return false;
}
