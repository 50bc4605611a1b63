/* Deltas put to use: on a document, and as a merge patch. */
#include <assert.h>

#include "service/core/delta_read.h"
#include "service/core/document_writer.h"

struct applier {
    struct document_writer writer;
    struct arena *arena;
};

static enum sync_status applier_object(struct applier *applier, struct slice object,
                                       const struct delta_item *items, size_t count, size_t depth);

static bool items_only_remove(const struct delta_item *items, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!items[i].removed)
            return false;
    return true;
}

static void applier_keep(struct applier *applier, const struct member *member) {
    size_t mark = document_writer_mark(&applier->writer);
    document_writer_put(&applier->writer, member->value.bytes);
    document_writer_member(&applier->writer, mark, member->name);
}

/* Writes a member as a group of items leaves it. `old` may be NULL: there was none. */
static enum sync_status applier_member(struct applier *applier, const struct member *old,
                                       const struct delta_item *items, size_t count, size_t depth) {
    size_t mark = document_writer_mark(&applier->writer);
    if (items[0].path_size == depth + 1) {
        if (items[0].removed)
            return SYNC_OK;
        document_writer_put(&applier->writer, items[0].value);
    } else {
        bool nested = old && old->value.kind == VALUE_OBJECT;
        if (!nested && items_only_remove(items, count)) {
            if (old)
                applier_keep(applier, old);
            return SYNC_OK;
        }
        enum sync_status status = applier_object(applier, nested ? old->value.object : SLICE_EMPTY,
                                                 items, count, depth + 1);
        if (status)
            return status;
        document_writer_wrap(&applier->writer, mark, TAG_OBJECT);
    }
    document_writer_member(&applier->writer, mark, items[0].path[depth]);
    return SYNC_OK;
}

/* The first item of the group that ends before `count`. */
static size_t group_begin(const struct delta_item *items, size_t count, size_t depth) {
    size_t begin = count - 1;
    while (begin > 0 && slice_equal(items[begin - 1].path[depth], items[count - 1].path[depth]))
        begin--;
    return begin;
}

/* Writes an object's members and what the items say about them, last first. */
static enum sync_status applier_object(struct applier *applier, struct slice object,
                                       const struct delta_item *items, size_t count, size_t depth) {
    struct member *members;
    size_t i;
    enum sync_status status = document_members(object, applier->arena, &members, &i);
    while (!status && (i > 0 || count > 0)) {
        int order = i == 0 ? -1
                    : count == 0
                        ? 1
                        : document_name_compare(members[i - 1].name, items[count - 1].path[depth]);
        if (order > 0) {
            applier_keep(applier, &members[--i]);
            continue;
        }
        size_t begin = group_begin(items, count, depth);
        status = applier_member(applier, order == 0 ? &members[i - 1] : NULL, items + begin,
                                count - begin, depth);
        i -= order == 0;
        count = begin;
    }
    return status;
}

enum sync_status delta_items_apply(struct slice document, const struct delta_item *items,
                                   size_t count, size_t room, struct arena *arena,
                                   struct slice *ret_document) {
    assert(arena);
    assert(ret_document);
    struct applier applier = {.arena = arena};
    if (!document_writer_open(&applier.writer, arena, document.size + room))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = applier_object(&applier, document, items, count, 0);
    if (!status)
        *ret_document = document_writer_since(&applier.writer, 0);
    return status;
}

enum sync_status delta_apply(struct slice document, struct slice delta, struct arena *arena,
                             struct slice *ret_document) {
    assert(arena);
    assert(ret_document);
    struct delta_item *items;
    size_t count, room;
    if (delta.size == 0) {
        *ret_document = document;
        return SYNC_OK;
    }
    enum sync_status status = delta_items(delta, arena, &items, &count, &room);
    return status ? status : delta_items_apply(document, items, count, room, arena, ret_document);
}

/* Tells whether a merge patch can set this value: no null in it, but inside lists. */
static bool value_is_patchable(const struct value *value) {
    struct member member;
    size_t position = 0;
    if (value->kind != VALUE_OBJECT)
        return value->kind != VALUE_NULL;
    while (document_next(value->object, &position, &member))
        if (!value_is_patchable(&member.value))
            return false;
    return true;
}

/* Writes the items as a merge patch: what is removed is null. */
static void patch_write(struct document_writer *writer, const struct delta_item *items,
                        size_t count, size_t depth) {
    static const uint8_t NULL_VALUE[] = {TAG_NULL, 0};
    while (count > 0) {
        size_t begin = group_begin(items, count, depth), mark = document_writer_mark(writer);
        const struct delta_item *item = &items[begin];
        if (item->path_size == depth + 1) {
            document_writer_put(writer, item->removed ? slice_of(NULL_VALUE, sizeof NULL_VALUE)
                                                      : item->value);
        } else {
            patch_write(writer, item, count - begin, depth + 1);
            document_writer_wrap(writer, mark, TAG_OBJECT);
        }
        document_writer_member(writer, mark, item->path[depth]);
        count = begin;
    }
}

bool delta_items_to_merge_patch(const struct delta_item *items, size_t count, struct arena *arena,
                                struct slice *ret_patch) {
    struct document_writer writer;
    size_t room = 0;
    for (size_t i = 0; i < count; i++) {
        struct value value;
        room += delta_item_room(&items[i]);
        if (!items[i].removed &&
            (!value_read(items[i].value, &value) || !value_is_patchable(&value)))
            return false;
    }
    if (!document_writer_open(&writer, arena, room))
        return false;
    patch_write(&writer, items, count, 0);
    *ret_patch = document_writer_since(&writer, 0);
    return true;
}

bool delta_to_merge_patch(struct slice delta, struct arena *arena, struct slice *ret_patch) {
    assert(arena);
    assert(ret_patch);
    struct delta_item *items;
    size_t count, room;
    return delta_items(delta, arena, &items, &count, &room) == SYNC_OK &&
           delta_items_to_merge_patch(items, count, arena, ret_patch);
}
