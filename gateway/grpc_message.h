/* gRPC message: the length-prefixed framing of messages, and the text forms of a status. Pure. */
#ifndef GATEWAY_GRPC_MESSAGE_H
#define GATEWAY_GRPC_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

enum { GRPC_PREFIX_SIZE = 5 };

/* Writes the prefix of an uncompressed message. */
void grpc_prefix_put(uint8_t out[GRPC_PREFIX_SIZE], size_t message_size);

/* Puts messages together from the pieces of a stream. In its user's memory. */
struct grpc_reader {
    struct buffer held; /* a message not yet whole */
    uint8_t prefix[GRPC_PREFIX_SIZE];
    unsigned prefix_size;
    bool given; /* `held` was handed out and is to be emptied */
};

enum grpc_read {
    GRPC_READ_MORE,    /* everything fed is used up */
    GRPC_READ_MESSAGE, /* a message is whole */
    GRPC_READ_BROKEN,  /* compressed, larger than the bound, or without memory: end the call */
};

/* Prepares a reader that takes messages up to `message_max` bytes; takes no memory. */
void grpc_reader_init(struct grpc_reader *reader, size_t message_max);

/* Gives back what it holds. */
void grpc_reader_done(struct grpc_reader *reader);

/* Takes bytes off the front of `input`. On GRPC_READ_MESSAGE the message borrows from the input or
 * the reader and lives until the next call. */
enum grpc_read grpc_reader_feed(struct grpc_reader *reader, struct slice *input,
                                struct slice *ret_message);

/* Tells whether the stream may end here: no message is begun. */
bool grpc_reader_at_boundary(const struct grpc_reader *reader);

/* Keeps the message that was given last, and is yet borrowed: in `out`, an empty buffer, which
 * takes its memory over where it is the reader's own. False without memory. */
bool grpc_reader_keep(struct grpc_reader *reader, struct slice message, struct buffer *out);

/* The bytes held of a message that is not yet whole. */
size_t grpc_reader_partial(const struct grpc_reader *reader);

/* Follows the framing of messages that pass by, without keeping them. Zeroed to begin with. */
struct grpc_tracker {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    uint8_t prefix_size; /* GRPC_PREFIX_SIZE while in a message */
    uint32_t left;       /* of the message */
};

/* Follows some bytes. False when a message is larger than `message_max` bytes, or what begins is
 * no message. */
bool grpc_tracker_feed(struct grpc_tracker *tracker, struct slice bytes, size_t message_max);

/* The bytes that passed of a message that is not yet whole, its prefix among them. */
size_t grpc_tracker_partial(const struct grpc_tracker *tracker);

/* Appends a text as a grpc-message has it: percent-encoded. */
void grpc_message_encode(struct buffer *out, struct slice text);

/* Decodes a grpc-message (percent-encoded); what is not UTF-8 then becomes empty. The text lives in
 * the arena. */
struct slice grpc_message_decode(struct slice encoded, struct arena *arena);

/* Writes a grpc-timeout for so many microseconds, such as "29999m". NUL-terminated. */
enum { GRPC_TIMEOUT_TEXT_MAX = 16 };
void grpc_timeout_format(uint64_t timeout_us, char text[GRPC_TIMEOUT_TEXT_MAX]);

/* Reads a grpc-timeout; false when malformed. */
bool grpc_timeout_parse(struct slice text, uint64_t *ret_timeout_us);

#endif
