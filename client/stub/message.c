#include "client/stub/message.h"

#include <assert.h>
#include <protobuf-c/protobuf-c.h>
#include <stdalign.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/wire.h"
#include "client/stub/call.h"
#include "client/stub/message_inflate.h"

enum {
    PACKED_MAX = INT32_MAX,
    BLOCK_ALIGN = 16,
    BLOCK_FIRST_MAX = 64 << 10, /* a guess is not worth more */
    BLOCK_MAX = 1 << 20,        /* blocks stop doubling here */
    BLOCK_SPARE = 128,
    /* Two bytes on the wire can become a structure and the pointer to it, so a hostile message
     * grows by far more than this; an honest one by less. */
    UNPACKED_FACTOR = 8,
    UNPACKED_LEAST = 1 << 20,
};

/* A further piece of a message's memory. */
struct message_block {
    struct message_block *older;
    alignas(BLOCK_ALIGN) uint8_t room[];
};

/* Stands before each message that was unpacked: the memory of its parts. protobuf-c allocates the
 * message itself first, so it comes right behind this. */
struct message_memory {
    struct message_block *newest;
    uint8_t *next, *end;
    size_t block_size; /* of the newest */
    size_t left;       /* how much more may be taken in all */
    bool is_refused;
    alignas(BLOCK_ALIGN) uint8_t room[];
};

static size_t round_up(size_t size) {
    return (size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
}

/* Takes a block with at least `size` bytes. */
static bool memory_grow(struct message_memory *memory, size_t size) {
    size_t block_size = memory->block_size < BLOCK_MAX ? memory->block_size * 2 : BLOCK_MAX;
    if (block_size < size)
        block_size = size;
    if (block_size > memory->left)
        block_size = size;
    struct message_block *block =
        size <= memory->left ? memory_alloc(sizeof *block + block_size) : NULL;
    if (!block)
        return false;
    block->older = memory->newest;
    memory->newest = block;
    memory->left -= block_size;
    if (block_size <= BLOCK_MAX)
        memory->block_size = block_size;
    memory->next = block->room;
    memory->end = block->room + block_size;
    return true;
}

static void *memory_take(void *context, size_t size) {
    struct message_memory *memory = context;
    size = size < SIZE_MAX / 2 ? round_up(size + (size == 0)) : size;
    if (size > (size_t)(memory->end - memory->next) && !memory_grow(memory, size)) {
        memory->is_refused = true;
        return NULL;
    }
    void *taken = memory->next;
    memory->next += size;
    return taken;
}

/* All is given back at once. */
static void memory_keep(void *context, void *taken) {
    (void)context;
    (void)taken;
}

static void memory_release(struct message_memory *memory) {
    for (struct message_block *block = memory->newest; block;) {
        struct message_block *older = block->older;
        memory_free(block);
        block = older;
    }
    memory_free(memory);
}

/* Memory for a message of `size` packed bytes, in one piece if the guess is good. */
static struct message_memory *memory_open(const ProtobufCMessageDescriptor *descriptor, size_t size,
                                          size_t bytes_max) {
    size_t first = round_up(descriptor->sizeof_message) + BLOCK_SPARE +
                   (size < BLOCK_FIRST_MAX / 2 ? round_up(size * 2) : BLOCK_FIRST_MAX);
    struct message_memory *memory = memory_alloc(sizeof *memory + first);
    if (!memory)
        return NULL;
    size_t most = bytes_max < SIZE_MAX / UNPACKED_FACTOR ? bytes_max * UNPACKED_FACTOR : SIZE_MAX;
    *memory = (struct message_memory){
        .next = memory->room,
        .end = memory->room + first,
        .block_size = first,
        .left = most > UNPACKED_LEAST ? most : UNPACKED_LEAST,
    };
    return memory;
}

bool message_pack(const ProtobufCMessage *message, grpc_slice *ret_packed) {
    size_t size = protobuf_c_message_get_packed_size(message);
    if (size > PACKED_MAX)
        return false;
    grpc_slice packed = grpc_slice_malloc(size);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(packed));
    *ret_packed = packed;
    return true;
}

