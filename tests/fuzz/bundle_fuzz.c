/* Any bytes as a bundle's container: read within bounds, or refused with a reason. */
#include <assert.h>

#include "service/core/bundle_container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool visit(void *context, const struct bundle_entry *entry) {
    uint32_t *count = context;
    assert(entry->key.id.size > 0 && entry->key.id.size <= DATA_ID_MAX);
    assert(entry->deleted + (entry->json.size > 0) + (entry->patch_json.size > 0) == 1);
    assert(slice_is_utf8(entry->json) && slice_is_utf8(entry->patch_json));
    ++*count;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error = {.status = SYNC_OK};
    struct bundle_info info;
    uint32_t count = 0;
    enum sync_status status = bundle_read(slice_of(data, size), &error, &info, visit, &count);
    if (status == SYNC_OK)
        assert(info.record_count == count);
    else
        assert(status == SYNC_ERR_CORRUPT && error.message[0]);
    return 0;
}
