/* Patch operations put to use. What they lead through is opened into a tree, once, and the whole is
 * written when all are done; what they do not touch stays the bytes it is. */
#include <assert.h>
#include <stdlib.h>

#include "service/core/document_writer.h"
#include "service/core/patch_operation.h"
#include "service/core/patch_pointer.h"

enum { NODES_SPARE = 8 };
static const size_t RANK_IS_NAMED = (size_t)1 << 63; /* while elements are put in order */

struct branch;

/* A member of an object or an element of an array. */
struct node {
    struct slice name;     /* the member's */
    struct slice bytes;    /* a google.protobuf.Value, unless there is a branch */
    struct branch *branch; /* what it holds, opened */
    size_t rank;           /* of an element: lower first */
    bool is_gone;
};

/* An object's members, in order, or an array's elements by number. */
struct branch {
    bool is_list;
    struct node *nodes;
    size_t count, capacity;
    struct slice_index places; /* of an array: its elements by key, those added too */
    uint8_t id_tag;            /* and which kind its ids are */
    size_t rank_next;
};

/* Operations at work. */
struct patching {
    struct arena *arena;
    struct sync_error *error;
    struct node root;
    size_t operation_count; /* no array gets more new elements than this */
};

static enum sync_status patching_fail(struct patching *patching, const char *field,
                                      const char *message) {
    sync_error_set(patching->error, SYNC_ERR_INVALID, "PATH_NOT_FOUND", field, "%s", message);
    return SYNC_ERR_INVALID;
}

/* ---- Opening */

static enum sync_status branch_open_object(struct patching *patching, struct slice object,
                                           struct branch *branch) {
    struct member *members;
    enum sync_status status = document_members(object, patching->arena, &members, &branch->count);
    if (status)
        return status;
    branch->capacity = branch->count + NODES_SPARE;
    branch->nodes = arena_alloc(patching->arena, branch->capacity * sizeof *branch->nodes);
    if (!branch->nodes)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < branch->count; i++)
        branch->nodes[i] = (struct node){.name = members[i].name, .bytes = members[i].value.bytes};
    return SYNC_OK;
}

static enum sync_status branch_open_list(struct patching *patching, const struct value *value,
                                         struct branch *branch) {
    struct keyed_list list;
    enum sync_status status = keyed_list_read(patching->arena, value, true, &list);
    if (status)
        return status;
    if (!path_names_elements(&list))
        return patching_fail(patching, "path",
                             "leads into an array whose elements do not all have an id of their "
                             "own, texts or integers: set it whole");
    branch->is_list = true;
    branch->id_tag = list.count > 0 ? list.keys[0].data[0] : 0;
    branch->count = branch->rank_next = list.count;
    branch->capacity = branch->count + patching->operation_count;
    branch->nodes = arena_alloc(patching->arena, branch->capacity * sizeof *branch->nodes);
    if (!branch->nodes || !slice_index_init(&branch->places, patching->arena, branch->capacity))
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < branch->count; i++) {
        branch->nodes[i] = (struct node){.bytes = list.values[i].bytes, .rank = i};
        slice_index_add(&branch->places, list.keys[i], i);
    }
    return SYNC_OK;
}

/* Opens what a node holds; NULL branch when it is neither object nor array. */
static enum sync_status node_open(struct patching *patching, struct node *node) {
    struct value value;
    if (node->branch || !value_read(node->bytes, &value) ||
        (value.kind != VALUE_OBJECT && value.kind != VALUE_LIST))
        return SYNC_OK;
    struct branch *branch = arena_zalloc(patching->arena, 1, sizeof *branch);
    if (!branch)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = value.kind == VALUE_OBJECT
                                  ? branch_open_object(patching, value.object, branch)
                                  : branch_open_list(patching, &value, branch);
    if (!status)
        node->branch = branch;
    return status;
}

/* ---- Finding */

/* The place of a member in an object, or where it would be. */
static size_t member_place(const struct branch *branch, struct slice name, bool *ret_there) {
    size_t low = 0, high = branch->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = document_name_compare(branch->nodes[middle].name, name);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = false;
    return low;
}

/* What a segment names in an opened node; NULL when there is nothing. */
static struct node *branch_find(struct patching *patching, struct branch *branch,
                                struct slice segment) {
    size_t place;
    if (branch->is_list) {
        struct slice key = patch_pointer_key(segment, branch->id_tag, patching->arena);
        ptrdiff_t number = slice_index_find(&branch->places, key);
        if (number == SLICE_INDEX_NONE)
            return NULL;
        place = (size_t)number;
    } else {
        bool is_there;
        place = member_place(branch, segment, &is_there);
        if (!is_there)
            return NULL;
    }
    return branch->nodes[place].is_gone ? NULL : &branch->nodes[place];
}

