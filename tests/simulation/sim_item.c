/* Items: records on their way to a device, whole or as what changed in them. */
#include "base/wire.h"
#include "service/core/field_stamps.h"
#include "service/core/patch_operation.h"
#include "tests/simulation/sim.h"

enum { OPERATIONS_MAX = 2 * FIELD_STAMPS_MAX };

enum patch_form sim_patch_form(const struct sim_device *device) {
    return device->number % 2 ? PATCH_FORM_OPERATIONS : PATCH_FORM_MERGE;
}

void sim_item_add_operation(struct sim_world *world, struct sim_item *item, struct slice message) {
    uint8_t *data = sim_alloc(world, item->data.size + WIRE_VARINT_MAX + message.size), *at = data;
    if (item->data.size > 0)
        memcpy(at, item->data.data, item->data.size);
    at += item->data.size;
    at += wire_put_varint(at, message.size);
    memcpy(at, message.data, message.size);
    item->form = PATCH_FORM_OPERATIONS;
    item->data = slice_of(data, (size_t)(at - data) + message.size);
}

static struct slice operations_apply(struct sim_world *world, struct slice packed,
                                     struct slice document, bool is_damaged) {
    struct patch_operation operations[OPERATIONS_MAX];
    struct sync_error error = {0};
    struct slice message;
    size_t position = 0, count = 0, failed;
    while (patch_operations_next(packed, &position, &message)) {
        SIM_HOLDS(world, count < OPERATIONS_MAX, "a patch has too many operations");
        SIM_HOLDS(world,
                  patch_operation_read(message, &world->arena, &error, &operations[count++]) ==
                      SYNC_OK,
                  "an operation is none: %s %s", error.field, error.message);
    }
    enum sync_status status = patch_operations_apply(document, operations, count, &world->arena,
                                                     &error, &failed, &document);
    SIM_HOLDS(world, status == SYNC_OK || (is_damaged && status == SYNC_ERR_INVALID),
              "an operation does not apply: %s", error.message);
    return document;
}

struct slice sim_item_apply(struct sim_world *world, const struct sim_item *item,
                            struct slice document, bool is_damaged) {
    switch (item->form) {
    case PATCH_FORM_NONE:
        return item->data;
    case PATCH_FORM_OPERATIONS:
        return operations_apply(world, item->data, document, is_damaged);
    case PATCH_FORM_MERGE:
        break;
    }
    SIM_HOLDS(world,
              document_merge_patch(document, item->data, &world->arena, &document) == SYNC_OK,
              "a patch does not apply");
    return document;
}
