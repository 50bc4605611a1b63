/* Merge patches (RFC 7396). */
#include <assert.h>

#include "service/core/document_writer.h"
#include "service/core/keyed_list.h"

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

/* ---- Removals */

/* The search for what is gone. */
struct removing {
    struct document_writer writer;
    struct arena *arena;
    bool in_lists;
};

static enum sync_status removals_value(struct removing *removing, const struct value *value,
                                       const struct value *after);

/* The member of the name among the first `*count`, in order; what comes behind it is not looked at
 * again. NULL when there is none. */
static const struct member *members_find_back(const struct member *members, size_t *count,
                                              struct slice name) {
    while (*count > 0 && document_name_compare(members[*count - 1].name, name) > 0)
        --*count;
    return *count > 0 && slice_equal(members[*count - 1].name, name) ? &members[*count - 1] : NULL;
}

/* Writes the members that are gone, or lost something. `id`, of an element, stays beside them. */
static enum sync_status removals_object(struct removing *removing, struct slice object,
                                        struct slice after, struct slice id) {
    static const uint8_t NOTHING[] = {TAG_NULL, 0};
    size_t begin = document_writer_mark(&removing->writer), count, left, found = 0;
    struct member *members, *others;
    enum sync_status status = document_members(object, removing->arena, &members, &count);
    if (!status)
        status = document_members(after, removing->arena, &others, &left);
    while (!status && count-- > 0) {
        const struct member *member = &members[count];
        const struct member *now = members_find_back(others, &left, member->name);
        size_t mark = document_writer_mark(&removing->writer);
        bool is_id = id.size > 0 && slice_equal(member->name, id);
        if (is_id)
            document_writer_put(&removing->writer, member->value.bytes);
        else if (now)
            status = removals_value(removing, &member->value, &now->value);
        else if (member->value.kind != VALUE_NULL)
            document_writer_put(&removing->writer, slice_of(NOTHING, sizeof NOTHING));
        if (document_writer_mark(&removing->writer) == mark)
            continue;
        document_writer_member(&removing->writer, mark, member->name);
        found += !is_id;
    }
    if (found == 0)
        document_writer_cut(&removing->writer, begin);
    return status;
}

/* Writes an element that is gone, no more of it than its id. */
static void removals_put_id(struct removing *removing, struct slice key) {
    size_t mark = document_writer_mark(&removing->writer);
    document_writer_put(&removing->writer, key);
    document_writer_member(&removing->writer, mark, SLICE("id"));
    document_writer_wrap(&removing->writer, mark, TAG_OBJECT);
}

static enum sync_status removals_list(struct removing *removing, const struct value *list,
                                      const struct value *after) {
    struct keyed_list had, has;
    enum sync_status status = keyed_list_read(removing->arena, list, true, &had);
    if (!status)
        status = keyed_list_read(removing->arena, after, true, &has);
    if (status || !had.is_keyed || !has.is_keyed)
        return status;
    for (size_t i = had.count; !status && i-- > 0;) {
        size_t mark = document_writer_mark(&removing->writer);
        const struct value *now = keyed_list_find(&has, had.keys[i]);
        if (!now)
            removals_put_id(removing, had.keys[i]);
        else
            status = removals_object(removing, had.values[i].object, now->object, SLICE("id"));
        if (document_writer_mark(&removing->writer) == mark)
            continue;
        if (now)
            document_writer_wrap(&removing->writer, mark, TAG_OBJECT);
        document_writer_wrap(&removing->writer, mark, TAG_LIST_VALUE);
    }
    return status;
}

/* Writes what a value lost that is still there in some form. */
static enum sync_status removals_value(struct removing *removing, const struct value *value,
                                       const struct value *after) {
    size_t mark = document_writer_mark(&removing->writer);
    enum sync_status status = SYNC_OK;
    if (value->kind == VALUE_OBJECT && after->kind == VALUE_OBJECT)
        status = removals_object(removing, value->object, after->object, SLICE_EMPTY);
    else if (removing->in_lists && value->kind == VALUE_LIST && after->kind == VALUE_LIST)
        status = removals_list(removing, value, after);
    if (!status && document_writer_mark(&removing->writer) > mark)
        document_writer_wrap(&removing->writer, mark,
                             value->kind == VALUE_OBJECT ? TAG_OBJECT : TAG_LIST);
    return status;
}

enum sync_status document_removals(struct slice document, struct slice after, bool in_lists,
                                   struct arena *arena, struct slice *ret_removals) {
    assert(arena);
    assert(ret_removals);
    struct removing removing = {.arena = arena, .in_lists = in_lists};
    /* It is a part of the document. */
    if (!document_writer_open(&removing.writer, arena, document.size))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = removals_object(&removing, document, after, SLICE_EMPTY);
    if (!status)
        *ret_removals = document_writer_since(&removing.writer, 0);
    return status;
}