/* Unpacks bytes that lie in one piece. */
static enum stub_code bytes_unpack(struct slice bytes, const ProtobufCMessageDescriptor *descriptor,
                                   size_t bytes_max, struct sync_error *error,
                                   ProtobufCMessage **ret_message) {
    enum sync_status status = wire_check(bytes, descriptor, WIRE_DEPTH_MAX, error);
    if (status != SYNC_OK)
        return STUB_INTERNAL;
    struct message_memory *memory = memory_open(descriptor, bytes.size, bytes_max);
    if (!memory) {
        sync_error_set(error, SYNC_ERR_NO_MEMORY, "", NULL, "No memory for the message.");
        return STUB_RESOURCE_EXHAUSTED;
    }
    ProtobufCAllocator allocator = {memory_take, memory_keep, memory};
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, bytes.size, bytes.data);
    if (message) {
        assert((uint8_t *)message == memory->room);
        *ret_message = message;
        return STUB_OK;
    }
    bool is_refused = memory->is_refused;
    memory_release(memory);
    sync_error_set(error, is_refused ? SYNC_ERR_NO_MEMORY : SYNC_ERR_INVALID, "", NULL,
                   is_refused ? "The message takes too much memory unpacked."
                              : "The message lacks a field that it must have.");
    return is_refused ? STUB_RESOURCE_EXHAUSTED : STUB_INTERNAL;
}

/* Copies a message that came in several pieces into one. */
static uint8_t *bytes_flatten(const grpc_slice_buffer *pieces, size_t size) {
    uint8_t *flat = memory_alloc(size);
    uint8_t *next = flat;
    for (size_t i = 0; flat && i < pieces->count; i++) {
        size_t length = GRPC_SLICE_LENGTH(pieces->slices[i]);
        memcpy(next, GRPC_SLICE_START_PTR(pieces->slices[i]), length);
        next += length;
    }
    return flat;
}

static enum stub_code compressed_unpack(const grpc_byte_buffer *received,
                                        const ProtobufCMessageDescriptor *descriptor,
                                        size_t bytes_max, struct sync_error *error,
                                        ProtobufCMessage **ret_message) {
    struct buffer flat;
    buffer_init(&flat, bytes_max);
    enum stub_code code = message_inflate(received, &flat, error);
    if (code == STUB_OK)
        code = bytes_unpack(buffer_slice(&flat), descriptor, bytes_max, error, ret_message);
    buffer_done(&flat);
    return code;
}

enum stub_code message_unpack(const grpc_byte_buffer *received,
                              const ProtobufCMessageDescriptor *descriptor, size_t bytes_max,
                              struct sync_error *error, ProtobufCMessage **ret_message) {
    const grpc_slice_buffer *pieces = &received->data.raw.slice_buffer;
    size_t size = pieces->length;
    if (received->data.raw.compression != GRPC_COMPRESS_NONE)
        return compressed_unpack(received, descriptor, bytes_max, error, ret_message);
    if (size > bytes_max) {
        sync_error_set(error, SYNC_ERR_TOO_LARGE, "", NULL,
                       "The message has %zu bytes; the bound is %zu.", size, bytes_max);
        return STUB_RESOURCE_EXHAUSTED;
    }
    if (pieces->count <= 1) {
        struct slice bytes = SLICE_EMPTY;
        if (pieces->count == 1)
            bytes = slice_of(GRPC_SLICE_START_PTR(pieces->slices[0]), size);
        return bytes_unpack(bytes, descriptor, bytes_max, error, ret_message);
    }
    uint8_t *flat = bytes_flatten(pieces, size > 0 ? size : 1);
    if (!flat) {
        sync_error_set(error, SYNC_ERR_NO_MEMORY, "", NULL, "No memory for the message.");
        return STUB_RESOURCE_EXHAUSTED;
    }
    enum stub_code code =
        bytes_unpack(slice_of(flat, size), descriptor, bytes_max, error, ret_message);
    memory_free(flat);
    return code;
}

void stub_message_free(ProtobufCMessage *message) {
    if (message)
        memory_release(
            (struct message_memory *)((uint8_t *)message - offsetof(struct message_memory, room)));
}
