/* Document pass: a document that is changed again and again, however often in the memory of two.
 * Internal to core. Pure. */
#ifndef SERVICE_CORE_DOCUMENT_PASS_H
#define SERVICE_CORE_DOCUMENT_PASS_H

#include "base/arena.h"
#include "base/bytes.h"

/* In the caller's memory. Each state lies in one of two arenas, and the other is emptied for the
 * next; the first is the caller's. */
struct document_pass {
    struct arena arenas[2];
    int current;
    bool deleted;
    struct slice document;
};

/* Begins with a document, or none; document_pass_done gives the memory back. */
void document_pass_init(struct document_pass *pass, bool deleted, struct slice document);
void document_pass_done(struct document_pass *pass);

/* The emptied arena in which the next state is to lie. */
struct arena *document_pass_next(struct document_pass *pass);

/* What a delta (core/delta.h) makes of the document; it lives until the next. SYNC_ERR_CORRUPT,
 * SYNC_ERR_NO_MEMORY. */
enum sync_status document_pass_apply(struct document_pass *pass, struct slice delta,
                                     struct slice *ret_document);

/* Goes on to what was made last, or to no document. */
void document_pass_step(struct document_pass *pass, bool deleted, struct slice document);

#endif
