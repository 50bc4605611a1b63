#include <stdio.h>
#include <stdlib.h>

#include "base/wire.h"
#include "tests/service/core/session_world.h"

/* ---- What comes down */

/* The sum of what the device holds; only when it holds all types. */
static void check_sum(struct world *world, ProtobufCBinaryData told) {
    struct checksum sum = {0}, expected = {0};
    if (told.len == 0)
        return;
    WORLD_HOLDS(told.len == CHECKSUM_SIZE && world->device.types == DATA_TYPES_ALL);
    for (uint32_t i = 0; i < WORLD_RECORDS; i++) {
        const struct world_record *record = &world->device.records[i];
        struct checksum element = world_element(i, record->value);
        if (record->exists && !record->is_deleted) {
            sum.high += element.high;
            sum.low += element.low;
        }
    }
    for (int i = 0; i < 8; i++) {
        expected.high = expected.high << 8 | told.data[i];
        expected.low = expected.low << 8 | told.data[8 + i];
    }
    WORLD_HOLDS(sum.high == expected.high && sum.low == expected.low);
    world->checksums++;
}

/* Keeps a cursor: it never goes back. */
static void keep_cursor(struct world *world, const char *text) {
    struct world_device *device = &world->device;
    struct session_cursor cursor;
    WORLD_HOLDS(session_cursor_parse(slice_text(text), &cursor) == SYNC_OK);
    WORLD_HOLDS(cursor.epoch == WORLD_EPOCH);
    uint64_t at = cursor.is_lap ? cursor.lap.target : cursor.sequence;
    WORLD_HOLDS(at <= world->store.head);
    WORLD_HOLDS(!device->has_plain || at >= device->plain);
    if (!cursor.is_lap) {
        device->has_plain = true;
        device->plain = cursor.sequence;
    }
    snprintf(device->cursor, sizeof device->cursor, "%s", text);
}

static void take_records(struct world *world, const PB(SyncRecords) *records) {
    for (size_t i = 0; i < records->n_records; i++) {
        const PB(Record) *message = records->records[i];
        uint32_t index = (uint32_t)strtoul(message->data_id + 1, NULL, 10);
        struct world_record *record = &world->device.records[index];
        WORLD_HOLDS(data_type_in(world->device.types, (enum data_type)message->data_type));
        WORLD_HOLDS((uint64_t)message->version >= record->version);
        *record = (struct world_record){
            .exists = true, .is_deleted = message->deleted, .version = (uint64_t)message->version};
        if (!message->deleted)
            memcpy(&record->value, message->data.data, sizeof record->value);
    }
    keep_cursor(world, records->cursor);
    check_sum(world, records->checksum);
}

/* Settles the batch that was sent first; its changes count as held only with a cursor. */
static void take_outcomes(struct world *world, const PB(SyncOutcomes) *outcomes) {
    struct world_device *device = &world->device;
    WORLD_HOLDS(device->in_flight_count > 0);
    struct world_batch batch = device->in_flight[0];
    WORLD_HOLDS(outcomes->batch_id == batch.id);
    memmove(device->in_flight, device->in_flight + 1,
            --device->in_flight_count * sizeof *device->in_flight);
    for (size_t i = 0; i < batch.count; i++) {
        struct world_change *change = &device->changes[batch.changes[i]];
        WORLD_HOLDS(change->state == CHANGE_IN_FLIGHT);
        change->state = outcomes->error ? CHANGE_WAITS : CHANGE_SETTLED;
        if (outcomes->cursor[0] && data_type_in(device->types, world_type(change->record)))
            device->records[change->record] =
                (struct world_record){.exists = true,
                                      .is_deleted = change->is_deleted,
                                      .version = (uint64_t)outcomes->results[i]->version,
                                      .value = change->value};
    }
    WORLD_HOLDS(outcomes->error || outcomes->n_results == batch.count);
    if (outcomes->cursor[0]) {
        world->cursors_in_outcomes++;
        keep_cursor(world, outcomes->cursor);
        check_sum(world, outcomes->checksum);
    }
}

/* At complete the device holds just what there was at the cursor. */
static void take_complete(struct world *world, const PB(SyncComplete) *complete) {
    struct world_device *device = &world->device;
    keep_cursor(world, complete->cursor);
    check_sum(world, complete->checksum);
    WORLD_HOLDS(device->percent == 100);
    WORLD_HOLDS(!device->is_live || !device->has_completed);
    device->has_completed = true;
    world->completes++;
    for (uint32_t i = 0; i < WORLD_RECORDS; i++) {
        struct world_record at = world_record_at(&world->store, i, device->plain);
        const struct world_record *held = &device->records[i];
        bool is_there = at.exists && !at.is_deleted, is_held = held->exists && !held->is_deleted;
        if (!data_type_in(device->types, world_type(i)))
            continue;
        WORLD_HOLDS(is_there == is_held);
        WORLD_HOLDS(!is_there || (at.value == held->value && at.version == held->version));
    }
}

static void take_notice(struct world *world, const PB(SyncNotice) *notice) {
    struct world_device *device = &world->device;
    if (notice->kind == TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_TOKEN_EXPIRING)
        device->wants_token = true;
    if (notice->kind == TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_RESYNC_REQUIRED) {
        memset(device->records, 0, sizeof device->records);
        device->cursor[0] = '\0';
        world->resyncs++;
    }
    if (notice->kind == TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_DRAIN)
        WORLD_HOLDS(strcmp(notice->resume_cursor, device->cursor) == 0);
}

