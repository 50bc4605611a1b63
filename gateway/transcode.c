#include "gateway/transcode.h"

#include <assert.h>

#include "gateway/json_decoder.h"

enum sync_status transcode_to_wire(const struct schema *schema,
                                   const struct schema_message *message, struct slice json,
                                   const struct transcode_options *options, struct buffer *out,
                                   struct sync_error *error) {
    static const struct transcode_options STRICT = {0};
    assert(schema);
    assert(message);
    struct json_decoder decoder;
    json_decoder_init(&decoder, schema, options ? options : &STRICT, json, out, error);
    json_space(&decoder);
    struct json_mark mark = json_mark_of(&decoder);
    bool well = json_read_message(&decoder, message, NULL, NULL) || json_recover(&decoder, &mark);
    enum sync_status status = well ? json_decoder_finish(&decoder) : json_decoder_status(&decoder);
    json_decoder_done(&decoder);
    return status;
}
