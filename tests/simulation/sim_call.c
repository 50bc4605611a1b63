/* Calls over a bad network: uploads and pulls, as over REST. A call or its answer may be lost, come
 * late, twice, or before an earlier one. */
#include <string.h>

#include "service/core/pull.h"
#include "service/rpc/bundle_source.h"
#include "tests/simulation/sim.h"

void sim_net_put(struct sim_world *world, const struct sim_message *message) {
    uint32_t at = (uint32_t)world->net_count;
    if (world->net_count == SIM_NET_MAX)
        at = world_pick(world, SIM_NET_MAX); /* that one is lost */
    else
        world->net_count++;
    world->net[at] = *message;
}

struct sim_message sim_call_begin(struct sim_world *world, struct sim_device *device,
                                  enum sim_call_kind kind) {
    device->request = ++world->next_request;
    device->asked_us = world->monotonic_us;
    return (struct sim_message){.kind = kind,
                                .device = device->number,
                                .request = device->request,
                                .sent_us = world->now_us};
}

void sim_call_upload(struct sim_world *world, struct sim_device *device) {
    struct sim_upload upload;
    if (!sim_device_choose(world, device, &upload))
        return;
    struct sim_message message = sim_call_begin(world, device, CALL_UPLOAD);
    message.upload = upload;
    message.upload.sent_us = world->now_us + device->offset_us;
    message.upload.acknowledged = device->plain;
    message.upload.has_acknowledged = device->has_plain && !sim_device_is_tied(world, device);
    if (device->is_implicit)
        message.upload.has_acknowledged = device->has_plain;
    sim_tell(world, "%s uploads %zu changes from %s (call %llu)", device->id, upload.count,
             world->ledger.changes[upload.changes[0]]->id, (unsigned long long)message.request);
    sim_net_put(world, &message);
}

void sim_call_pull(struct sim_world *world, struct sim_device *device) {
    struct sim_message message = sim_call_begin(world, device, CALL_PULL);
    message.pull = (struct sim_pull){
        .has_from = device->has_plain,
        .from = device->plain,
        .patches =
            world_pick(world, 2) && device->is_exact ? sim_patch_form(device) : PATCH_FORM_NONE,
        .container = sim_once_in(world->random, 3),
        .download = sim_once_in(world->random, 2),
    };
    sim_tell(world, "%s pulls from %llu (call %llu)", device->id,
             (unsigned long long)message.pull.from, (unsigned long long)message.request);
    sim_net_put(world, &message);
}

/* ---- The service's side */

static void call_upload_arrived(struct sim_world *world, const struct sim_message *message) {
    struct sim_job *job = sim_job_start(world, JOB_UPLOAD);
    if (!job)
        return; /* too busy: the device hears nothing */
    job->device = message->device;
    job->request = message->request;
    job->upload = message->upload;
    job->begun_us = message->sent_us;
}

void sim_answer_upload(struct sim_world *world, const struct sim_job *job,
                       enum sync_status status) {
    struct sim_message answer = {.is_answer = true,
                                 .kind = CALL_UPLOAD,
                                 .device = job->device,
                                 .request = job->request,
                                 .status = status};
    if (status == SYNC_OK) {
        struct sim_result *results = sim_alloc(world, job->upload.count * sizeof *results);
        for (size_t i = 0; i < job->upload.count; i++)
            results[i] = (struct sim_result){job->upload.changes[i], job->results[i].outcome,
                                             job->results[i].version};
        answer.results = results;
        answer.result_count = job->upload.count;
    }
    sim_net_put(world, &answer);
}

static void answer_fill(struct sim_world *world, struct sim_message *answer,
                        const struct bundle_source *source) {
    answer->sequence = source->head.sequence;
    answer->checksum = source->head.checksum;
    if (answer->pull.container && answer->pull.download) {
        sim_download_offer(world, answer, source);
        return;
    }
    if (answer->pull.container) {
        SIM_HOLDS(world, sim_container_read(world, sim_container_write(world, source), answer),
                  "a container is not read as it was written");
        return;
    }
    struct sim_item *items = sim_alloc(world, (source->count + 1) * sizeof *items);
    answer->items = items;
    for (size_t i = 0; i < source->count; i++) {
        const struct pulled *item = &source->items[i];
        items[i] = (struct sim_item){
            .record = sim_record_number(world, &item->record.key),
            .deleted = item->record.deleted,
            .form = item->form,
            .version = item->record.version,
            .data = sim_keep(world, item->form ? item->patch : item->record.data)};
    }
    answer->item_count = source->count;
}

