/* A device: what it holds, what it changed, and what it checks of all that it is told. */
#include <stdio.h>
#include <string.h>

#include "service/core/checksum.h"
#include "tests/simulation/sim.h"

/* ---- Changes of its own */

/* The record as it is after a change, on the device. */
static void copy_change(struct sim_world *world, struct sim_copy *copy,
                        const struct sim_change *change) {
    bool lives = copy->found && !copy->deleted;
    if (change->kind == CHANGE_DELETE) {
        copy->deleted = true;
        copy->document = SLICE_EMPTY;
    } else if (change->kind == CHANGE_CREATE) {
        copy->deleted = false;
        copy->document = change->data;
    } else if (lives) {
        copy->document = sim_change_apply(world, change, copy->document);
    }
    copy->found = copy->found || change->kind == CHANGE_CREATE;
}

/* Fills in the message that carries it. */
static void change_pack(struct sim_world *world, struct sim_change *change) {
    PB(Change) *message = &change->message;
    Google__Protobuf__Timestamp *time = message_time(&world->arena, change->device_us);
    travelsense__sync__v1__change__init(message);
    message->id = change->id;
    message->type = (PB(ChangeType))change->kind;
    message->data_type = (PB(DataType))sim_record_type(change->record);
    message->data_id = change->data_id;
    message->timestamp = time;
    message->base_version = (int64_t)change->base_version;
    if (change->kind == CHANGE_DELETE)
        return;
    if (change->operations.size > 0) {
        SIM_HOLDS(world,
                  message_operations(&world->arena, change->operations, &message->operations,
                                     &message->n_operations),
                  "operations do not become a message");
        return;
    }
    message->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
    message->data = message_bytes(change->data);
}

/* Whether what the device has is not made of what it says that it is based on: of its changes that
 * are still under way one was made on another version, deleted the record, or makes one of its own
 * where it got another's; or one that was answered is not taken back yet. */
static bool is_apart(struct sim_world *world, const struct sim_device *device,
                     const struct sim_change *change) {
    struct sim_copy copy = device->held[change->record];
    if (device->damaged >> change->record & 1)
        return true;
    for (uint32_t i = 0; i < device->queue_count; i++) {
        const struct sim_change *queued = world->ledger.changes[device->queue[i]];
        if (queued->record != change->record)
            continue;
        if (queued->kind == CHANGE_DELETE || (queued->kind == CHANGE_CREATE && copy.found) ||
            (queued->kind == CHANGE_UPDATE && queued->base_version != change->base_version))
            return true;
        copy_change(world, &copy, queued);
    }
    return !slice_equal(copy.document, device->local[change->record].document);
}

static struct sim_change *change_new(struct sim_world *world, struct sim_device *device,
                                     uint32_t record, enum change_kind kind) {
    struct sim_ledger *ledger = &world->ledger;
    SIM_HOLDS(world, ledger->change_count < SIM_CHANGES_MAX, "too many changes for the ledger");
    struct sim_change *change = sim_alloc(world, sizeof *change);
    *change = (struct sim_change){.number = ledger->change_count,
                                  .device = device->number,
                                  .record = record,
                                  .kind = kind,
                                  .before = device->local[record].document,
                                  .device_us = world->now_us + device->offset_us};
    if (device->held[record].found && !device->is_implicit)
        change->base_version = device->held[record].version;
    change->is_apart = is_apart(world, device, change);
    ledger->changes[ledger->change_count++] = change;
    snprintf(change->id, sizeof change->id, "c%u", change->number);
    snprintf(change->data_id, sizeof change->data_id, "r%u", record);
    return change;
}

/* Whether a patch sets a list of objects. */
static bool sets_elements(struct slice patch) {
    struct member member;
    struct value element;
    size_t position = 0, at = 0;
    while (document_next(patch, &position, &member))
        if (member.value.kind == VALUE_LIST &&
            document_list_next(member.value.list, &at, &element) && element.kind == VALUE_OBJECT)
            return true;
    return false;
}

/* Devices that know operations send them for what a patch cannot say: what became of elements. */
static bool sends_operations(const struct sim_device *device, const struct sim_change *change) {
    return sim_patch_form(device) == PATCH_FORM_OPERATIONS && !change->is_apart &&
           sets_elements(change->data);
}

