#include <assert.h>

#include "base/memory.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/lane_write.h"

enum { ACKNOWLEDGEMENT_BYTES_MAX = 64 << 10 };

enum sync_status device_touch(const struct device_touch *touch, struct arena *arena,
                              struct sync_error *error, struct device *ret_device,
                              struct row_write *ret_row, bool *ret_has_news) {
    assert(touch->row && touch->id.size > 0);
    struct device device = {0};
    bool has_news = false;
    if (touch->row->found) {
        enum sync_status status = device_unpack(touch->row->value, &device);
        if (status != SYNC_OK)
            return status;
        if (device.revoked)
            return sync_error_set(error, SYNC_ERR_DENIED, "DEVICE_REVOKED", NULL,
                                  "this device has been revoked and may no longer synchronize");
        has_news = touch->now_us - device.last_seen_us >= DEVICE_SEEN_STEP_US;
    }
    device.id = touch->id;
    if (touch->acknowledges &&
        (!device.has_acknowledged || touch->acknowledged > device.acknowledged)) {
        device.acknowledged = touch->acknowledged;
        device.has_acknowledged = true;
        has_news = touch->row->found;
    }
    if (has_news) {
        device.last_seen_us = touch->now_us;
        *ret_row = (struct row_write){.table = TABLE_DEVICE};
        if (!key_of_user(arena, touch->user, touch->id, &ret_row->key) ||
            !device_pack(&device, arena, &ret_row->value))
            return SYNC_ERR_NO_MEMORY;
    }
    *ret_device = device;
    *ret_has_news = has_news;
    return SYNC_OK;
}

/* An acknowledgement on its way; owns itself. */
struct acknowledgement {
    struct lane_write write; /* first: found from it */
    struct arena arena;
    struct slice user, id;
    struct row row;
    struct row_write row_write;
    bool acknowledges;
    uint64_t sequence;
};

static enum sync_status acknowledgement_apply(struct lane_write *write, struct write_set *ret_set) {
    struct acknowledgement *ack = (struct acknowledgement *)write;
    struct touched want = {.user = ack->user, .rows = &ack->row, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(write->service->store, NULL, &want, &ack->arena, &view);
    if (status != SYNC_OK)
        return status;
    struct device_touch touch = {
        .user = ack->user,
        .id = ack->id,
        .row = &view.rows[0],
        .acknowledges = ack->acknowledges,
        .acknowledged = ack->sequence,
        .now_us = (int64_t)clock_now_us(write->service->clock),
    };
    struct device device;
    bool has_news = false;
    status = device_touch(&touch, &ack->arena, NULL, &device, &ack->row_write, &has_news);
    if (status != SYNC_OK || !has_news)
        return status;
    ret_set->rows = &ack->row_write;
    ret_set->row_count = 1;
    return SYNC_OK;
}

static void acknowledgement_finish(struct lane_write *write, enum sync_status status) {
    struct acknowledgement *ack = (struct acknowledgement *)write;
    if (status != SYNC_OK && status != SYNC_ERR_DENIED)
        log_line(write->service->log, LOG_WARN, "acknowledgement not stored",
                 LOG_SLICE("user", ack->user), LOG_SLICE("device", ack->id),
                 LOG_TEXT("cause", sync_status_name(status)));
    arena_done(&ack->arena);
    memory_free(ack);
}

/* Fills in what the acknowledgement needs beyond the call. */
static bool acknowledgement_init(struct acknowledgement *ack, struct slice user,
                                 struct slice device) {
    ack->row.table = TABLE_DEVICE;
    return arena_copy(&ack->arena, user, &ack->user) && arena_copy(&ack->arena, device, &ack->id) &&
           key_of_user(&ack->arena, ack->user, ack->id, &ack->row.key);
}

void device_acknowledge(struct service *service, struct slice user, const struct device *device,
                        bool acknowledges, uint64_t sequence) {
    int64_t now_us = (int64_t)clock_now_us(service->clock);
    bool has_news =
        now_us - device->last_seen_us >= DEVICE_SEEN_STEP_US ||
        (acknowledges && (!device->has_acknowledged || sequence > device->acknowledged));
    if (!has_news)
        return;
    struct acknowledgement *ack = memory_zalloc(1, sizeof *ack);
    if (!ack)
        return;
    arena_init(&ack->arena, ACKNOWLEDGEMENT_BYTES_MAX);
    if (!acknowledgement_init(ack, user, device->id)) {
        arena_done(&ack->arena);
        memory_free(ack);
        return;
    }
    ack->acknowledges = acknowledges;
    ack->sequence = sequence;
    ack->write = (struct lane_write){.service = service,
                                     .lane = ack->user,
                                     .apply = acknowledgement_apply,
                                     .finish = acknowledgement_finish};
    lane_write_start(&ack->write);
}
