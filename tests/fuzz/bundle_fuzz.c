/* Any bytes as a bundle's container, and as a chunk's data: read within bounds, or refused with a
 * reason. */
#include <assert.h>
#include <stdlib.h>

#include "service/codec/chunk_codec.h"
#include "service/core/bundle_container.h"
#include "tests/fuzz/bundle_entry_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool visit(void *context, const struct bundle_entry *entry) {
    uint32_t *count = context;
    bundle_entry_check(entry);
    ++*count;
    return true;
}

/* All that there are, opened once. */
static struct bundle_codecs all_codecs(void) {
    static struct bundle_codec list[3];
    if (list[0].number == 0 && (chunk_codec_open(BUNDLE_CODEC_SNAPPY, 0, &list[0]) ||
                                chunk_codec_open(BUNDLE_CODEC_ZSTD, 0, &list[1]) ||
                                chunk_codec_open(BUNDLE_CODEC_ZSTD, CHUNK_DICTIONARY_ID, &list[2])))
        abort();
    return (struct bundle_codecs){list, 3};
}

/* What no digest lets through to a codec, given to each: two bytes of size, then a chunk's data. */
static void unpack(const struct bundle_codecs *codecs, struct slice input) {
    if (input.size < 3)
        return;
    size_t raw_size = (size_t)input.data[0] << 8 | input.data[1];
    struct slice data = slice_after(input, 2);
    for (size_t i = 0; i < codecs->count && raw_size > 0; i++) {
        const struct bundle_codec *codec = &codecs->list[i];
        if (!codec->is_of_size(data, raw_size))
            continue;
        uint8_t *raw = malloc(raw_size);
        assert(raw);
        enum sync_status status = codec->unpack(codec->context, data, raw, raw_size);
        assert(status == SYNC_OK || status == SYNC_ERR_CORRUPT);
        free(raw);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bundle_codecs codecs = all_codecs();
    unpack(&codecs, slice_of(data, size));
    struct sync_error error = {.status = SYNC_OK};
    struct bundle_info info;
    uint32_t count = 0;
    enum sync_status status =
        bundle_read(slice_of(data, size), &codecs, &error, &info, visit, &count);
    if (status == SYNC_OK)
        assert(info.record_count == count);
    else
        assert((status == SYNC_ERR_CORRUPT || status == SYNC_ERR_UNIMPLEMENTED) &&
               error.message[0]);
    return 0;
}