void world_receive(struct world *world, const PB(SyncResponse) *message) {
    struct world_device *device = &world->device;
    bool is_welcome =
        message->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME;
    WORLD_HOLDS(is_welcome == (device->received++ == 0));
    switch (message->message_case) {
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME:
        device->is_welcome = true;
        device->batches_max = message->welcome->batches_in_flight_max;
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_OUTCOMES:
        take_outcomes(world, message->outcomes);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_PROGRESS:
        WORLD_HOLDS(message->progress->percent >= device->percent);
        device->percent = message->progress->percent;
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS:
        take_records(world, message->records);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_NOTICE:
        take_notice(world, message->notice);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE:
        take_complete(world, message->complete);
        break;
    default:
        WORLD_HOLDS(message->message_case ==
                    TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_CONFLICT);
    }
}

/* ---- What goes up */

void world_say(struct world *world, const PB(SyncRequest) *request) {
    size_t size = travelsense__sync__v1__sync_request__get_packed_size(request);
    uint8_t *bytes = memory_alloc(size + 1);
    WORLD_HOLDS(bytes && world->up_count < WORLD_PIPE_MAX);
    travelsense__sync__v1__sync_request__pack(request, bytes);
    world->up[world->up_count++] = slice_of(bytes, size);
}

#define SAY(world, NAME, field, value)                                                             \
    do {                                                                                           \
        PB(SyncRequest) request_ = PB_INIT(SYNC_REQUEST);                                          \
        request_.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_##NAME;               \
        request_.field = (value);                                                                  \
        world_say((world), &request_);                                                             \
    } while (0)

/* Edits a record, offline. */
static void edit(struct world *world) {
    struct world_device *device = &world->device;
    if (device->change_count == WORLD_CHANGES_MAX)
        return;
    device->changes[device->change_count++] =
        (struct world_change){.record = world_pick(world, WORLD_RECORDS),
                              .value = world_pick(world, 1000),
                              .is_deleted = world_pick(world, 6) == 0};
}

static void send_batch(struct world *world) {
    struct world_device *device = &world->device;
    struct world_batch batch = {.id = device->next_batch_id};
    PB(Change) changes[WORLD_BATCH_MAX], *list[WORLD_BATCH_MAX];
    char ids[WORLD_BATCH_MAX][16], data_ids[WORLD_BATCH_MAX][16];
    size_t most = 1 + world_pick(world, WORLD_BATCH_MAX);
    for (uint32_t i = 0; i < device->change_count && batch.count < most; i++) {
        struct world_change *change = &device->changes[i];
        if (change->state != CHANGE_WAITS)
            continue;
        size_t at = batch.count++;
        change->state = CHANGE_IN_FLIGHT;
        batch.changes[at] = i;
        travelsense__sync__v1__change__init(&changes[at]);
        snprintf(ids[at], sizeof ids[at], "c%u", i);
        snprintf(data_ids[at], sizeof data_ids[at], "r%02u", change->record);
        changes[at].id = ids[at];
        changes[at].data_id = data_ids[at];
        changes[at].type = change->is_deleted
                               ? TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_DELETE
                               : TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_UPDATE;
        changes[at].data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
        changes[at].data = (ProtobufCBinaryData){sizeof change->value, (uint8_t *)&change->value};
        list[at] = &changes[at];
    }
    bool is_empty = batch.count == 0;
    if (is_empty && world_pick(world, 20) > 0)
        return;
    PB(SyncBatch) message = PB_INIT(SYNC_BATCH);
    message.batch_id = device->next_batch_id++;
    message.changes = list;
    message.n_changes = batch.count;
    device->in_flight[device->in_flight_count++] = batch;
    SAY(world, BATCH, batch, &message);
}

static void send_acknowledgement(struct world *world) {
    PB(SyncAcknowledgement) message = PB_INIT(SYNC_ACKNOWLEDGEMENT);
    message.cursor = world->device.cursor;
    if (world->device.cursor[0])
        SAY(world, ACKNOWLEDGEMENT, acknowledgement, &message);
}

static void send_pause(struct world *world) {
    PB(SyncPause) pause = PB_INIT(SYNC_PAUSE);
    PB(SyncResume) resume = PB_INIT(SYNC_RESUME);
    world->device.is_paused = !world->device.is_paused;
    if (world->device.is_paused)
        SAY(world, PAUSE, pause, &pause);
    else
        SAY(world, RESUME, resume, &resume);
}

static void send_token(struct world *world) {
    PB(SyncToken) message = PB_INIT(SYNC_TOKEN);
    message.token = (char *)"token";
    world->device.wants_token = false;
    SAY(world, TOKEN, token, &message);
}

void world_speak(struct world *world) {
    struct world_device *device = &world->device;
    PB(SyncBye) bye = PB_INIT(SYNC_BYE);
    if (!device->is_welcome || device->has_left || world->up_count + 1 >= WORLD_PIPE_MAX)
        return;
    uint32_t choice = world_pick(world, 40);
    if (device->wants_token && choice < 20)
        send_token(world);
    else if (choice < 10)
        edit(world);
    else if (choice < 20 && device->in_flight_count < (size_t)device->batches_max)
        send_batch(world);
    else if (choice < 34)
        send_acknowledgement(world);
    else if (choice < 36 || (device->is_paused && choice < 39))
        send_pause(world);
    else if (choice == 39 && world_pick(world, 15) == 0) {
        device->has_left = true;
        if (world_pick(world, 2))
            SAY(world, BYE, bye, &bye);
        else
            world->has_half_closed = true;
    }
}
