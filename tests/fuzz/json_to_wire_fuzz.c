/* Any bytes as the JSON of an upload: no crash, and what is taken can be written back. The first
 * byte chooses the options and the message. */
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "gateway/transcode.h"
#include "sync_descriptor.h"

enum { BYTES_MAX = 16 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema *schema;

/* What was read is a message that can be written, but for an Any or a Value that cannot. */
static void check_back(const struct schema_message *message, struct slice wire) {
    struct buffer json;
    struct sync_error error = {0};
    buffer_init(&json, BYTES_MAX);
    if (transcode_to_json(schema, message, wire, &json, &error) != SYNC_OK)
        assert(buffer_status(&json) || error.message[0]);
    buffer_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const MESSAGES[] = {
        "travelsense.sync.v1.UploadChangesRequest",
        "google.protobuf.Value",
        "google.rpc.Status",
        "travelsense.sync.v1.GetBundleResponse",
    };
    struct sync_error error = {0};
    if (!schema && schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema))
        abort();
    if (size == 0)
        return 0;
    struct arena arena;
    struct buffer wire;
    arena_init(&arena, BYTES_MAX);
    buffer_init(&wire, BYTES_MAX);
    struct transcode_faults faults = {.arena = &arena, .count_max = BATCH_FAULTS_MAX};
    struct transcode_options options = {.ignore_unknown = data[0] & 1,
                                        .check_required = data[0] & 2,
                                        .faults = data[0] & 4 ? &faults : NULL};
    const struct schema_message *message =
        schema_message_find(schema, slice_text(MESSAGES[data[0] >> 3 & 3]));
    assert(message);
    enum sync_status status =
        transcode_to_wire(schema, message, slice_of(data + 1, size - 1), &options, &wire, &error);
    assert(status == SYNC_OK || error.message[0]);
    if (status == SYNC_OK)
        check_back(message, buffer_slice(&wire));
    buffer_done(&wire);
    arena_done(&arena);
    return 0;
}
