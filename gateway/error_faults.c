#include "gateway/error_faults.h"

#include <assert.h>
#include <stdlib.h>

#include "base/field_path.h"
#include "base/limits.h"
#include "base/wire.h"
#include "gateway/error_body.h"

#define BAD_REQUEST "google.rpc.BadRequest"

enum {
    STATUS_DETAIL = 3,
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    BAD_REQUEST_VIOLATION = 1,
    VIOLATION_FIELD = 1,
    VIOLATION_DESCRIPTION = 2,
    VIOLATION_REASON = 3,
};

/* One fault, of either side. */
struct fault {
    struct slice path, description, reason;
    bool is_ours, is_dropped;
};

/* Both sides' faults: the service's first, at most `capacity`. */
struct fault_list {
    struct fault *faults;
    size_t count, capacity;
};

static bool violation_read(struct slice wire, struct fault *fault) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == VIOLATION_FIELD)
            fault->path = field.bytes;
        else if (field.number == VIOLATION_DESCRIPTION)
            fault->description = field.bytes;
        else if (field.number == VIOLATION_REASON)
            fault->reason = field.bytes;
    }
    return true;
}

/* Adds a BadRequest's violations while there is room; false when it is malformed. */
static bool bad_request_read(struct slice wire, struct fault_list *list) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.number != BAD_REQUEST_VIOLATION || field.type != WIRE_LEN)
            continue;
        struct fault fault = {.is_ours = false};
        if (!violation_read(field.bytes, &fault))
            return false;
        if (list->count < list->capacity)
            list->faults[list->count++] = fault;
    }
    return true;
}

/* Reads the violations of the service's details; false when these are malformed. */
static bool details_read(struct slice details, struct fault_list *list) {
    struct wire_reader reader = wire_reader_of(details);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        struct any_parts any;
        if (!wire_read(&reader, &field))
            return false;
        if (field.number != STATUS_DETAIL || field.type != WIRE_LEN)
            continue;
        if (!any_read(field.bytes, &any))
            return false;
        if (slice_equal(any.type_name, SLICE(BAD_REQUEST)) && !bad_request_read(any.value, list))
            return false;
    }
    return true;
}

/* Appends the details that are no BadRequest; they are known to be well-formed. */
static void others_copy(struct slice details, struct buffer *out) {
    struct wire_reader reader = wire_reader_of(details);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        struct any_parts any;
        if (field.number == STATUS_DETAIL && field.type == WIRE_LEN &&
            any_read(field.bytes, &any) && !slice_equal(any.type_name, SLICE(BAD_REQUEST)))
            wire_write_bytes(out, STATUS_DETAIL, field.bytes);
    }
}

/* By path; ours first, so that what repeats it comes behind. */
static int fault_order(const void *a, const void *b) {
    const struct fault *x = a, *y = b;
    int order = field_path_compare(x->path, y->path);
    if (order == 0)
        order = (int)y->is_ours - (int)x->is_ours;
    return order ? order : slice_compare(x->description, y->description);
}

/* Drops what the service found because of what the gateway left out. The list is in order: what
 * lies in a field is right behind it. */
static void list_drop(struct fault_list *list) {
    const struct fault *holder = NULL, *next = NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct fault *fault = &list->faults[i];
        bool is_held = holder && field_path_holds(holder->path, fault->path);
        fault->is_dropped = is_held && !fault->is_ours;
        if (fault->is_ours && !is_held)
            holder = fault;
    }
    for (size_t i = list->count; i > 0; i--) {
        struct fault *fault = &list->faults[i - 1];
        if (fault->is_ours)
            next = fault;
        else if (next && slice_equal(fault->reason, SLICE("REQUIRED")) &&
                 field_path_holds(fault->path, next->path))
            fault->is_dropped = true;
    }
}

static void list_write(const struct fault_list *list, struct buffer *out,
                       struct error_faults *told) {
    size_t any = wire_begin(out, STATUS_DETAIL);
    wire_write_bytes(out, ANY_TYPE_URL, SLICE("type.googleapis.com/" BAD_REQUEST));
    size_t value = wire_begin(out, ANY_VALUE);
    for (size_t i = 0; i < list->count; i++) {
        const struct fault *fault = &list->faults[i];
        if (fault->is_dropped)
            continue;
        if (told->count++ == 0) {
            told->path = fault->path;
            told->description = fault->description;
        }
        size_t violation = wire_begin(out, BAD_REQUEST_VIOLATION);
        wire_write_bytes(out, VIOLATION_FIELD, fault->path);
        wire_write_bytes(out, VIOLATION_DESCRIPTION, fault->description);
        wire_write_bytes(out, VIOLATION_REASON, fault->reason);
        wire_end(out, violation);
    }
    wire_end(out, value);
    wire_end(out, any);
}

enum sync_status error_faults_write(struct buffer *out, const struct transcode_faults *faults,
                                    struct slice details, struct arena *arena,
                                    struct error_faults *ret_told) {
    assert(faults->count <= BATCH_FAULTS_MAX);
    /* A violation in wire form has at least its tag and its length. */
    size_t theirs = details.size / 2 < BATCH_FAULTS_MAX ? details.size / 2 : BATCH_FAULTS_MAX;
    struct fault_list list = {.capacity = theirs};
    list.faults = arena_zalloc(arena, faults->count + theirs + 1, sizeof *list.faults);
    if (!list.faults)
        return SYNC_ERR_NO_MEMORY;
    if (!details_read(details, &list)) {
        details = SLICE_EMPTY;
        list.count = 0;
    }
    for (size_t i = 0; i < faults->count; i++)
        list.faults[list.count++] = (struct fault){.path = faults->list[i].path,
                                                   .description = faults->list[i].description,
                                                   .reason = slice_text(faults->list[i].reason),
                                                   .is_ours = true};
    qsort(list.faults, list.count, sizeof *list.faults, fault_order);
    list_drop(&list);
    struct error_faults told = {0};
    list_write(&list, out, &told);
    others_copy(details, out);
    if (out->failed)
        return buffer_status(out);
    *ret_told = told;
    return SYNC_OK;
}
