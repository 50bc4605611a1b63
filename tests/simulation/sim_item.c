/* Items: records on their way to a device, whole or as what changed in them. */
#include "base/wire.h"
#include "service/core/delta.h"
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

/* Applies packed operations; false when one leads nowhere: the document stays then. */
static bool operations_apply(struct sim_world *world, struct slice packed, struct slice *document) {
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
    enum sync_status status = patch_operations_apply(*document, operations, count, &world->arena,
                                                     &error, &failed, document);
    SIM_HOLDS(world, status == SYNC_OK || status == SYNC_ERR_INVALID, "no memory for operations");
    return status == SYNC_OK;
}

static struct slice patch_apply(struct sim_world *world, struct slice patch,
                                struct slice document) {
    SIM_HOLDS(world, document_merge_patch(document, patch, &world->arena, &document) == SYNC_OK,
              "a patch does not apply");
    return document;
}

bool sim_change_applies(struct sim_world *world, const struct sim_change *change,
                        struct slice document) {
    return operations_apply(world, change->operations, &document);
}

struct slice sim_change_apply(struct sim_world *world, const struct sim_change *change,
                              struct slice document) {
    if (change->operations.size == 0)
        return patch_apply(world, change->data, document);
    (void)operations_apply(world, change->operations, &document);
    return document;
}

/* Whether operations replace an object outside of arrays, or may: a patch leaves in it what others
 * put there. */
static bool replaces_objects(struct slice patch, struct slice before) {
    struct member member;
    struct value was;
    size_t position = 0;
    while (document_next(patch, &position, &member)) {
        if (member.value.kind != VALUE_OBJECT)
            continue;
        if (!document_find(before, member.name, &was) || was.kind != VALUE_OBJECT ||
            replaces_objects(member.value.object, was.object))
            return true;
    }
    return false;
}

void sim_change_to_operations(struct sim_world *world, struct sim_change *change) {
    const struct record was = {.version = 1, .data = change->before};
    struct record is = {.version = 2, .data = sim_change_apply(world, change, change->before)};
    struct field_change step = {.before = &was, .document = is.data, .version = 2};
    struct slice redo, packed, patch;
    bool is_found;
    SIM_HOLDS(world,
              delta_between(is.data, was.data, &world->arena, &step.undo) == SYNC_OK &&
                  delta_between(was.data, is.data, &world->arena, &redo) == SYNC_OK &&
                  field_stamps_after(&step, &world->arena, &is.stamps) == SYNC_OK &&
                  field_stamps_operations(&is, 1, &world->arena, &packed, &is_found) == SYNC_OK,
              "what changed in a document cannot be told");
    if (!is_found || packed.size == 0 || !delta_to_merge_patch(redo, &world->arena, &patch) ||
        replaces_objects(patch, was.data))
        return;
    change->operations = packed;
    change->data = patch;
}

struct slice sim_item_apply(struct sim_world *world, const struct sim_item *item,
                            struct slice document, bool is_damaged) {
    switch (item->form) {
    case PATCH_FORM_NONE:
        return item->data;
    case PATCH_FORM_OPERATIONS:
        SIM_HOLDS(world, operations_apply(world, item->data, &document) || is_damaged,
                  "an operation does not apply");
        return document;
    case PATCH_FORM_MERGE:
        break;
    }
    return patch_apply(world, item->data, document);
}
