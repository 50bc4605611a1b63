#include "service/core/document_pass.h"

#include <assert.h>

#include "base/limits.h"
#include "service/core/delta.h"

void document_pass_init(struct document_pass *pass, bool deleted, struct slice document) {
    assert(pass);
    *pass = (struct document_pass){.deleted = deleted, .document = document};
    for (int i = 0; i < 2; i++)
        arena_init(&pass->arenas[i], (size_t)64 * CHANGE_DATA_MAX);
}

void document_pass_done(struct document_pass *pass) {
    assert(pass);
    for (int i = 0; i < 2; i++)
        arena_done(&pass->arenas[i]);
}

struct arena *document_pass_next(struct document_pass *pass) {
    assert(pass);
    struct arena *arena = &pass->arenas[!pass->current];
    arena_reset(arena);
    return arena;
}

enum sync_status document_pass_apply(struct document_pass *pass, struct slice delta,
                                     struct slice *ret_document) {
    assert(pass && ret_document);
    return delta_apply(pass->document, delta, document_pass_next(pass), ret_document);
}

void document_pass_step(struct document_pass *pass, bool deleted, struct slice document) {
    assert(pass);
    /* A delta that says nothing gives the same document back, where it was. */
    if (document.data != pass->document.data)
        pass->current = !pass->current;
    pass->deleted = deleted;
    pass->document = document;
}
