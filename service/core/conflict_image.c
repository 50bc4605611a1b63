/* The record as a resolution made it, had back from the log. */
#include <assert.h>

#include "service/core/conflict.h"
#include "service/core/document_pass.h"

/* One change back. */
static enum sync_status image_step(const struct log_entry *entry, struct document_pass *pass,
                                   struct conflict_image *image) {
    struct slice before = SLICE_EMPTY;
    enum sync_status status = SYNC_OK;
    image->has_ended = image->has_ended || pass->deleted || entry->previous_deleted;
    if (!entry->previous_deleted)
        status = document_pass_apply(pass, entry->undo, &before);
    if (!status)
        document_pass_step(pass, entry->previous_deleted, before);
    return status;
}

enum sync_status conflict_image_find(const struct conflict *conflict,
                                     const struct record_view *view, struct arena *arena,
                                     struct conflict_image *ret_image) {
    assert(conflict && view && arena);
    assert(ret_image);
    struct conflict_image image = {.deleted = true};
    struct document_pass pass;
    enum sync_status status = SYNC_OK;
    uint64_t at = view->found ? view->record.version : 0;
    bool deleted = !view->found || view->record.deleted;
    document_pass_init(&pass, deleted, deleted ? SLICE_EMPTY : view->record.data);
    for (size_t i = 0; !status && i < view->history_count && at > conflict->resolved_version; i++) {
        status = image_step(&view->history[i], &pass, &image);
        at = view->history[i].previous_version;
    }
    image.is_known = view->found && at == conflict->resolved_version;
    image.deleted = pass.deleted;
    if (!status && !arena_copy(arena, pass.document, &image.document))
        status = SYNC_ERR_NO_MEMORY;
    document_pass_done(&pass);
    if (!status)
        *ret_image = image;
    return status;
}
