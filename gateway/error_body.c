#include "gateway/error_body.h"

#include <assert.h>

#include "base/json_text.h"
#include "base/wire.h"

#define ANY_PREFIX "type.googleapis.com/"

/* Hop-by-hop headers and the date are the gateway's own. */
static bool header_name_is_allowed(struct slice name) {
    static const struct slice hop_by_hop[] = {
        {(const uint8_t *)"connection", 10},
        {(const uint8_t *)"keep-alive", 10},
        {(const uint8_t *)"proxy-connection", 16},
        {(const uint8_t *)"transfer-encoding", 17},
        {(const uint8_t *)"te", 2},
        {(const uint8_t *)"trailer", 7},
        {(const uint8_t *)"upgrade", 7},
        {(const uint8_t *)"date", 4},
    };
    for (size_t i = 0; i < sizeof(hop_by_hop) / sizeof(hop_by_hop[0]); i++) {
        if (slice_equal(name, hop_by_hop[i]))
            return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.data[i];
        if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' ||
              byte == '_'))
            return false;
    }
    return name.size > 0;
}

static bool header_value_is_allowed(struct slice value) {
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f)
            return false;
    }
    return true;
}

/* The content of two string fields, as often in these small messages. Others are skipped. */
static bool read_two_texts(struct slice wire, struct slice *ret_first, struct slice *ret_second) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == 1)
            *ret_first = field.bytes;
        else if (field.number == 2)
            *ret_second = field.bytes;
    }
    return true;
}

void response_head_read(struct slice wire, struct response_head *head) {
    struct wire_reader reader = wire_reader_of(wire);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == 1 && field.type == WIRE_VARINT) {
            if (field.bits >= 200 && field.bits <= 599)
                head->status = (int)field.bits;
        } else if (field.number == 2 && field.type == WIRE_LEN &&
                   head->header_count < RESPONSE_HEAD_HEADERS_MAX) {
            struct transcode_header *header = &head->headers[head->header_count];
            *header = (struct transcode_header){SLICE_EMPTY, SLICE_EMPTY};
            if (read_two_texts(field.bytes, &header->name, &header->value) &&
                header_name_is_allowed(header->name) && header_value_is_allowed(header->value))
                head->header_count++;
        }
    }
}

bool any_read(struct slice wire, struct any_parts *ret_parts) {
    struct any_parts parts = {.value = SLICE_EMPTY};
    if (!read_two_texts(wire, &parts.type_url, &parts.value))
        return false;
    parts.type_name = parts.type_url;
    for (size_t i = parts.type_url.size; i > 0; i--) {
        if (parts.type_url.data[i - 1] == '/') {
            parts.type_name = slice_after(parts.type_url, i);
            break;
        }
    }
    *ret_parts = parts;
    return true;
}

/* Seconds of google.rpc.RetryInfo, rounded up. */
static int retry_seconds(struct slice wire) {
    struct slice duration = SLICE_EMPTY, unused;
    if (!read_two_texts(wire, &duration, &unused))
        return 0;
    struct wire_reader reader = wire_reader_of(duration);
    struct wire_field field;
    uint64_t seconds = 0, nanos = 0;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.type != WIRE_VARINT)
            continue;
        if (field.number == 1)
            seconds = field.bits;
        else if (field.number == 2)
            nanos = field.bits;
    }
    if (seconds > 86400)
        return 86400;
    int rounded = (int)seconds + (nanos > 0);
    return rounded > 0 ? rounded : 1;
}

/* Appends one detail, with its comma; false where it cannot be shown, and `out` is as it was. */
static bool write_detail(struct buffer *out, const struct schema *schema,
                         const struct any_parts *any, bool first) {
    const struct schema_message *message = schema_message_find(schema, any->type_name);
    if (!message || !slice_is_utf8(any->type_url))
        return false;
    size_t begin = out->size;
    buffer_append(out, first ? SLICE("{\"@type\":") : SLICE(",{\"@type\":"));
    json_append_string(out, any->type_url);
    size_t body = out->size;
    struct sync_error error;
    if (transcode_to_json(schema, message, any->value, out, &error) != SYNC_OK || out->failed ||
        out->size - body < 2 || out->data[body] != '{') {
        if (!out->failed)
            out->size = begin;
        return false;
    }
    if (out->size - body == 2) {
        /* "{}": only the type remains */
        out->data[body] = '}';
        out->size = body + 1;
    } else {
        out->data[body] = ',';
    }
    return true;
}

static void write_details(struct buffer *out, const struct schema *schema,
                          const struct schema *more, struct slice details,
                          struct error_hints *hints) {
    struct wire_reader reader = wire_reader_of(details);
    struct wire_field field;
    bool first = true;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        struct any_parts any;
        if (field.number != 3 || field.type != WIRE_LEN || !any_read(field.bytes, &any))
            continue;
        if (slice_equal(any.type_name, SLICE("travelsense.http.v1.ResponseHead"))) {
            response_head_read(any.value, &hints->head);
            continue;
        }
        if (slice_equal(any.type_name, SLICE("google.rpc.RetryInfo")))
            hints->retry_after_s = retry_seconds(any.value);
        if (!write_detail(out, schema, &any, first) &&
            !(more && write_detail(out, more, &any, first)))
            continue;
        first = false;
    }
}

/* The text, or what is left of it when it was cut in the middle of a character. */
static struct slice whole_text(struct slice text) {
    for (int cut = 0; cut < 4 && !slice_is_utf8(text) && text.size > 0; cut++)
        text.size--;
    return slice_is_utf8(text) ? text : SLICE_EMPTY;
}

void error_body_write(struct buffer *out, const struct schema *schema, const struct schema *more,
                      int http_status, struct slice status_name, struct slice message,
                      struct slice details, struct error_hints *ret_hints) {
    struct error_hints hints = {.retry_after_s = 0};
    buffer_append_format(out, "{\"error\":{\"code\":%d,\"status\":", http_status);
    json_append_string(out, status_name);
    buffer_append(out, SLICE(",\"message\":"));
    json_append_string(out, whole_text(message));
    buffer_append(out, SLICE(",\"details\":["));
    write_details(out, schema, more, details, &hints);
    buffer_append(out, SLICE("]}}"));
    *ret_hints = hints;
}

/* Begins a google.rpc.Status with one Any of this type; wire_end twice ends it. */
struct details_open {
    size_t any, value;
};

static struct details_open details_begin(struct buffer *out, const char *type_url) {
    struct details_open open;
    open.any = wire_begin(out, 3);
    wire_write_bytes(out, 1, slice_text(type_url));
    open.value = wire_begin(out, 2);
    return open;
}

static void details_end(struct buffer *out, struct details_open open) {
    wire_end(out, open.value);
    wire_end(out, open.any);
}

void error_info_details(struct buffer *out, struct slice reason, struct slice domain) {
    struct details_open open = details_begin(out, ANY_PREFIX "google.rpc.ErrorInfo");
    wire_write_bytes(out, 1, reason);
    wire_write_bytes(out, 2, domain);
    details_end(out, open);
}
