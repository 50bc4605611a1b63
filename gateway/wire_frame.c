#include "gateway/wire_frame.h"

#include <assert.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"

enum { MOVE_MAX = 4096, LIST_MIN = 64 };

static void frame_put_aside(struct wire_frames *frames, struct buffer *out, size_t at,
                            size_t length) {
    if (frames->count == frames->capacity) {
        size_t capacity = frames->capacity ? frames->capacity * 2 : LIST_MIN;
        void *list = memory_realloc(frames->list, capacity * sizeof *frames->list);
        if (!list) {
            out->failed = true;
            return;
        }
        frames->list = list;
        frames->capacity = capacity;
    }
    frames->list[frames->count++] = (struct wire_frame_length){at, length};
    frames->extra += wire_varint_size(length) - 1;
}

void wire_frame_close_long(struct wire_frames *frames, struct buffer *out,
                           struct wire_frame frame) {
    size_t content = out->size - frame.at - 1;
    size_t length = content + (frames->extra - frame.extra);
    if (content >= MOVE_MAX || frames->extra != frame.extra) {
        frame_put_aside(frames, out, frame.at, length);
        return;
    }
    size_t more = wire_varint_size(length) - 1;
    if (!buffer_reserve(out, more))
        return;
    uint8_t *at = out->data + frame.at;
    memmove(at + 1 + more, at + 1, content);
    wire_put_varint(at, length);
    buffer_advance(out, more);
}

static int length_order(const void *a, const void *b) {
    size_t x = ((const struct wire_frame_length *)a)->at;
    size_t y = ((const struct wire_frame_length *)b)->at;
    return (x > y) - (x < y);
}

void wire_frames_finish(struct wire_frames *frames, struct buffer *out) {
    if (out->failed || frames->count == 0 || !buffer_reserve(out, frames->extra))
        return;
    qsort(frames->list, frames->count, sizeof *frames->list, length_order);
    size_t from = out->size, to = out->size + frames->extra;
    for (size_t i = frames->count; i-- > 0;) {
        struct wire_frame_length *aside = &frames->list[i];
        size_t content = from - aside->at - 1, size = wire_varint_size(aside->length);
        to -= content;
        memmove(out->data + to, out->data + aside->at + 1, content);
        to -= size;
        wire_put_varint(out->data + to, aside->length);
        from = aside->at;
    }
    assert(from == to);
    buffer_advance(out, frames->extra);
    frames->count = 0;
    frames->extra = 0;
}

void wire_frames_done(struct wire_frames *frames) {
    memory_free(frames->list);
    *frames = (struct wire_frames){0};
}
