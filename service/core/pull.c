#include "service/core/pull.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "service/core/document.h"
#include "service/core/field_stamps.h"

/* Rank: the type's place in the top bits, then how far the start is. */
enum { RANK_TYPE_SHIFT = 62, TYPE_RANK_LAST = 3 };
static const uint64_t RANK_DISTANCE_LAST = (UINT64_C(1) << RANK_TYPE_SHIFT) - 1;

/* Where a start time may stand, the most telling first. */
static const struct slice START_NAMES[] = {
    SLICE("departureTime"), SLICE("departureDay"), SLICE("checkinTime"),
    SLICE("checkinDate"),   SLICE("pickupTime"),   SLICE("startTime"),
    SLICE("startDate"),     SLICE("startsAt"),     SLICE("start"),
};

/* Reads a time from text, or from an object whose "@value" is text (as JSON-LD types values). */
static bool start_time_read(const struct value *value, int64_t *ret_time_us) {
    struct value inner;
    if (value->kind == VALUE_STRING)
        return time_parse(value->text, ret_time_us);
    return value->kind == VALUE_OBJECT && document_find(value->object, SLICE("@value"), &inner) &&
           inner.kind == VALUE_STRING && time_parse(inner.text, ret_time_us);
}

static bool start_time_find(struct slice object, int64_t *ret_time_us) {
    struct value value;
    for (size_t i = 0; i < sizeof START_NAMES / sizeof *START_NAMES; i++)
        if (document_find(object, START_NAMES[i], &value) && start_time_read(&value, ret_time_us))
            return true;
    return false;
}

bool pull_start_time(struct slice document, int64_t *ret_time_us) {
    struct value inner;
    return start_time_find(document, ret_time_us) ||
           (document_find(document, SLICE("reservationFor"), &inner) &&
            inner.kind == VALUE_OBJECT && start_time_find(inner.object, ret_time_us));
}

/* The place of a type in an order. */
static uint64_t type_rank(enum data_type type, data_type_order order) {
    uint64_t place = 0;
    while (place < TYPE_RANK_LAST && (int)(order & 15) != (int)type) {
        order >>= 4;
        place++;
    }
    return place;
}

uint64_t pull_rank(const struct record *record, int64_t now_us) {
    return pull_rank_by(record, now_us, 0);
}

uint64_t pull_rank_by(const struct record *record, int64_t now_us, data_type_order order) {
    assert(record);
    uint64_t rank = type_rank(record->key.type, order ? order : DATA_TYPE_ORDER_OWN)
                    << RANK_TYPE_SHIFT;
    int64_t start_us;
    if (record->deleted)
        return rank;
    if (!pull_start_time(record->data, &start_us))
        return rank | RANK_DISTANCE_LAST;
    uint64_t distance = start_us > now_us ? (uint64_t)start_us - (uint64_t)now_us
                                          : (uint64_t)now_us - (uint64_t)start_us;
    return rank | (distance < RANK_DISTANCE_LAST - 2 ? distance + 1 : RANK_DISTANCE_LAST - 1);
}

static int pulled_compare(const void *left, const void *right) {
    const struct pulled *a = left, *b = right;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->record.key.type != b->record.key.type)
        return a->record.key.type < b->record.key.type ? -1 : 1;
    return slice_compare(a->record.key.id, b->record.key.id);
}

void pull_sort(struct pulled *items, size_t count) {
    assert(items || count == 0);
    if (count > 1)
        qsort(items, count, sizeof *items, pulled_compare);
}

enum sync_status pull_make_patch(struct pulled *item, uint64_t since, enum patch_form wanted,
                                 struct arena *arena) {
    assert(item && arena);
    assert(item->form == PATCH_FORM_NONE);
    struct slice patch = SLICE_EMPTY, operations = SLICE_EMPTY;
    bool has_patch = false, has_operations = false;
    size_t smallest = item->record.data.size;
    if (item->record.deleted || wanted == PATCH_FORM_NONE)
        return SYNC_OK;
    enum sync_status status = field_stamps_patch(&item->record, since, arena, &patch, &has_patch);
    if (!status && wanted == PATCH_FORM_OPERATIONS)
        status = field_stamps_operations(&item->record, since, arena, &operations, &has_operations);
    if (status)
        return status;
    if (has_patch && patch.size < smallest) {
        item->patch = patch;
        item->form = PATCH_FORM_MERGE;
        smallest = patch.size;
    }
    if (has_operations && operations.size < smallest) {
        item->patch = operations;
        item->form = PATCH_FORM_OPERATIONS;
    }
    return SYNC_OK;
}
