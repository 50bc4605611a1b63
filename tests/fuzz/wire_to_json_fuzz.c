/* Any bytes as a message: no crash, and the JSON written is read back and written the same. The
 * first byte chooses the message. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/transcode.h"
#include "tests/fuzz/fuzz_schema.h"

enum { BYTES_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* JSON that was written is read, and gives the same JSON. JSON's depth is bounded otherwise than
 * the wire's, so too deep is no failure. */
static void check_round(const struct fuzz_message *of, struct slice json) {
    struct buffer wire, again;
    struct sync_error error = {0};
    buffer_init(&wire, BYTES_MAX);
    buffer_init(&again, BYTES_MAX);
    enum sync_status status = transcode_to_wire(of->schema, of->message, json, NULL, &wire, &error);
    if (status == SYNC_OK)
        status = transcode_to_json(of->schema, of->message, buffer_slice(&wire), &again, &error);
    if (status == SYNC_OK) {
        struct buffer wire_again, last;
        buffer_init(&wire_again, BYTES_MAX);
        buffer_init(&last, BYTES_MAX);
        if (transcode_to_wire(of->schema, of->message, buffer_slice(&again), NULL, &wire_again,
                              &error) ||
            transcode_to_json(of->schema, of->message, buffer_slice(&wire_again), &last, &error) ||
            !slice_equal(buffer_slice(&again), buffer_slice(&last)))
            abort();
        buffer_done(&wire_again);
        buffer_done(&last);
    } else if (error.reason[0] == 'M') {
        abort(); /* malformed: what we wrote ourselves */
    }
    buffer_done(&wire);
    buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error = {0};
    if (size == 0)
        return 0;
    struct fuzz_message of = fuzz_message_at(data[0] & (FUZZ_MESSAGES - 1));
    struct buffer json;
    buffer_init(&json, BYTES_MAX);
    if (transcode_to_json(of.schema, of.message, slice_of(data + 1, size - 1), &json, &error) ==
        SYNC_OK)
        check_round(&of, buffer_slice(&json));
    buffer_done(&json);
    return 0;
}