bool sim_device_edit(struct sim_world *world, struct sim_device *device) {
    static const char *const KINDS[] = {"", "creates", "updates", "deletes"};
    uint32_t record = sim_pick_zipf(world->random, world->nature.records);
    struct sim_copy *local = &device->local[record];
    bool lives = local->found && !local->deleted;
    /* What it made and has not pulled has no version to build on. */
    bool is_unheld = lives && !device->is_implicit && !device->held[record].found;
    if (device->queue_count == SIM_QUEUE_MAX || is_unheld ||
        world->ledger.change_count == SIM_CHANGES_MAX)
        return false;
    enum change_kind kind = !lives                                                ? CHANGE_CREATE
                            : sim_once_in(world->random, world->nature.delete_in) ? CHANGE_DELETE
                                                                                  : CHANGE_UPDATE;
    struct sim_change *change = change_new(world, device, record, kind);
    if (kind == CHANGE_CREATE)
        change->data = record_shape_document(world->shapes[record], world->random,
                                             world->nature.document_percent, &world->arena);
    else if (kind == CHANGE_UPDATE)
        change->data = record_shape_edit(world->shapes[record], world->random, EDITOR_TRAVELLER,
                                         local->document, &world->arena);
    if (kind == CHANGE_UPDATE && sends_operations(device, change))
        sim_change_to_operations(world, change);
    change_pack(world, change);
    copy_change(world, local, change);
    device->in_flight[device->queue_count] = false;
    device->queue[device->queue_count++] = change->number;
    sim_tell(world, "%s %s r%u as %s on version %llu %s", device->id, KINDS[kind], record,
             change->id, (unsigned long long)change->base_version,
             world->options->story ? sim_text(world, change->data) : "");
    return true;
}

bool sim_device_is_tied(const struct sim_world *world, const struct sim_device *device) {
    (void)world;
    return device->is_implicit && device->queue_count > 0;
}

/* Whether an earlier change of the same record is on its way. */
static bool queue_is_behind(const struct sim_world *world, const struct sim_device *device,
                            uint32_t place) {
    uint32_t record = world->ledger.changes[device->queue[place]]->record;
    for (uint32_t i = 0; i < place; i++)
        if (device->in_flight[i] && world->ledger.changes[device->queue[i]]->record == record)
            return true;
    return false;
}

bool sim_device_choose(struct sim_world *world, struct sim_device *device,
                       struct sim_upload *ret_upload) {
    struct sim_upload upload = {0};
    size_t most = 1 + world_pick(world, SIM_BATCH_MAX);
    for (uint32_t i = 0; i < device->queue_count && upload.count < most; i++)
        if (!device->in_flight[i] && !queue_is_behind(world, device, i))
            upload.changes[upload.count++] = device->queue[i];
        else
            break;
    *ret_upload = upload;
    return upload.count > 0;
}

void sim_device_settle(struct sim_world *world, struct sim_device *device,
                       const struct sim_result *result) {
    sim_ledger_check_result(world, result);
    for (uint32_t i = 0; i < device->queue_count; i++) {
        if (device->queue[i] != result->change)
            continue;
        device->in_flight[i] = false;
        bool is_kept = result->outcome == OUTCOME_HELD && !device->is_trusting;
        if (result->outcome == OUTCOME_BLOCKED || is_kept)
            return;
        world->ledger.changes[result->change]->is_acknowledged = true;
        uint32_t rest = --device->queue_count - i;
        memmove(&device->queue[i], &device->queue[i + 1], rest * sizeof *device->queue);
        memmove(&device->in_flight[i], &device->in_flight[i + 1], rest * sizeof(bool));
        return;
    }
}

/* ---- What it holds */

void sim_device_hold(struct sim_world *world, struct sim_device *device, uint32_t record,
                     struct sim_copy copy) {
    device->held[record] = copy;
    for (uint32_t i = 0; i < device->queue_count; i++) {
        const struct sim_change *change = world->ledger.changes[device->queue[i]];
        if (change->record == record)
            copy_change(world, &copy, change);
    }
    device->local[record] = copy;
}

