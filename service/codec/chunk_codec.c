#include "service/codec/chunk_codec.h"

#include <assert.h>
#include <snappy-c.h>
#include <zstd.h>

#include "base/memory.h"
#include "records_dictionary.h"

/* Beyond it, zstd pays three times the CPU for a twentieth of the bytes. */
enum { ZSTD_LEVEL = 3 };

/* What zstd keeps between chunks; each made when first needed. */
struct zstd_context {
    struct slice dictionary;
    ZSTD_CCtx *packer;
    ZSTD_DCtx *unpacker;
};

struct slice chunk_dictionary(uint32_t id) {
    return id == CHUNK_DICTIONARY_ID ? slice_of(records_dictionary, records_dictionary_size)
                                     : SLICE_EMPTY;
}

static enum sync_status snappy_pack(void *context, struct slice raw, uint8_t *room,
                                    size_t *ret_size) {
    (void)context;
    size_t size = snappy_max_compressed_length(raw.size);
    if (snappy_compress((const char *)raw.data, raw.size, (char *)room, &size) != SNAPPY_OK)
        return SYNC_ERR_INTERNAL;
    *ret_size = size;
    return SYNC_OK;
}

static bool snappy_is_of_size(struct slice data, size_t raw_size) {
    size_t size;
    return data.size > 0 &&
           snappy_uncompressed_length((const char *)data.data, data.size, &size) == SNAPPY_OK &&
           size == raw_size;
}

static enum sync_status snappy_unpack(void *context, struct slice data, uint8_t *raw,
                                      size_t raw_size) {
    (void)context;
    size_t size = raw_size;
    snappy_status status =
        snappy_uncompress((const char *)data.data, data.size, (char *)raw, &size);
    return status == SNAPPY_OK && size == raw_size ? SYNC_OK : SYNC_ERR_CORRUPT;
}

/* The packer, with its level and dictionary. NULL: no memory. */
static ZSTD_CCtx *zstd_packer(struct zstd_context *context) {
    if (context->packer)
        return context->packer;
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    if (!packer)
        return NULL;
    const struct slice *dictionary = &context->dictionary;
    if (ZSTD_isError(ZSTD_CCtx_setParameter(packer, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_loadDictionary(packer, dictionary->data, dictionary->size))) {
        ZSTD_freeCCtx(packer);
        return NULL;
    }
    context->packer = packer;
    return packer;
}

static enum sync_status zstd_pack(void *context, struct slice raw, uint8_t *room,
                                  size_t *ret_size) {
    ZSTD_CCtx *packer = zstd_packer(context);
    if (!packer)
        return SYNC_ERR_NO_MEMORY;
    size_t size = ZSTD_compress2(packer, room, ZSTD_compressBound(raw.size), raw.data, raw.size);
    if (ZSTD_isError(size))
        return SYNC_ERR_NO_MEMORY; /* room is enough, and parameters are well */
    *ret_size = size;
    return SYNC_OK;
}

static bool zstd_is_of_size(struct slice data, size_t raw_size) {
    return ZSTD_getFrameContentSize(data.data, data.size) == raw_size;
}

/* The unpacker, with its dictionary. NULL: no memory. */
static ZSTD_DCtx *zstd_unpacker(struct zstd_context *context) {
    if (context->unpacker)
        return context->unpacker;
    ZSTD_DCtx *unpacker = ZSTD_createDCtx();
    const struct slice *dictionary = &context->dictionary;
    if (unpacker &&
        ZSTD_isError(ZSTD_DCtx_loadDictionary(unpacker, dictionary->data, dictionary->size))) {
        ZSTD_freeDCtx(unpacker);
        return NULL;
    }
    context->unpacker = unpacker;
    return unpacker;
}

static enum sync_status zstd_unpack(void *context, struct slice data, uint8_t *raw,
                                    size_t raw_size) {
    ZSTD_DCtx *unpacker = zstd_unpacker(context);
    if (!unpacker)
        return SYNC_ERR_NO_MEMORY;
    size_t size = ZSTD_decompressDCtx(unpacker, raw, raw_size, data.data, data.size);
    return !ZSTD_isError(size) && size == raw_size ? SYNC_OK : SYNC_ERR_CORRUPT;
}

enum sync_status chunk_codec_open(enum bundle_codec_number number, uint32_t dictionary_id,
                                  struct bundle_codec *ret_codec) {
    struct slice dictionary = chunk_dictionary(dictionary_id);
    if (dictionary_id != 0 && (number != BUNDLE_CODEC_ZSTD || dictionary.size == 0))
        return SYNC_ERR_NOT_FOUND;
    if (number == BUNDLE_CODEC_SNAPPY) {
        *ret_codec = (struct bundle_codec){.number = number,
                                           .size_max = snappy_max_compressed_length,
                                           .pack = snappy_pack,
                                           .is_of_size = snappy_is_of_size,
                                           .unpack = snappy_unpack};
        return SYNC_OK;
    }
    if (number != BUNDLE_CODEC_ZSTD)
        return SYNC_ERR_NOT_FOUND;
    struct zstd_context *context = memory_zalloc(1, sizeof *context);
    if (!context)
        return SYNC_ERR_NO_MEMORY;
    context->dictionary = dictionary;
    *ret_codec = (struct bundle_codec){.number = number,
                                       .dictionary_id = dictionary_id,
                                       .context = context,
                                       .size_max = ZSTD_compressBound,
                                       .pack = zstd_pack,
                                       .is_of_size = zstd_is_of_size,
                                       .unpack = zstd_unpack};
    return SYNC_OK;
}

void chunk_codec_close(struct bundle_codec *codec) {
    struct zstd_context *context = codec->context;
    if (context) {
        ZSTD_freeCCtx(context->packer);
        ZSTD_freeDCtx(context->unpacker);
        memory_free(context);
    }
    *codec = (struct bundle_codec){.context = NULL};
}
