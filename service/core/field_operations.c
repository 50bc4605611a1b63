/* What a device that holds a record of some version needs, by the record's field stamps, as patch
 * operations: moves first, then what is set and removed, then elements that are new, in the order
 * of their arrays, and orders at last. */
#include <assert.h>
#include <stdlib.h>

#include "service/core/document_writer.h"
#include "service/core/field_stamps_read.h"
#include "service/core/patch_operation.h"
#include "service/core/patch_pointer.h"

/* Which operations come first. */
enum turn { TURN_MOVES, TURN_FIELDS, TURN_ELEMENTS, TURN_ORDERS };

/* An operation and where it belongs in the order of all. */
struct turned {
    struct patch_operation operation;
    enum turn turn;
    size_t list;  /* the operation's stamp; of an element its array's first */
    size_t place; /* of an element: in its array */
};

/* The making of the operations. */
struct operating {
    struct arena *arena;
    struct field_stamps stamps;
    struct path_finder finder;
    uint64_t since;
    bool is_moved[FIELD_STAMPS_MAX]; /* the stamp's value is brought by a move, */
    bool is_left[FIELD_STAMPS_MAX];  /* or it is where one took it from */
    struct turned *operations;       /* room for two of each stamp */
    size_t count;
};

/* The stamp of exactly this path, or NULL. */
static const struct field_stamp *stamp_at(const struct field_stamps *stamps,
                                          struct record_path path) {
    for (size_t i = 0; i < stamps->count; i++)
        if (stamps->fields[i].path.size == path.size &&
            record_path_compare(stamps->fields[i].path, path) == 0)
            return &stamps->fields[i];
    return NULL;
}

/* Whether something around the path changed since as a whole. */
static bool is_covered(const struct operating *operating, struct record_path path) {
    for (size_t i = 0; i < operating->stamps.count; i++) {
        const struct field_stamp *stamp = &operating->stamps.fields[i];
        if (stamp->version > operating->since && stamp->path.size < path.size &&
            record_path_is_in(path, stamp->path))
            return true;
    }
    return false;
}

/* Finds the moves that the device can make too: what moved was then what it has there. */
static void find_moves(struct operating *operating) {
    const struct field_stamps *stamps = &operating->stamps;
    for (size_t i = 0; i < stamps->count; i++) {
        const struct field_stamp *stamp = &stamps->fields[i], *left;
        if (stamp->from.size == 0 || stamp->version <= operating->since ||
            is_covered(operating, stamp->path) || is_covered(operating, stamp->from))
            continue;
        left = stamp_at(stamps, stamp->from);
        if (!left || left->version != stamp->version || left->before > operating->since)
            continue;
        operating->is_moved[i] = true;
        operating->is_left[left - stamps->fields] = true;
    }
}

/* Adds an operation at a path. */
static enum sync_status operating_add(struct operating *operating, struct record_path path,
                                      struct turned turned) {
    turned.operation.path = patch_pointer_format(path, operating->arena);
    if (!turned.operation.path.data)
        return SYNC_ERR_NO_MEMORY;
    operating->operations[operating->count++] = turned;
    return SYNC_OK;
}

static enum sync_status add_move(struct operating *operating, size_t number) {
    const struct field_stamp *stamp = &operating->stamps.fields[number];
    struct turned turned = {
        .turn = TURN_MOVES,
        .list = number,
        .operation = {.step = PATCH_MOVE,
                      .from = patch_pointer_format(stamp->from, operating->arena)}};
    return turned.operation.from.data ? operating_add(operating, stamp->path, turned)
                                      : SYNC_ERR_NO_MEMORY;
}

/* Adds the order of the array in which the stamp's path ends, once. */
static enum sync_status add_order(struct operating *operating, size_t number,
                                  const struct keyed_list *list) {
    struct record_path path = operating->stamps.fields[number].path;
    path.size--;
    struct document_writer writer;
    size_t room = 0;
    for (size_t i = 0; i < list->count; i++)
        room += DOCUMENT_MEMBER_COST + list->keys[i].size;
    if (!document_writer_open(&writer, operating->arena, room))
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = list->count; i-- > 0;) {
        size_t mark = document_writer_mark(&writer);
        document_writer_put(&writer, list->keys[i]);
        document_writer_wrap(&writer, mark, TAG_LIST_VALUE);
    }
    struct turned turned = {
        .turn = TURN_ORDERS,
        .list = number,
        .operation = {.step = PATCH_ORDER, .value = document_writer_since(&writer, 0)}};
    enum sync_status status = operating_add(operating, path, turned);
    const struct turned *added = &operating->operations[operating->count - 1];
    for (size_t i = 0; !status && i + 1 < operating->count; i++)
        if (operating->operations[i].turn == TURN_ORDERS &&
            slice_equal(operating->operations[i].operation.path, added->operation.path)) {
            operating->count--;
            break;
        }
    return status;
}

