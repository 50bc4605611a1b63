/* Outbox: what a socket has yet to take. Small parts are copied; large ones are sent from where
 * they lie, and only what the socket does not take at once of them is copied as well. One thread.
 */
#ifndef GATEWAY_OUTBOX_H
#define GATEWAY_OUTBOX_H

#include "base/bytes.h"
#include "gateway/tls.h"

enum {
    OUTBOX_LENT_MIN = 2 << 10, /* smaller parts are always copied */
    OUTBOX_LENT_MAX = 48,      /* parts; what exceeds them is copied */
};

/* A part that lies elsewhere. */
struct outbox_part {
    size_t at; /* so many bytes of `own` come before it */
    struct slice bytes;
};

/* Fields are readable by all, written only by outbox_ functions. */
struct outbox {
    struct buffer own;
    size_t sent; /* of `own` */
    struct outbox_part lent[OUTBOX_LENT_MAX];
    size_t lent_count;
    size_t lent_bytes;
    bool copies; /* all is copied */
};

/* Prepares an empty outbox that holds at most `size_max` bytes of its own. `copies`: nothing is
 * sent from where it lies, as where the bytes are encrypted anyway. */
void outbox_init(struct outbox *outbox, size_t size_max, bool copies);

/* Releases what it holds. */
void outbox_done(struct outbox *outbox);

/* The bytes that wait. */
static inline size_t outbox_waiting(const struct outbox *outbox) {
    return outbox->own.size - outbox->sent + outbox->lent_bytes;
}

/* Tells whether memory ran out or the bound was passed: what waits is then not whole. */
static inline bool outbox_has_failed(const struct outbox *outbox) {
    return outbox->own.failed;
}

/* Adds a copy of the bytes. */
static inline void outbox_add(struct outbox *outbox, struct slice bytes) {
    buffer_append(&outbox->own, bytes);
}

/* Adds bytes that stay where they are until outbox_write returns, which must be called before. */
void outbox_lend(struct outbox *outbox, struct slice bytes);

/* Writes what waits until the socket takes no more; nothing is lent any longer. False when the
 * connection is broken, or there is no memory for what is left. With nothing left, memory beyond
 * `keep` bytes is given back. */
bool outbox_write(struct outbox *outbox, struct transport *transport, size_t keep);

#endif
