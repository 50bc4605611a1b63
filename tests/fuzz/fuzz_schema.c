#include "tests/fuzz/fuzz_schema.h"

#include <assert.h>
#include <stdlib.h>

#include "sample_descriptor.h"
#include "sync_descriptor.h"

struct fuzz_message fuzz_message_at(unsigned number) {
    static const char *const NAMES[FUZZ_MESSAGES] = {
        "travelsense.sync.v1.UploadChangesRequest",
        "google.protobuf.Value",
        "google.rpc.Status",
        "travelsense.sync.v1.GetBundleResponse",
        "sample.v1.Everything",
        "sample.v1.Item",
        "sample.old.Old",
        "sample.old.Set",
    };
    static struct schema *schemas[2];
    struct sync_error error = {0};
    assert(number < FUZZ_MESSAGES);
    if (!schemas[0] &&
        (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schemas[0]) ||
         schema_open(slice_of(sample_descriptor, sample_descriptor_size), &error, &schemas[1])))
        abort();
    struct fuzz_message found = {.schema = schemas[number / (FUZZ_MESSAGES / 2)]};
    found.message = schema_message_find(found.schema, slice_text(NAMES[number]));
    assert(found.message);
    return found;
}
