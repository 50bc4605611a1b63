/* Bundle codec: what packs and unpacks the chunks of a container, given to the core from outside,
 * which knows of no library. Pure. */
#ifndef SERVICE_CORE_BUNDLE_CODEC_H
#define SERVICE_CORE_BUNDLE_CODEC_H

#include "base/bytes.h"

/* Numbers of travelsense.sync.v1.BundleCodec. */
enum bundle_codec_number {
    BUNDLE_CODEC_IDENTITY = 1,
    BUNDLE_CODEC_SNAPPY = 2,
    BUNDLE_CODEC_ZSTD = 3,
};

/* One way to pack, on one thread at a time. */
struct bundle_codec {
    enum bundle_codec_number number;
    uint32_t dictionary_id; /* of what it packs and unpacks with; 0: nothing */
    void *context;
    /* The most bytes that so many pack to. */
    size_t (*size_max)(size_t raw_size);
    /* Packs into a room of `size_max` bytes. SYNC_ERR_NO_MEMORY. */
    enum sync_status (*pack)(void *context, struct slice raw, uint8_t *room, size_t *ret_size);
    /* Whether the data say that they unpack to so many bytes: asked before memory is taken. */
    bool (*is_of_size)(struct slice data, size_t raw_size);
    /* Unpacks to exactly `raw_size` bytes at `raw`, and writes nowhere else. SYNC_ERR_CORRUPT when
     * the data are of another size or broken, SYNC_ERR_NO_MEMORY. */
    enum sync_status (*unpack)(void *context, struct slice data, uint8_t *raw, size_t raw_size);
};

/* What a reader can unpack, beside identity. */
struct bundle_codecs {
    const struct bundle_codec *list;
    size_t count;
};

#endif
