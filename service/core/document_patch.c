/* Merge patches (RFC 7396). */
#include <assert.h>

#include "service/core/document_writer.h"

struct patcher {
    struct document_writer writer;
    struct arena *arena;
};

static enum sync_status patcher_object(struct patcher *patcher, struct slice object,
                                       struct slice patch);

/* Writes a member as patched. `target` may be NULL: there was none. */
static enum sync_status patcher_member(struct patcher *patcher, const struct member *target,
                                       const struct member *patch) {
    size_t mark = document_writer_mark(&patcher->writer);
    if (patch->value.kind == VALUE_NULL)
        return SYNC_OK;
    if (patch->value.kind != VALUE_OBJECT) {
        document_writer_put(&patcher->writer, patch->value.bytes);
    } else {
        bool nested = target && target->value.kind == VALUE_OBJECT;
        enum sync_status status = patcher_object(
            patcher, nested ? target->value.object : SLICE_EMPTY, patch->value.object);
        if (status)
            return status;
        document_writer_wrap(&patcher->writer, mark, TAG_OBJECT);
    }
    document_writer_member(&patcher->writer, mark, patch->name);
    return SYNC_OK;
}

static enum sync_status patcher_object(struct patcher *patcher, struct slice object,
                                       struct slice patch) {
    struct member *targets, *patches;
    size_t i, j;
    enum sync_status status = document_members(object, patcher->arena, &targets, &i);
    if (!status)
        status = document_members(patch, patcher->arena, &patches, &j);
    while (!status && (i > 0 || j > 0)) {
        int order = i == 0   ? -1
                    : j == 0 ? 1
                             : document_name_compare(targets[i - 1].name, patches[j - 1].name);
        if (order > 0) {
            size_t mark = document_writer_mark(&patcher->writer);
            document_writer_put(&patcher->writer, targets[i - 1].value.bytes);
            document_writer_member(&patcher->writer, mark, targets[i - 1].name);
            i--;
            continue;
        }
        status = patcher_member(patcher, order == 0 ? &targets[i - 1] : NULL, &patches[j - 1]);
        i -= order == 0;
        j--;
    }
    return status;
}

enum sync_status document_merge_patch(struct slice document, struct slice patch,
                                      struct arena *arena, struct slice *ret_document) {
    assert(arena);
    assert(ret_document);
    struct patcher patcher = {.arena = arena};
    /* Where both have an object, the sum of both lengths takes no more bytes than both do. */
    if (!document_writer_open(&patcher.writer, arena, document.size + patch.size))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = patcher_object(&patcher, document, patch);
    if (!status)
        *ret_document = document_writer_since(&patcher.writer, 0);
    return status;
}

static enum sync_status removals_object(struct patcher *patcher, struct slice object,
                                        struct slice patch) {
    struct member *patches;
    size_t i;
    enum sync_status status = document_members(patch, patcher->arena, &patches, &i);
    while (!status && i-- > 0) {
        size_t mark = document_writer_mark(&patcher->writer);
        struct value target;
        if (!document_find(object, patches[i].name, &target))
            continue;
        if (patches[i].value.kind == VALUE_NULL && target.kind != VALUE_NULL) {
            document_writer_put(&patcher->writer, patches[i].value.bytes);
        } else if (patches[i].value.kind == VALUE_OBJECT && target.kind == VALUE_OBJECT) {
            status = removals_object(patcher, target.object, patches[i].value.object);
            if (document_writer_mark(&patcher->writer) == mark)
                continue;
            document_writer_wrap(&patcher->writer, mark, TAG_OBJECT);
        } else {
            continue;
        }
        document_writer_member(&patcher->writer, mark, patches[i].name);
    }
    return status;
}

enum sync_status document_patch_removals(struct slice document, struct slice patch,
                                         struct arena *arena, struct slice *ret_removals) {
    assert(arena);
    assert(ret_removals);
    struct patcher patcher = {.arena = arena};
    /* It is a part of the patch. */
    if (!document_writer_open(&patcher.writer, arena, patch.size))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = removals_object(&patcher, document, patch);
    if (!status)
        *ret_removals = document_writer_since(&patcher.writer, 0);
    return status;
}
