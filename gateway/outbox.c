#include "gateway/outbox.h"

#include <assert.h>

void outbox_init(struct outbox *outbox, size_t size_max, struct outbox_part *lent, bool copies) {
    *outbox = (struct outbox){.lent = lent, .copies = copies};
    buffer_init(&outbox->own, size_max);
}

void outbox_done(struct outbox *outbox) {
    buffer_done(&outbox->own);
    outbox->sent = outbox->lent_count = outbox->lent_bytes = 0;
    outbox->tail = SLICE_EMPTY;
}

void outbox_lend(struct outbox *outbox, struct slice bytes) {
    if (outbox->copies || bytes.size < OUTBOX_LENT_MIN || outbox->lent_count == OUTBOX_LENT_MAX) {
        outbox_add(outbox, bytes);
        return;
    }
    outbox->lent[outbox->lent_count++] = (struct outbox_part){outbox->own.size, bytes};
    outbox->lent_bytes += bytes.size;
}

void outbox_lend_tail(struct outbox *outbox, struct slice bytes) {
    assert(outbox->tail.size == 0);
    outbox->tail = bytes;
}

/* Lists what waits before the tail, in order: pieces of `own` between the parts that lie elsewhere.
 */
static size_t outbox_list(const struct outbox *outbox, struct slice *ret_list) {
    size_t count = 0, at = outbox->sent;
    for (size_t i = 0; i < outbox->lent_count; i++) {
        const struct outbox_part *part = &outbox->lent[i];
        if (part->at > at)
            ret_list[count++] = slice_of(outbox->own.data + at, part->at - at);
        at = part->at;
        ret_list[count++] = part->bytes;
    }
    if (outbox->own.size > at)
        ret_list[count++] = slice_of(outbox->own.data + at, outbox->own.size - at);
    return count;
}

/* Makes all that is listed the outbox's own; the tail stays where it is. */
static void outbox_keep(struct outbox *outbox, const struct slice *list, size_t count) {
    struct buffer own;
    buffer_init(&own, outbox->own.size_max);
    for (size_t i = 0; i < count; i++)
        buffer_append(&own, list[i]);
    buffer_done(&outbox->own);
    outbox->own = own;
    outbox->sent = outbox->lent_count = outbox->lent_bytes = 0;
}

/* Drops the first `size` bytes of a list; returns how many of its entries are wholly gone. */
static size_t list_drop(struct slice *list, size_t count, size_t size) {
    size_t gone = 0;
    while (gone < count && size >= list[gone].size)
        size -= list[gone++].size;
    if (gone < count)
        list[gone] = slice_after(list[gone], size);
    return gone;
}

bool outbox_write(struct outbox *outbox, struct transport *transport, size_t keep) {
    struct slice list[2 * OUTBOX_LENT_MAX + 2];
    size_t count = outbox_list(outbox, list), gone = 0;
    size_t all = count + (outbox->tail.size > 0);
    list[count] = outbox->tail;
    if (outbox_has_failed(outbox))
        return false;
    while (gone < all) {
        ssize_t sent = transport_write_parts(transport, list + gone, all - gone);
        if (sent == TRANSPORT_AGAIN)
            break;
        if (sent < 0)
            return false;
        gone += list_drop(list + gone, all - gone, (size_t)sent);
    }
    outbox->tail = gone > count ? SLICE_EMPTY : list[count];
    if (gone >= count) {
        outbox->sent = outbox->lent_count = outbox->lent_bytes = 0;
        buffer_clear(&outbox->own);
        if (outbox->own.capacity > keep)
            buffer_done(&outbox->own);
    } else if (outbox->lent_count > 0) {
        outbox_keep(outbox, list + gone, count - gone);
    } else {
        outbox->sent = outbox->own.size - list[gone].size;
    }
    return !outbox_has_failed(outbox);
}
