#include "tests/fuzz/fuzz_json.h"

#include <stdlib.h>

#include "base/limits.h"
#include "gateway/transcode.h"
#include "service/core/document.h"
#include "sync_descriptor.h"

struct slice fuzz_line_cut(struct slice *text) {
    size_t begin = text->size;
    while (begin > 0 && text->data[begin - 1] != '\n')
        begin--;
    struct slice line = slice_after(*text, begin);
    *text = slice_first(*text, begin > 0 ? begin - 1 : 0);
    return line;
}

/* The schema of a document; read once. */
static const struct schema_message *struct_message(const struct schema **ret_schema) {
    static struct schema *schema;
    struct sync_error error = {0};
    if (!schema && schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema))
        abort();
    *ret_schema = schema;
    return schema_message_find(schema, SLICE("google.protobuf.Struct"));
}

bool fuzz_document(struct slice json, struct arena *arena, struct slice *ret_document) {
    const struct schema *schema;
    const struct schema_message *message = struct_message(&schema);
    struct sync_error error = {0};
    struct buffer wire;
    struct slice copy;
    buffer_init(&wire, 16 << 20);
    bool is_read = transcode_to_wire(schema, message, json, NULL, &wire, &error) == SYNC_OK &&
                   arena_copy(arena, buffer_slice(&wire), &copy) &&
                   document_normalize(copy, arena, &error, ret_document) == SYNC_OK &&
                   ret_document->size <= CHANGE_DATA_MAX;
    buffer_done(&wire);
    return is_read;
}
