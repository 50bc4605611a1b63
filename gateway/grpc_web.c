#include "gateway/grpc_web.h"

#include <strings.h>

#include "gateway/grpc_message.h"
#include "gateway/grpc_metadata.h"

enum { TRAILERS_FLAG = 0x80 };

/* Tells whether the type is this one, whatever form of messages follows. */
static bool type_begins(struct slice type, const char *name) {
    size_t size = strlen(name);
    if (type.size < size || strncasecmp((const char *)type.data, name, size) != 0)
        return false;
    return type.size == size || type.data[size] == '+' || type.data[size] == ';';
}

enum grpc_web_form grpc_web_form_of(struct slice content_type) {
    if (type_begins(content_type, "application/grpc-web"))
        return GRPC_WEB_BINARY;
    if (type_begins(content_type, "application/grpc-web-text"))
        return GRPC_WEB_TEXT;
    return GRPC_WEB_NONE;
}

/* Takes one character; false when it cannot stand there. */
static bool decode_one(struct grpc_web_decoder *decoder, uint8_t byte) {
    int value = grpc_base64_value(byte);
    if (byte == '=' && decoder->count >= 2) {
        decoder->padding++;
        value = 0;
    } else if (value < 0 || decoder->padding > 0) {
        return false;
    }
    decoder->bits = decoder->bits << 6 | (uint32_t)value;
    decoder->count++;
    return true;
}

bool grpc_web_decode(struct grpc_web_decoder *decoder, struct slice text, struct buffer *out) {
    uint8_t *room = buffer_reserve(out, text.size / 4 * 3 + 3);
    if (!room)
        return true;
    size_t size = 0;
    bool well = true;
    for (size_t i = 0; well && i < text.size; i++) {
        well = decode_one(decoder, text.data[i]);
        if (!well || decoder->count < 4)
            continue;
        unsigned bytes = 3U - decoder->padding;
        uint32_t spare = decoder->bits & ((1U << (8 * decoder->padding)) - 1);
        well = spare == 0;
        for (unsigned byte = 0; byte < bytes; byte++)
            room[size++] = (uint8_t)(decoder->bits >> (16 - 8 * byte));
        *decoder = (struct grpc_web_decoder){.bits = 0};
    }
    buffer_advance(out, size);
    return well;
}

bool grpc_web_decode_at_end(const struct grpc_web_decoder *decoder) {
    return decoder->count == 0;
}

void grpc_web_trailers_write(struct buffer *out, const struct transcode_header *list,
                             size_t count) {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += list[i].name.size + list[i].value.size + 4;
    grpc_prefix_put(prefix, size);
    prefix[0] = TRAILERS_FLAG;
    buffer_append(out, slice_of(prefix, sizeof(prefix)));
    for (size_t i = 0; i < count; i++) {
        buffer_append(out, list[i].name);
        buffer_append(out, SLICE(": "));
        buffer_append(out, list[i].value);
        buffer_append(out, SLICE("\r\n"));
    }
}
