/* Bundles as containers: written, kept by the service, downloaded in pieces, gone on with after
 * cuts and crashes, verified before use. */
#include <string.h>

#include "service/codec/chunk_codec.h"
#include "service/core/bundle_container.h"
#include "service/rpc/bundle_source.h"
#include "tests/service/core/json_document.h"
#include "tests/simulation/sim.h"

enum { CONTAINER_BYTES_MAX = 64 << 20 };

/* ---- Containers */

struct slice sim_container_write(struct sim_world *world, const struct bundle_source *source) {
    struct bundle_writer writer;
    struct buffer out;
    struct bundle_info info = {.bundle_id = SLICE("b"),
                               .user = SIM_USER,
                               .types = DATA_TYPES_ALL,
                               .sync_type = SYNC_FULL,
                               .checksum = source->head.checksum,
                               .created_us = world->now_us,
                               .record_count = (uint32_t)source->count};
    struct bundle_codec codec;
    SIM_HOLDS(world, chunk_codec_open(BUNDLE_CODEC_SNAPPY, 0, &codec) == SYNC_OK, "no codec");
    buffer_init(&out, CONTAINER_BYTES_MAX);
    bundle_writer_init(&writer, world_pick(world, 2) ? &codec : NULL);
    bundle_writer_begin(&writer, &info, &out);
    for (size_t i = 0; i < source->count; i++)
        bundle_writer_add(&writer, &source->items[i], &out);
    enum sync_status status = bundle_writer_end(&writer, &out);
    SIM_HOLDS(world, status == SYNC_OK, "a container is not written: %s", sync_status_name(status));
    struct slice bytes = sim_keep(world, buffer_slice(&out));
    bundle_writer_done(&writer);
    chunk_codec_close(&codec);
    buffer_done(&out);
    return bytes;
}

/* What reading a container is for. */
struct container_reading {
    struct sim_world *world;
    struct sim_item *items;
    size_t count;
};

static bool container_visit(void *context, const struct bundle_entry *entry) {
    struct container_reading *reading = context;
    struct sim_world *world = reading->world;
    bool is_patch = entry->patch_json.size > 0;
    struct slice json = is_patch ? entry->patch_json : entry->json;
    SIM_HOLDS(world, reading->count < SIM_RECORDS, "a container has a record twice");
    struct sim_item *item = &reading->items[reading->count++];
    *item = (struct sim_item){.record = sim_record_number(world, &entry->key),
                              .deleted = entry->deleted,
                              .form = is_patch ? PATCH_FORM_MERGE : PATCH_FORM_NONE,
                              .version = entry->version};
    size_t position = 0;
    struct slice operation;
    while (bundle_entry_operation_next(entry, &position, &operation))
        sim_item_add_operation(world, item, operation);
    if (!entry->deleted && entry->operation_count == 0)
        item->data = json_document(arena_copy_text(&world->arena, json), &world->arena);
    return true;
}

bool sim_container_read(struct sim_world *world, struct slice container,
                        struct sim_message *answer) {
    struct sync_error error;
    struct bundle_info info;
    struct container_reading reading = {
        .world = world, .items = sim_alloc(world, SIM_RECORDS * sizeof *reading.items)};
    struct bundle_codec codec;
    struct bundle_codecs codecs = {&codec, 1};
    SIM_HOLDS(world, chunk_codec_open(BUNDLE_CODEC_SNAPPY, 0, &codec) == SYNC_OK, "no codec");
    enum sync_status status =
        bundle_read(container, &codecs, &error, &info, container_visit, &reading);
    chunk_codec_close(&codec);
    if (status != SYNC_OK)
        return false;
    SIM_HOLDS(world, info.record_count == reading.count, "a container has another count");
    SIM_HOLDS(world,
              info.checksum.high == answer->checksum.high &&
                  info.checksum.low == answer->checksum.low,
              "a container has another checksum");
    answer->items = reading.items;
    answer->item_count = reading.count;
    return true;
}

/* ---- Downloads: the service keeps what it made, whatever crashes */

void sim_download_offer(struct sim_world *world, struct sim_message *answer,
                        const struct bundle_source *source) {
    struct sim_bundle *bundle = sim_alloc(world, sizeof *bundle);
    *bundle = (struct sim_bundle){.bytes = sim_container_write(world, source), .answer = *answer};
    answer->bundle = bundle;
}

void sim_part_arrived(struct sim_world *world, const struct sim_message *message) {
    struct sim_message answer = *message;
    struct slice rest = slice_after(message->bundle->bytes, message->offset);
    size_t size = 1 + world_pick(world, (uint32_t)rest.size);
    answer.is_answer = true;
    answer.part = slice_first(rest, size);
    if (!world->is_quiet && sim_once_in(world->random, 60)) {
        answer.status = SYNC_ERR_NOT_FOUND; /* its time is over */
    } else if (!world->is_quiet && sim_once_in(world->random, 30)) {
        uint8_t *damaged = sim_alloc(world, size);
        memcpy(damaged, answer.part.data, size);
        damaged[world_pick(world, (uint32_t)size)] ^= 1;
        answer.part = slice_of(damaged, size);
        answer.is_damaged = true;
    }
    sim_net_put(world, &answer);
}

void sim_call_part(struct sim_world *world, struct sim_device *device) {
    struct sim_message message = sim_call_begin(world, device, CALL_PART);
    message.bundle = device->download.bundle;
    message.offset = device->download.size;
    sim_tell(world, "%s goes on with its download at byte %zu of %zu (call %llu)", device->id,
             message.offset, message.bundle->bytes.size, (unsigned long long)message.request);
    sim_net_put(world, &message);
}

/* A container that is whole: used if it is sound, and the device still where it was asked from. */
static void download_end(struct sim_world *world, struct sim_device *device) {
    struct sim_download download = device->download;
    struct sim_message answer = download.bundle->answer;
    struct slice bytes = slice_of(download.bytes, download.size);
    device->download = (struct sim_download){.bundle = NULL};
    bool is_sound = sim_container_read(world, bytes, &answer);
    SIM_HOLDS(world, is_sound != download.is_damaged,
              is_sound ? "a damaged container is taken for whole"
                       : "a container is not read as it was written");
    bool is_there = device->has_plain == answer.pull.has_from &&
                    device->plain == answer.pull.from &&
                    (device->is_exact || !answer.pull.has_from);
    if (is_sound && is_there)
        sim_device_pulled(world, device, &answer);
    world->report->downloads += is_sound;
}

void sim_download_take(struct sim_world *world, struct sim_device *device,
                       const struct sim_message *answer) {
    struct sim_download *download = &device->download;
    if (answer->bundle != download->bundle || answer->offset != download->size)
        return;
    if (answer->status != SYNC_OK) {
        *download = (struct sim_download){.bundle = NULL};
        return;
    }
    memcpy(download->bytes + download->size, answer->part.data, answer->part.size);
    download->size += answer->part.size;
    download->is_damaged |= answer->is_damaged;
    if (download->size == download->bundle->bytes.size)
        download_end(world, device);
}

void sim_download_begin(struct sim_world *world, struct sim_device *device,
                        const struct sim_message *answer) {
    device->download = (struct sim_download){.bundle = answer->bundle,
                                             .bytes = sim_alloc(world, answer->bundle->bytes.size)};
}