void sim_device_forget(struct sim_world *world, struct sim_device *device) {
    device->cursor[0] = '\0';
    device->has_plain = false;
    device->plain = 0;
    device->is_exact = false;
    device->damaged = 0;
    device->wants_audit = false;
    device->audit_count = 0;
    device->download = (struct sim_download){.bundle = NULL};
    device->resyncs++;
    world->report->resyncs++;
    for (uint32_t i = 0; i < SIM_RECORDS; i++)
        sim_device_hold(world, device, i, (struct sim_copy){0});
}

void sim_device_take(struct sim_world *world, struct sim_device *device,
                     const struct sim_item *item) {
    struct sim_copy copy = device->held[item->record];
    SIM_HOLDS(world, item->version >= copy.version, "%s holds r%u at %llu and gets %llu",
              device->id, item->record, (unsigned long long)copy.version,
              (unsigned long long)item->version);
    bool is_damaged = device->damaged >> item->record & 1;
    bool is_lost = is_damaged && (!copy.found || copy.deleted);
    if (item->form && is_lost)
        return; /* of what its disk has lost: an audit brings it back */
    SIM_HOLDS(world, !item->form || (copy.found && !copy.deleted),
              "%s gets a patch of r%u, which it does not hold", device->id, item->record);
    copy = (struct sim_copy){true, item->deleted, item->version, copy.document};
    if (item->deleted)
        copy.document = SLICE_EMPTY;
    else
        copy.document = sim_item_apply(world, item, copy.document, is_damaged);
    sim_device_hold(world, device, item->record, copy);
}

void sim_device_check_at(struct sim_world *world, struct sim_device *device, uint64_t sequence) {
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        struct sim_copy image = sim_ledger_image(&world->ledger, i, sequence);
        const struct sim_copy *held = &device->held[i];
        bool is_there = image.found && !image.deleted, is_held = held->found && !held->deleted;
        if (device->damaged >> i & 1)
            continue;
        SIM_HOLDS(world, is_there || !is_held, "%s still holds r%u, which is deleted at %llu",
                  device->id, i, (unsigned long long)sequence);
        SIM_HOLDS(world, is_held || !is_there, "%s lacks r%u, which is there at %llu", device->id,
                  i, (unsigned long long)sequence);
        SIM_HOLDS(world,
                  !is_there || (held->version == image.version &&
                                slice_equal(held->document, image.document)),
                  "%s holds r%u at %llu and not as it is at %llu", device->id, i,
                  (unsigned long long)held->version, (unsigned long long)sequence);
    }
}

void sim_device_check_sum(struct sim_world *world, struct sim_device *device,
                          struct checksum told) {
    struct checksum sum = sim_copies_sum(world, device->held);
    bool is_equal = sum.high == told.high && sum.low == told.low;
    SIM_HOLDS(world, is_equal || device->damaged, "%s has another checksum than it is told",
              device->id);
    if (is_equal)
        device->damaged = 0; /* what was damaged has come anew */
    device->wants_audit = !is_equal;
}

void sim_device_keep_cursor(struct sim_world *world, struct sim_device *device, const char *text) {
    struct session_cursor cursor;
    SIM_HOLDS(world, session_cursor_parse(slice_text(text), &cursor) == SYNC_OK,
              "%s is given a cursor that is none", device->id);
    SIM_HOLDS(world, cursor.epoch == store_epoch(world->store), "%s is given another's cursor",
              device->id);
    uint64_t at = cursor.is_lap ? cursor.lap.target : cursor.sequence;
    SIM_HOLDS(world, at <= world->ledger.head.sequence, "%s is given a cursor of the future",
              device->id);
    SIM_HOLDS(world, at >= device->plain_max, "the cursor of %s went back from %llu to %llu",
              device->id, (unsigned long long)device->plain_max, (unsigned long long)at);
    device->is_exact = !cursor.is_lap;
    if (!cursor.is_lap) {
        device->has_plain = true;
        device->plain = device->plain_max = cursor.sequence;
    }
    snprintf(device->cursor, sizeof device->cursor, "%s", text);
}
