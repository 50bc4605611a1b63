#include "gateway/trace_context.h"

#include <string.h>

enum { TRACE_ID_AT = 3, PARENT_AT = 36, PARENT_SIZE = 16, FLAGS_AT = 53 };

/* Tells whether the text is lower-case hexadecimal. */
static bool is_hex(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f')))
            return false;
    }
    return true;
}

static bool is_id(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '0')
            return is_hex(text);
    }
    return false;
}

bool traceparent_is_valid(struct slice value) {
    if (value.size < TRACEPARENT_SIZE || value.data[2] != '-' || value.data[PARENT_AT - 1] != '-' ||
        value.data[FLAGS_AT - 1] != '-')
        return false;
    struct slice version = slice_first(value, 2);
    /* A later version may have more to say; this one has not. */
    bool longer = value.size > TRACEPARENT_SIZE;
    if (!is_hex(version) || slice_equal(version, SLICE("ff")) ||
        (longer && (slice_equal(version, SLICE("00")) || value.data[TRACEPARENT_SIZE] != '-')))
        return false;
    return is_id(traceparent_trace_id(value)) &&
           is_id(slice_of(value.data + PARENT_AT, PARENT_SIZE)) &&
           is_hex(slice_of(value.data + FLAGS_AT, 2));
}

struct slice traceparent_trace_id(struct slice value) {
    return slice_of(value.data + TRACE_ID_AT, TRACE_ID_SIZE);
}

void traceparent_make(const struct random_source *random, char text[TRACEPARENT_SIZE + 1]) {
    uint8_t bytes[(TRACE_ID_SIZE + PARENT_SIZE) / 2];
    random->fill(random->context, bytes, sizeof(bytes));
    bytes[0] |= 1; /* neither id is all zeros */
    bytes[TRACE_ID_SIZE / 2] |= 1;
    memcpy(text, "00-", TRACE_ID_AT);
    hex_put(text + TRACE_ID_AT, slice_of(bytes, TRACE_ID_SIZE / 2));
    text[PARENT_AT - 1] = '-';
    hex_put(text + PARENT_AT, slice_of(bytes + TRACE_ID_SIZE / 2, PARENT_SIZE / 2));
    memcpy(text + FLAGS_AT - 1, "-00", 4);
}
