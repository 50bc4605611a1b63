#include "gateway/openapi_writer.h"

#include "base/json_text.h"

void openapi_open(struct openapi_writer *writer, uint8_t bracket) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    buffer_append_byte(writer->out, bracket);
    writer->comma = false;
}

void openapi_close(struct openapi_writer *writer, uint8_t bracket) {
    buffer_append_byte(writer->out, bracket);
    writer->comma = true;
}

void openapi_name(struct openapi_writer *writer, struct slice name) {
    openapi_text(writer, name);
    buffer_append_byte(writer->out, ':');
    writer->comma = false;
}

void openapi_text(struct openapi_writer *writer, struct slice text) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    json_append_string(writer->out, slice_is_utf8(text) ? text : SLICE_EMPTY);
    writer->comma = true;
}

void openapi_raw(struct openapi_writer *writer, struct slice json) {
    if (writer->comma)
        buffer_append_byte(writer->out, ',');
    buffer_append(writer->out, json);
    writer->comma = true;
}

void openapi_member(struct openapi_writer *writer, struct slice name, struct slice text) {
    openapi_name(writer, name);
    openapi_text(writer, text);
}

void openapi_raw_member(struct openapi_writer *writer, struct slice name, struct slice json) {
    openapi_name(writer, name);
    openapi_raw(writer, json);
}

void openapi_number(struct openapi_writer *writer, struct slice name, int64_t number) {
    openapi_name(writer, name);
    buffer_append_format(writer->out, "%lld", (long long)number);
    writer->comma = true;
}

void openapi_description(struct openapi_writer *writer, struct slice comment) {
    if (comment.size == 0)
        return;
    uint8_t *text = arena_alloc(&writer->arena, comment.size);
    if (!text) {
        writer->failed = true;
        return;
    }
    size_t size = 0;
    for (size_t i = 0; i < comment.size; i++) {
        uint8_t byte = comment.data[i];
        if (byte == ' ' && size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\n'))
            continue;
        bool paragraph = byte == '\n' && i + 1 < comment.size && comment.data[i + 1] == '\n';
        if (byte == '\n' && !paragraph && !(size > 0 && text[size - 1] == '\n'))
            byte = ' ';
        text[size++] = byte;
    }
    openapi_member(writer, SLICE("description"), slice_of(text, size));
}
