#include "client/stub/message_inflate.h"

#include <assert.h>
#include <zlib.h>

#include "base/memory.h"

enum {
    WINDOW_BITS = 15,
    WINDOW_GZIP = 16, /* zlib: added to the bits, asks for gzip */
    STEP_LEAST = 1 << 10,
    STEP_MAX = 64 << 10,
};

/* What is left to do after a step. */
enum inflate_step {
    STEP_MORE,
    STEP_NEEDS_INPUT,
    STEP_END,
    STEP_TOO_LARGE,
    STEP_NO_MEMORY,
    STEP_BAD
};

static void *inflate_take(void *context, unsigned count, unsigned size) {
    (void)context;
    return memory_zalloc(count, size);
}

static void inflate_give(void *context, void *taken) {
    (void)context;
    memory_free(taken);
}

/* Decompresses into the next free bytes. At the bound itself one byte beyond it is offered, to tell
 * an end from an excess. */
static enum inflate_step inflate_on(z_stream *stream, struct buffer *flat) {
    uint8_t beyond;
    size_t left = flat->size_max - flat->size;
    size_t wanted = flat->size < STEP_LEAST ? STEP_LEAST : flat->size;
    if (wanted > STEP_MAX)
        wanted = STEP_MAX;
    size_t room = left < wanted ? left : wanted;
    stream->next_out = room > 0 ? buffer_reserve(flat, room) : &beyond;
    if (!stream->next_out)
        return STEP_NO_MEMORY;
    size_t offered = room > 0 ? room : 1;
    stream->avail_out = (uInt)offered;
    int code = inflate(stream, Z_NO_FLUSH);
    size_t came = offered - stream->avail_out;
    if (came > room)
        return STEP_TOO_LARGE;
    if (room > 0)
        buffer_advance(flat, came);
    switch (code) {
    case Z_STREAM_END:
        return STEP_END;
    case Z_OK:
    case Z_BUF_ERROR: /* nothing could be done: more is needed */
        return stream->avail_out > 0 ? STEP_NEEDS_INPUT : STEP_MORE;
    case Z_MEM_ERROR:
        return STEP_NO_MEMORY;
    default:
        return STEP_BAD;
    }
}

/* Feeds all pieces. */
static enum inflate_step inflate_pieces(z_stream *stream, const grpc_slice_buffer *pieces,
                                        struct buffer *flat) {
    enum inflate_step step = STEP_NEEDS_INPUT;
    size_t left = pieces->length;
    for (size_t i = 0; i < pieces->count && step == STEP_NEEDS_INPUT; i++) {
        stream->next_in = GRPC_SLICE_START_PTR(pieces->slices[i]);
        stream->avail_in = (uInt)GRPC_SLICE_LENGTH(pieces->slices[i]);
        left -= stream->avail_in;
        do
            step = inflate_on(stream, flat);
        while (step == STEP_MORE);
    }
    bool is_followed = left + stream->avail_in > 0;
    return step == STEP_END && is_followed ? STEP_BAD : step;
}

enum stub_code message_inflate(const grpc_byte_buffer *received, struct buffer *flat,
                               struct sync_error *error) {
    bool is_gzip = received->data.raw.compression == GRPC_COMPRESS_GZIP;
    assert(is_gzip || received->data.raw.compression == GRPC_COMPRESS_DEFLATE);
    assert(flat->size == 0);
    z_stream stream = {.zalloc = inflate_take, .zfree = inflate_give};
    enum inflate_step step = STEP_NO_MEMORY;
    if (inflateInit2(&stream, WINDOW_BITS + (is_gzip ? WINDOW_GZIP : 0)) == Z_OK)
        step = inflate_pieces(&stream, &received->data.raw.slice_buffer, flat);
    inflateEnd(&stream);
    switch (step) {
    case STEP_END:
        return STUB_OK;
    case STEP_TOO_LARGE:
        sync_error_set(error, SYNC_ERR_TOO_LARGE, "", NULL,
                       "The message has more than %zu bytes decompressed.", flat->size_max);
        return STUB_RESOURCE_EXHAUSTED;
    case STEP_NO_MEMORY:
        sync_error_set(error, SYNC_ERR_NO_MEMORY, "", NULL, "No memory for the message.");
        return STUB_RESOURCE_EXHAUSTED;
    default:
        sync_error_set(error, SYNC_ERR_INVALID, "", NULL, "The message does not decompress.");
        return STUB_INTERNAL;
    }
}