static void call_pull_arrived(struct sim_world *world, const struct sim_message *message) {
    struct sim_message answer = *message;
    struct bundle_want want = {.user = SIM_USER,
                               .types = DATA_TYPES_ALL,
                               .has_from = message->pull.has_from,
                               .from = message->pull.from,
                               .must_reach = message->pull.has_from,
                               .patches = message->pull.patches};
    struct bundle_source source;
    struct sync_error error = {0};
    answer.is_answer = true;
    answer.status = bundle_source_init(&source, world->store, &want, &error);
    answer.must_resync = answer.status == SYNC_ERR_PRECONDITION;
    SIM_HOLDS(world, !answer.must_resync || message->pull.from < world->ledger.head.sequence,
              "a device that holds everything shall resync");
    if (answer.status == SYNC_OK) {
        answer.status = bundle_source_collect(&source, world->now_us);
        if (answer.status == SYNC_OK)
            answer_fill(world, &answer, &source);
        bundle_source_done(&source);
    }
    if (!world->has_crashed)
        sim_net_put(world, &answer);
}

/* ---- The device's side */

static void device_uploaded(struct sim_world *world, struct sim_device *device,
                            const struct sim_message *answer) {
    for (size_t i = 0; answer->status == SYNC_OK && i < answer->result_count; i++)
        sim_device_settle(world, device, &answer->results[i]);
}

void sim_device_pulled(struct sim_world *world, struct sim_device *device,
                       const struct sim_message *answer) {
    char text[CURSOR_TEXT_MAX];
    struct cursor cursor = {.epoch = store_epoch(world->store), .sequence = answer->sequence};
    if (answer->must_resync) {
        sim_tell(world, "%s is told to resync", device->id);
        sim_device_forget(world, device);
        return;
    }
    if (answer->status == SYNC_OK && answer->bundle && !answer->items) {
        sim_download_begin(world, device, answer);
        return;
    }
    /* What it sends without a base must go up before it holds more. */
    if (answer->status != SYNC_OK || sim_device_is_tied(world, device))
        return;
    if (!answer->pull.has_from)
        memset(device->held, 0, sizeof device->held);
    for (size_t i = 0; i < answer->item_count; i++)
        sim_device_take(world, device, &answer->items[i]);
    if (!answer->pull.has_from)
        for (uint32_t i = 0; i < SIM_RECORDS; i++)
            sim_device_hold(world, device, i, device->held[i]);
    cursor_format(&cursor, text);
    sim_device_keep_cursor(world, device, text);
    sim_device_check_at(world, device, answer->sequence);
    sim_device_check_sum(world, device, answer->checksum);
    world->report->pulls++;
}

static void device_answered(struct sim_world *world, struct sim_device *device,
                            const struct sim_message *answer) {
    switch (answer->kind) {
    case CALL_UPLOAD:
        device_uploaded(world, device, answer);
        break;
    case CALL_PULL:
        sim_device_pulled(world, device, answer);
        break;
    case CALL_AUDIT:
        sim_device_audited(world, device, answer);
        break;
    case CALL_PART:
        sim_download_take(world, device, answer);
        break;
    }
}

static void net_deliver(struct sim_world *world, const struct sim_message *message) {
    struct sim_device *device = &world->devices[message->device];
    if (!message->is_answer && message->kind == CALL_UPLOAD) {
        call_upload_arrived(world, message);
    } else if (!message->is_answer && message->kind == CALL_PULL) {
        call_pull_arrived(world, message);
    } else if (!message->is_answer && message->kind == CALL_AUDIT) {
        sim_audit_arrived(world, message);
    } else if (!message->is_answer) {
        sim_part_arrived(world, message);
    } else if (message->request == device->request) {
        device->request = 0;
        sim_tell(world, "%s has the answer to call %llu: %s", device->id,
                 (unsigned long long)message->request, sync_status_name(message->status));
        device_answered(world, device, message);
    }
}

bool sim_net_step(struct sim_world *world) {
    if (world->net_count == 0)
        return false;
    uint32_t at = world_pick(world, (uint32_t)world->net_count);
    struct sim_message message = world->net[at];
    bool is_lost = !world->is_quiet && world_pick(world, 100) < world->nature.drop;
    bool is_twice = !world->is_quiet && world_pick(world, 100) < world->nature.duplicate;
    if (!is_twice)
        world->net[at] = world->net[--world->net_count];
    if (is_lost && !is_twice) {
        sim_tell(world, "%s %llu is lost", message.is_answer ? "the answer to call" : "call",
                 (unsigned long long)message.request);
        return true;
    }
    net_deliver(world, &message);
    return true;
}