/* The first stamp in the array in which a stamp's path ends. */
static size_t list_first(const struct field_stamps *stamps, size_t number) {
    struct record_path array = stamps->fields[number].path;
    array.size--;
    size_t first = number;
    while (first > 0 && record_path_is_in(stamps->fields[first - 1].path, array) &&
           stamps->fields[first - 1].path.size > array.size)
        first--;
    return first;
}

/* Adds an element that the device gets whole: behind those it has, unless it had it before, and it
 * may have gone and come back since, to another place. */
static enum sync_status add_element(struct operating *operating, size_t number,
                                    const struct value *value, const struct keyed_list *list) {
    const struct field_stamp *stamp = &operating->stamps.fields[number];
    struct turned turned = {.turn = TURN_ELEMENTS,
                            .operation = {.step = PATCH_SET, .value = value->bytes},
                            .list = list_first(&operating->stamps, number),
                            .place = (size_t)(value - list->values)};
    enum sync_status status = operating_add(operating, stamp->path, turned);
    if (!status && stamp->before > operating->since)
        status = add_order(operating, number, list);
    return status;
}

/* Adds what a stamp's field became. `ret_covers` says whether that tells all that is in it. */
static enum sync_status add_field(struct operating *operating, size_t number, bool *ret_covers) {
    const struct field_stamp *stamp = &operating->stamps.fields[number];
    struct slice last = stamp->path.segments[stamp->path.size - 1];
    const struct keyed_list *list;
    struct value value;
    bool is_there;
    *ret_covers = false;
    if (operating->is_left[number])
        return SYNC_OK;
    if (operating->is_moved[number])
        return add_move(operating, number);
    enum sync_status status =
        path_finder_find(&operating->finder, stamp->path, &value, &list, &is_there);
    if (status)
        return status;
    if (path_segment_is_order(last))
        return is_there ? add_order(operating, number, list) : SYNC_ERR_CORRUPT;
    *ret_covers = true;
    if (is_there && list)
        return add_element(operating, number, keyed_list_find(list, path_element_key(last)), list);
    struct turned turned = {.turn = TURN_FIELDS,
                            .list = number,
                            .operation = {.step = is_there ? PATCH_SET : PATCH_REMOVE,
                                          .value = is_there ? value.bytes : SLICE_EMPTY}};
    return operating_add(operating, stamp->path, turned);
}

static int turned_compare(const void *left, const void *right) {
    const struct turned *a = left, *b = right;
    if (a->turn != b->turn)
        return a->turn < b->turn ? -1 : 1;
    if (a->list != b->list)
        return a->list < b->list ? -1 : 1;
    return (a->place > b->place) - (a->place < b->place);
}

/* Puts the operations in order and packs them. */
static enum sync_status operating_pack(struct operating *operating, struct slice *ret_packed) {
    struct patch_operation *operations =
        arena_alloc(operating->arena, operating->count * sizeof *operations);
    if (!operations)
        return SYNC_ERR_NO_MEMORY;
    if (operating->count > 1)
        qsort(operating->operations, operating->count, sizeof *operating->operations,
              turned_compare);
    for (size_t i = 0; i < operating->count; i++)
        operations[i] = operating->operations[i].operation;
    return patch_operations_pack(operations, operating->count, operating->arena, ret_packed);
}

enum sync_status field_stamps_operations(const struct record *record, uint64_t since,
                                         struct arena *arena, struct slice *ret_packed,
                                         bool *ret_found) {
    assert(record && arena);
    assert(!record->deleted);
    struct operating operating = {.arena = arena, .stamps.arena = arena, .since = since};
    enum sync_status status = field_stamps_read(&operating.stamps, record);
    if (status)
        return status;
    const struct field_stamps *stamps = &operating.stamps;
    *ret_found = since >= stamps->floor;
    if (!*ret_found)
        return SYNC_OK;
    operating.operations = arena_alloc(arena, 2 * stamps->count * sizeof *operating.operations);
    if (!operating.operations)
        return SYNC_ERR_NO_MEMORY;
    path_finder_init(&operating.finder, record->data, arena);
    find_moves(&operating);
    struct record_path covering = {0};
    for (size_t i = 0; !status && i < stamps->count; i++) {
        struct record_path path = stamps->fields[i].path;
        bool covers;
        if (stamps->fields[i].version <= since ||
            (covering.size > 0 && record_path_is_in(path, covering)))
            continue;
        status = add_field(&operating, i, &covers);
        covering = covers ? path : covering;
    }
    return status ? status : operating_pack(&operating, ret_packed);
}
