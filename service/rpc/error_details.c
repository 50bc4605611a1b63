#include "service/rpc/error_details.h"

#include <assert.h>
#include <stdio.h>

#include "base/wire.h"

#define ERROR_DOMAIN "sync.travelsense"
#define TYPE_GOOGLE(name) "type.googleapis.com/google.rpc." name

enum {
    STATUS_CODE = 1,
    STATUS_MESSAGE = 2,
    STATUS_DETAILS = 3,
    ANY_TYPE_URL = 1,
    ANY_VALUE = 2,
    ERROR_PART_MAX = ERROR_DETAILS_MAX,
};

static void error_details_begin(struct error_details *details, size_t size_max, enum rpc_code code,
                                struct slice message) {
    details->size_max = size_max;
    buffer_init(&details->bytes, 2 * size_max);
    wire_write_uint(&details->bytes, STATUS_CODE, (uint64_t)code);
    wire_write_bytes(&details->bytes, STATUS_MESSAGE, message);
}

void error_details_init(struct error_details *details, enum rpc_code code, struct slice message) {
    error_details_begin(details, ERROR_DETAILS_MAX, code, message);
}

void error_details_init_large(struct error_details *details, enum rpc_code code,
                              struct slice message) {
    error_details_begin(details, ERROR_DETAILS_LARGE_MAX, code, message);
}

void error_details_done(struct error_details *details) {
    buffer_done(&details->bytes);
}

/* Appends one detail when it fits; takes over `value` in any case. */
static void error_details_append(struct error_details *details, const char *type,
                                 struct buffer *value) {
    size_t room_wanted = value->size + strlen(type) + 4 * WIRE_VARINT_MAX;
    if (!value->failed && details->bytes.size + room_wanted <= details->size_max) {
        size_t any = wire_begin(&details->bytes, STATUS_DETAILS);
        wire_write_bytes(&details->bytes, ANY_TYPE_URL, slice_text(type));
        wire_write_bytes(&details->bytes, ANY_VALUE, buffer_slice(value));
        wire_end(&details->bytes, any);
    }
    buffer_done(value);
}

void error_details_add_info(struct error_details *details, const char *reason,
                            const struct error_pair *pairs, size_t count) {
    struct buffer info;
    buffer_init(&info, ERROR_PART_MAX);
    wire_write_bytes(&info, 1, slice_text(reason));
    wire_write_bytes(&info, 2, SLICE(ERROR_DOMAIN));
    for (size_t i = 0; i < count; i++) {
        size_t entry = wire_begin(&info, 3);
        wire_write_bytes(&info, 1, slice_text(pairs[i].name));
        wire_write_bytes(&info, 2, slice_text(pairs[i].value));
        wire_end(&info, entry);
    }
    error_details_append(details, TYPE_GOOGLE("ErrorInfo"), &info);
}

/* Drops what was written behind `size` when it passes the room; says whether it stayed. */
static bool fields_keep(struct buffer *fields, size_t size, size_t room) {
    if (!fields->failed && fields->size <= room)
        return true;
    if (!fields->failed)
        fields->size = size;
    return false;
}

size_t error_details_add_fields(struct error_details *details,
                                const struct rpc_violation *violations, size_t count) {
    size_t taken = details->bytes.size + ERROR_DETAILS_RESERVE;
    size_t room = taken < details->size_max ? details->size_max - taken : 0;
    struct buffer fields;
    buffer_init(&fields, 2 * details->size_max);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = fields.size;
        size_t violation = wire_begin(&fields, 1);
        wire_write_bytes(&fields, 1, violations[i].field);
        wire_write_bytes(&fields, 2, violations[i].description);
        if (violations[i].reason)
            wire_write_bytes(&fields, 3, slice_text(violations[i].reason));
        wire_end(&fields, violation);
        if (!fields_keep(&fields, before, room))
            break;
        kept++;
    }
    if (fields.failed)
        kept = 0;
    error_details_append(details, TYPE_GOOGLE("BadRequest"), &fields);
    return kept;
}

void error_details_add_retry(struct error_details *details, uint64_t delay_ms) {
    struct buffer retry;
    buffer_init(&retry, ERROR_PART_MAX);
    size_t duration = wire_begin(&retry, 1);
    wire_write_uint(&retry, 1, delay_ms / 1000);
    wire_write_uint(&retry, 2, delay_ms % 1000 * 1000000);
    wire_end(&retry, duration);
    error_details_append(details, TYPE_GOOGLE("RetryInfo"), &retry);
}

void error_details_add_quota(struct error_details *details, struct slice subject,
                             struct slice description) {
    struct buffer quota;
    buffer_init(&quota, ERROR_PART_MAX);
    size_t violation = wire_begin(&quota, 1);
    wire_write_bytes(&quota, 1, subject);
    wire_write_bytes(&quota, 2, description);
    wire_end(&quota, violation);
    error_details_append(details, TYPE_GOOGLE("QuotaFailure"), &quota);
}

void error_details_add_precondition(struct error_details *details, const char *type,
                                    struct slice subject, struct slice description) {
    struct buffer failure;
    buffer_init(&failure, ERROR_PART_MAX);
    size_t violation = wire_begin(&failure, 1);
    wire_write_bytes(&failure, 1, slice_text(type));
    wire_write_bytes(&failure, 2, subject);
    wire_write_bytes(&failure, 3, description);
    wire_end(&failure, violation);
    error_details_append(details, TYPE_GOOGLE("PreconditionFailure"), &failure);
}

void error_details_add_head(struct error_details *details, const struct error_pair *headers,
                            size_t count) {
    struct buffer head;
    buffer_init(&head, ERROR_PART_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t header = wire_begin(&head, 2);
        wire_write_bytes(&head, 1, slice_text(headers[i].name));
        wire_write_bytes(&head, 2, slice_text(headers[i].value));
        wire_end(&head, header);
    }
    error_details_append(details, "type.googleapis.com/travelsense.http.v1.ResponseHead", &head);
}

struct slice error_details_bytes(const struct error_details *details) {
    return details->bytes.failed ? SLICE_EMPTY : buffer_slice(&details->bytes);
}