/* Finds the object or array that holds what a path leads to. */
static enum sync_status find_holder(struct patching *patching, struct record_path path,
                                    const char *field, struct branch **ret_branch) {
    struct node *node = &patching->root;
    for (size_t i = 0; i + 1 < path.size && node; i++) {
        enum sync_status status = node_open(patching, node);
        if (status)
            return status;
        node = node->branch ? branch_find(patching, node->branch, path.segments[i]) : NULL;
    }
    enum sync_status status = node ? node_open(patching, node) : SYNC_OK;
    if (status)
        return status;
    if (!node || !node->branch)
        return patching_fail(patching, field,
                             "leads through what the record does not have, or what is neither an "
                             "object nor an array");
    *ret_branch = node->branch;
    return SYNC_OK;
}

/* ---- Changing */

static enum sync_status member_set(struct patching *patching, struct branch *branch,
                                   const struct node *node) {
    bool is_there;
    size_t place = member_place(branch, node->name, &is_there);
    if (!is_there) {
        if (branch->count == branch->capacity) {
            size_t capacity = 2 * branch->capacity;
            struct node *nodes = arena_alloc(patching->arena, capacity * sizeof *nodes);
            if (!nodes)
                return SYNC_ERR_NO_MEMORY;
            memcpy(nodes, branch->nodes, branch->count * sizeof *nodes);
            branch->nodes = nodes;
            branch->capacity = capacity;
        }
        memmove(&branch->nodes[place + 1], &branch->nodes[place],
                (branch->count - place) * sizeof *branch->nodes);
        branch->count++;
    }
    branch->nodes[place] = *node;
    return SYNC_OK;
}

static enum sync_status element_set(struct patching *patching, struct branch *branch,
                                    struct slice segment, const struct node *node) {
    struct value element;
    struct slice key, named;
    bool is_element = value_read(node->bytes, &element) && keyed_list_id(&element, &key);
    if (is_element && branch->count == 0)
        branch->id_tag = key.data[0];
    named = patch_pointer_key(segment, branch->id_tag, patching->arena);
    if (!is_element || !slice_equal(named, key))
        return patching_fail(patching, "path",
                             "names an element of an array: what is set there must be an object "
                             "with this id, of the kind of the others");
    size_t number = slice_index_add(&branch->places, key, branch->count);
    bool is_new = number == branch->count;
    assert(!is_new || branch->count < branch->capacity);
    struct node element_node = *node;
    element_node.rank =
        is_new || branch->nodes[number].is_gone ? branch->rank_next++ : branch->nodes[number].rank;
    branch->nodes[number] = element_node;
    branch->count += is_new;
    return SYNC_OK;
}

static enum sync_status patching_set(struct patching *patching, struct record_path path,
                                     struct node node) {
    struct branch *holder;
    enum sync_status status = find_holder(patching, path, "path", &holder);
    if (status)
        return status;
    node.name = path.segments[path.size - 1];
    return holder->is_list ? element_set(patching, holder, node.name, &node)
                           : member_set(patching, holder, &node);
}

/* Takes away what a path leads to; there may be nothing. */
static enum sync_status patching_take(struct patching *patching, struct record_path path,
                                      const char *field, struct node *ret_node, bool *ret_there) {
    struct branch *holder;
    enum sync_status status = find_holder(patching, path, field, &holder);
    if (status)
        return status;
    struct node *node = branch_find(patching, holder, path.segments[path.size - 1]);
    *ret_there = node != NULL;
    if (node) {
        *ret_node = *node;
        node->is_gone = true;
    }
    return SYNC_OK;
}

static enum sync_status patching_move(struct patching *patching, struct record_path from,
                                      struct record_path path) {
    struct node node;
    struct branch *holder;
    bool is_there;
    enum sync_status status = patching_take(patching, from, "moveFrom", &node, &is_there);
    if (status)
        return status;
    if (!is_there)
        return patching_fail(patching, "moveFrom", "leads to what the record does not have");
    status = find_holder(patching, path, "path", &holder);
    if (!status && holder->is_list)
        return patching_fail(patching, "path", "must lead to a member of an object");
    return status ? status : patching_set(patching, path, node);
}

