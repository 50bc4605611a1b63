#include "gateway/compress.h"

#include <assert.h>
#include <zlib.h>
#include <zstd.h>

#include "base/memory.h"

enum {
    COMPRESS_GZIP_LEVEL = 1,
    COMPRESS_ZSTD_LEVEL = 1,
    COMPRESS_ZSTD_WINDOW_LOG_MAX = 23,
    COMPRESS_RATIO_MAX = 100,
    COMPRESS_SMALL = 64 << 10, /* never refused for its ratio */
    COMPRESS_STEP = 64 << 10,
    GZIP_WINDOW_BITS = 15 + 16, /* zlib: 16 more asks for gzip */
};

struct compressor {
    z_stream deflater;
    bool deflater_made;
    ZSTD_CCtx *zstd_packer;
    ZSTD_DCtx *zstd_unpacker;
};

struct compressor *compressor_open(void) {
    return memory_zalloc(1, sizeof(struct compressor));
}

struct compressor *compressor_close(struct compressor *compressor) {
    if (!compressor)
        return NULL;
    if (compressor->deflater_made)
        deflateEnd(&compressor->deflater);
    ZSTD_freeCCtx(compressor->zstd_packer);
    ZSTD_freeDCtx(compressor->zstd_unpacker);
    memory_free(compressor);
    return NULL;
}

static enum sync_status pack_gzip(struct compressor *compressor, struct slice body,
                                  struct buffer *out) {
    z_stream *stream = &compressor->deflater;
    if (!compressor->deflater_made) {
        if (deflateInit2(stream, COMPRESS_GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, 8,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            return SYNC_ERR_NO_MEMORY;
        compressor->deflater_made = true;
    } else {
        deflateReset(stream);
    }
    size_t bound = deflateBound(stream, body.size);
    uint8_t *room = buffer_reserve(out, bound);
    if (!room)
        return buffer_status(out);
    stream->next_in = (Bytef *)body.data;
    stream->avail_in = (uInt)body.size;
    stream->next_out = room;
    stream->avail_out = (uInt)bound;
    if (deflate(stream, Z_FINISH) != Z_STREAM_END)
        return SYNC_ERR_INTERNAL;
    buffer_advance(out, bound - stream->avail_out);
    return SYNC_OK;
}

static enum sync_status pack_zstd(struct compressor *compressor, struct slice body,
                                  struct buffer *out) {
    if (!compressor->zstd_packer)
        compressor->zstd_packer = ZSTD_createCCtx();
    if (!compressor->zstd_packer)
        return SYNC_ERR_NO_MEMORY;
    size_t bound = ZSTD_compressBound(body.size);
    uint8_t *room = buffer_reserve(out, bound);
    if (!room)
        return buffer_status(out);
    size_t size = ZSTD_compressCCtx(compressor->zstd_packer, room, bound, body.data, body.size,
                                    COMPRESS_ZSTD_LEVEL);
    if (ZSTD_isError(size))
        return SYNC_ERR_NO_MEMORY;
    buffer_advance(out, size);
    return SYNC_OK;
}

enum sync_status compressor_pack(struct compressor *compressor, enum content_coding coding,
                                 struct slice body, struct buffer *out) {
    assert(coding == CODING_GZIP || coding == CODING_ZSTD);
    if (body.size > UINT32_MAX / 2)
        return SYNC_ERR_TOO_LARGE;
    return coding == CODING_GZIP ? pack_gzip(compressor, body, out)
                                 : pack_zstd(compressor, body, out);
}

/* Tells whether the output is out of all proportion to the input. */
static bool is_bomb(size_t packed, size_t unpacked) {
    return unpacked > COMPRESS_SMALL && unpacked / COMPRESS_RATIO_MAX > packed;
}

/* Room for one step within the buffer's bound; size 0 when the bound is reached. */
static uint8_t *step_room(struct buffer *out, size_t *ret_size) {
    size_t left = out->size_max - out->size;
    *ret_size = left < COMPRESS_STEP ? left : COMPRESS_STEP;
    return *ret_size ? buffer_reserve(out, *ret_size) : NULL;
}

static enum sync_status unpack_gzip(struct slice body, struct buffer *out) {
    z_stream stream = {.next_in = (Bytef *)body.data, .avail_in = (uInt)body.size};
    if (inflateInit2(&stream, GZIP_WINDOW_BITS) != Z_OK)
        return SYNC_ERR_NO_MEMORY;
    size_t begin = out->size;
    enum sync_status status = SYNC_OK;
    for (int rc = Z_OK; rc != Z_STREAM_END && status == SYNC_OK;) {
        size_t size;
        uint8_t *room = step_room(out, &size);
        if (!room) {
            status = size ? SYNC_ERR_NO_MEMORY : SYNC_ERR_TOO_LARGE;
            break;
        }
        stream.next_out = room;
        stream.avail_out = (uInt)size;
        rc = inflate(&stream, Z_NO_FLUSH);
        buffer_advance(out, size - stream.avail_out);
        if (rc != Z_OK && rc != Z_STREAM_END)
            status = rc == Z_MEM_ERROR ? SYNC_ERR_NO_MEMORY : SYNC_ERR_INVALID;
        else if (is_bomb(body.size, out->size - begin))
            status = SYNC_ERR_TOO_LARGE;
    }
    if (status == SYNC_OK && stream.avail_in > 0)
        status = SYNC_ERR_INVALID;
    inflateEnd(&stream);
    return status;
}

static enum sync_status unpack_zstd(struct compressor *compressor, struct slice body,
                                    struct buffer *out) {
    if (!compressor->zstd_unpacker)
        compressor->zstd_unpacker = ZSTD_createDCtx();
    ZSTD_DCtx *context = compressor->zstd_unpacker;
    if (!context)
        return SYNC_ERR_NO_MEMORY;
    ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, COMPRESS_ZSTD_WINDOW_LOG_MAX);
    ZSTD_inBuffer in = {body.data, body.size, 0};
    size_t begin = out->size;
    size_t hint = 1;
    while (hint != 0) {
        size_t size;
        uint8_t *room = step_room(out, &size);
        if (!room)
            return size ? SYNC_ERR_NO_MEMORY : SYNC_ERR_TOO_LARGE;
        ZSTD_outBuffer step = {room, size, 0};
        hint = ZSTD_decompressStream(context, &step, &in);
        if (ZSTD_isError(hint))
            return SYNC_ERR_INVALID;
        buffer_advance(out, step.pos);
        if (is_bomb(body.size, out->size - begin))
            return SYNC_ERR_TOO_LARGE;
        if (hint != 0 && in.pos == in.size && step.pos < size)
            return SYNC_ERR_INVALID; /* cut short */
    }
    return in.pos == in.size ? SYNC_OK : SYNC_ERR_INVALID;
}

bool compressor_replace(struct compressor *compressor, enum content_coding coding, bool must,
                        struct buffer *body) {
    struct buffer packed;
    buffer_init(&packed, body->size_max);
    enum sync_status status = compressor_pack(compressor, coding, buffer_slice(body), &packed);
    if (status != SYNC_OK || (packed.size >= body->size && !must)) {
        buffer_done(&packed);
        return false;
    }
    buffer_done(body);
    *body = packed;
    return true;
}

enum sync_status compressor_unpack(struct compressor *compressor, enum content_coding coding,
                                   struct slice body, struct buffer *out) {
    assert(coding == CODING_GZIP || coding == CODING_ZSTD);
    if (body.size == 0)
        return SYNC_ERR_INVALID;
    return coding == CODING_GZIP ? unpack_gzip(body, out) : unpack_zstd(compressor, body, out);
}
