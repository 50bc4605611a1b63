/* Wire frames: length-delimited fields whose length is known only when their content is written.
 *
 * One byte is left for the length. Short content with a longer length is moved up at once; where
 * long content would have to move, perhaps again and again by its nesting, the length is put aside
 * and wire_frames_finish makes room for all such lengths in one pass. */
#ifndef GATEWAY_WIRE_FRAME_H
#define GATEWAY_WIRE_FRAME_H

#include "base/bytes.h"

/* A length put aside. */
struct wire_frame_length {
    size_t at; /* of its one byte in the buffer */
    size_t length;
};

/* The lengths put aside for one buffer. Zeroed to begin with. */
struct wire_frames {
    struct wire_frame_length *list;
    size_t count, capacity;
    size_t extra; /* bytes that the lengths put aside will add */
};

/* An open frame. */
struct wire_frame {
    size_t at;
    size_t extra; /* of the frames when it was opened */
};

/* Opens a frame at the buffer's end; the caller has written the tag. */
static inline struct wire_frame wire_frame_open(const struct wire_frames *frames,
                                                struct buffer *out) {
    struct wire_frame frame = {out->size, frames->extra};
    if (out->size < out->capacity && !out->failed)
        out->data[out->size++] = 0;
    else
        buffer_append_byte(out, 0);
    return frame;
}

/* wire_frame_close for content of 128 bytes and more. */
void wire_frame_close_long(struct wire_frames *frames, struct buffer *out, struct wire_frame frame);

/* Closes the frame that was opened last and is still open. Without memory the buffer fails. */
static inline void wire_frame_close(struct wire_frames *frames, struct buffer *out,
                                    struct wire_frame frame) {
    size_t content = out->size - frame.at - 1;
    if (out->failed)
        return;
    if (content < 128 && frames->extra == frame.extra)
        out->data[frame.at] = (uint8_t)content;
    else
        wire_frame_close_long(frames, out, frame);
}

/* Makes the buffer whole when all frames are closed. */
void wire_frames_finish(struct wire_frames *frames, struct buffer *out);

/* Releases what the frames hold. */
void wire_frames_done(struct wire_frames *frames);

#endif