static int node_compare(const void *left, const void *right) {
    const struct node *a = left, *b = right;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Puts the elements that the list names first, in its order; the others stay behind them. */
static enum sync_status patching_order(struct patching *patching, struct record_path path,
                                       struct slice list) {
    static const struct slice INSIDE = SLICE("");
    struct branch *branch;
    struct slice *segments = arena_alloc(patching->arena, (path.size + 1) * sizeof *segments);
    if (!segments)
        return SYNC_ERR_NO_MEMORY;
    memcpy(segments, path.segments, path.size * sizeof *segments);
    segments[path.size] = INSIDE;
    enum sync_status status =
        find_holder(patching, (struct record_path){segments, path.size + 1}, "path", &branch);
    if (status)
        return status;
    if (!branch->is_list)
        return patching_fail(patching, "path", "must lead to an array");
    struct value id;
    size_t position = 0, named_count = 0;
    while (document_list_next(list, &position, &id)) {
        ptrdiff_t number = slice_index_find(&branch->places, id.bytes);
        if (number != SLICE_INDEX_NONE && !(branch->nodes[number].rank & RANK_IS_NAMED))
            branch->nodes[number].rank = RANK_IS_NAMED | named_count++;
    }
    for (size_t i = 0; i < branch->count; i++) {
        struct node *node = &branch->nodes[i];
        node->rank =
            node->rank & RANK_IS_NAMED ? node->rank - RANK_IS_NAMED : node->rank + named_count;
    }
    branch->rank_next += named_count;
    return SYNC_OK;
}

static enum sync_status patching_do(struct patching *patching,
                                    const struct patch_operation *operation) {
    struct record_path path, from;
    struct node node;
    bool is_there;
    enum sync_status status = patch_pointer_parse(operation->path, patching->arena, &path);
    if (status)
        return status;
    switch (operation->step) {
    case PATCH_SET:
        return patching_set(patching, path, (struct node){.bytes = operation->value});
    case PATCH_ORDER:
        return patching_order(patching, path, operation->value);
    case PATCH_MOVE:
        status = patch_pointer_parse(operation->from, patching->arena, &from);
        return status ? status : patching_move(patching, from, path);
    case PATCH_REMOVE:
        break;
    }
    return patching_take(patching, path, "path", &node, &is_there);
}

/* ---- Writing */

static void node_write(struct document_writer *writer, const struct node *node);

static void branch_write_list(struct document_writer *writer, const struct branch *branch) {
    if (branch->count > 1)
        qsort(branch->nodes, branch->count, sizeof *branch->nodes, node_compare);
    for (size_t i = branch->count; i-- > 0;) {
        size_t mark = document_writer_mark(writer);
        if (branch->nodes[i].is_gone)
            continue;
        node_write(writer, &branch->nodes[i]);
        document_writer_wrap(writer, mark, TAG_LIST_VALUE);
    }
}

static void branch_write_object(struct document_writer *writer, const struct branch *branch) {
    for (size_t i = branch->count; i-- > 0;) {
        size_t mark = document_writer_mark(writer);
        if (branch->nodes[i].is_gone)
            continue;
        node_write(writer, &branch->nodes[i]);
        document_writer_member(writer, mark, branch->nodes[i].name);
    }
}

static void node_write(struct document_writer *writer, const struct node *node) {
    size_t mark = document_writer_mark(writer);
    if (!node->branch) {
        document_writer_put(writer, node->bytes);
    } else if (node->branch->is_list) {
        branch_write_list(writer, node->branch);
        document_writer_wrap(writer, mark, TAG_LIST);
    } else {
        branch_write_object(writer, node->branch);
        document_writer_wrap(writer, mark, TAG_OBJECT);
    }
}

/* Writes the document; its bounds are those of any. */
static enum sync_status patching_write(struct patching *patching, size_t room,
                                       struct slice *ret_document) {
    struct document_writer writer;
    if (!document_writer_open(&writer, patching->arena, room))
        return SYNC_ERR_NO_MEMORY;
    branch_write_object(&writer, patching->root.branch);
    struct slice document = document_writer_since(&writer, 0);
    if (document.size > CHANGE_DATA_MAX)
        return SYNC_ERR_TOO_LARGE;
    return document_normalize(document, patching->arena, patching->error, ret_document);
}

enum sync_status patch_operations_apply(struct slice document,
                                        const struct patch_operation *operations, size_t count,
                                        struct arena *arena, struct sync_error *error,
                                        size_t *ret_failed, struct slice *ret_document) {
    assert(operations || count == 0);
    assert(arena && ret_failed && ret_document);
    struct branch root = {.is_list = false};
    struct patching patching = {
        .arena = arena, .error = error, .root.branch = &root, .operation_count = count};
    size_t room = document.size;
    enum sync_status status = branch_open_object(&patching, document, &root);
    for (size_t i = 0; !status && i < count; i++) {
        status = patching_do(&patching, &operations[i]);
        room += operations[i].value.size + operations[i].path.size +
                DELTA_PATH_MAX * DOCUMENT_MEMBER_COST;
        if (status)
            *ret_failed = i;
    }
    return status ? status : patching_write(&patching, room, ret_document);
}

enum sync_status patch_operations_take(struct slice document,
                                       const struct patch_operation *operations, size_t count,
                                       struct arena *arena, struct slice *ret_document) {
    assert(operations || count == 0);
    assert(arena && ret_document);
    struct branch root = {.is_list = false};
    struct patching patching = {.arena = arena, .root.branch = &root};
    size_t room = document.size;
    enum sync_status status = branch_open_object(&patching, document, &root);
    for (size_t i = 0; !status && i < count; i++) {
        struct patch_operation operation = operations[i];
        if (operation.step != PATCH_REMOVE && operation.step != PATCH_MOVE)
            continue;
        room += operation.path.size + operation.from.size + DELTA_PATH_MAX * DOCUMENT_MEMBER_COST;
        status = patching_do(&patching, &operation);
        if (status == SYNC_ERR_INVALID)
            status = SYNC_OK;
    }
    return status ? status : patching_write(&patching, room, ret_document);
}
