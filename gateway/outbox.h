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

/* Fields are readable by all, written only by outbox_ functions, but for `own`, which anything may
 * be appended to. */
struct outbox {
    struct buffer own;
    size_t sent;              /* of `own` */
    struct outbox_part *lent; /* OUTBOX_LENT_MAX, the user's */
    size_t lent_count;
    size_t lent_bytes;
    struct slice tail; /* follows all else; lent until it is sent */
    bool copies;       /* all is copied but the tail */
};

/* Prepares an empty outbox that holds at most `size_max` bytes of its own. `lent` is room for
 * OUTBOX_LENT_MAX parts, which others may use between outbox_write and what is put in next.
 * `copies`: no part is sent from where it lies, as where the bytes are encrypted anyway. */
void outbox_init(struct outbox *outbox, size_t size_max, struct outbox_part *lent, bool copies);

/* Releases what it holds. */
void outbox_done(struct outbox *outbox);

/* The bytes that wait. */
static inline size_t outbox_waiting(const struct outbox *outbox) {
    return outbox->own.size - outbox->sent + outbox->lent_bytes + outbox->tail.size;
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

/* Adds bytes behind which nothing more comes until all of them are sent, and that stay where they
 * are as long. There must be no tail. */
void outbox_lend_tail(struct outbox *outbox, struct slice bytes);

/* Writes what waits until the socket takes no more; nothing is lent any longer but the rest of the
 * tail. False when the connection is broken, or there is no memory for what is left. With nothing
 * left, memory beyond `keep` bytes is given back. */
bool outbox_write(struct outbox *outbox, struct transport *transport, size_t keep);

#endif
