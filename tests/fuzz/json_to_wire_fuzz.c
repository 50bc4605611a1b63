/* Any bytes as the JSON of a message: no crash, and what is taken can be written back, and read and
 * written again without a change. The first byte chooses the options and the message. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "gateway/transcode.h"
#include "tests/fuzz/fuzz_schema.h"

enum { BYTES_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* JSON that was written reads as the same message. Only what stands for a large whole number may
 * be refused where it would be rounded, though it came as 1e18. */
static void check_again(const struct fuzz_message *of, struct slice json) {
    struct buffer wire, again;
    struct sync_error error = {0};
    buffer_init(&wire, BYTES_MAX);
    buffer_init(&again, BYTES_MAX);
    if (transcode_to_wire(of->schema, of->message, json, NULL, &wire, &error)) {
        if (!wire.failed && !strstr(error.message, "9007199254740991"))
            abort();
    } else if (transcode_to_json(of->schema, of->message, buffer_slice(&wire), &again, &error) ||
               !slice_equal(buffer_slice(&again), json)) {
        abort();
    }
    buffer_done(&wire);
    buffer_done(&again);
}

/* What was read is a message that can be written, but for an Any or a Value that cannot. */
static void check_back(const struct fuzz_message *of, struct slice wire, bool strict) {
    struct buffer json;
    struct sync_error error = {0};
    buffer_init(&json, BYTES_MAX);
    if (transcode_to_json(of->schema, of->message, wire, &json, &error) != SYNC_OK)
        assert(buffer_status(&json) || error.message[0]);
    else if (strict)
        check_again(of, buffer_slice(&json));
    buffer_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error = {0};
    if (size == 0)
        return 0;
    struct fuzz_message of = fuzz_message_at(data[0] >> 3 & (FUZZ_MESSAGES - 1));
    struct arena arena;
    struct buffer wire;
    arena_init(&arena, BYTES_MAX);
    buffer_init(&wire, BYTES_MAX);
    struct transcode_faults faults = {.arena = &arena, .count_max = BATCH_FAULTS_MAX};
    struct transcode_options options = {.ignore_unknown = data[0] & 1,
                                        .check_required = data[0] & 2,
                                        .faults = data[0] & 4 ? &faults : NULL};
    enum sync_status status = transcode_to_wire(of.schema, of.message, slice_of(data + 1, size - 1),
                                                &options, &wire, &error);
    assert(status == SYNC_OK || error.message[0]);
    if (status == SYNC_OK)
        check_back(&of, buffer_slice(&wire), faults.count == 0);
    buffer_done(&wire);
    arena_done(&arena);
    return 0;
}
