#include "service/core/field_changes.h"

#include <assert.h>
#include <stdlib.h>

#include "service/core/delta_read.h"

enum { FIELDS_FIRST = 8 };

/* Fields as they are found, in order. */
struct finding {
    struct arena *arena;
    struct changed_field *fields;
    size_t count, capacity;
};

static enum sync_status finding_add(struct finding *finding, struct record_path path) {
    if (finding->count == finding->capacity) {
        size_t capacity = finding->capacity ? 2 * finding->capacity : FIELDS_FIRST;
        struct changed_field *fields = arena_alloc(finding->arena, capacity * sizeof *fields);
        if (!fields)
            return SYNC_ERR_NO_MEMORY;
        if (finding->count > 0)
            memcpy(fields, finding->fields, finding->count * sizeof *fields);
        finding->fields = fields;
        finding->capacity = capacity;
    }
    finding->fields[finding->count++] = (struct changed_field){.path = path};
    return SYNC_OK;
}

/* A path followed by more segments; without segments when there is no memory. */
static struct record_path path_join(struct arena *arena, struct record_path outer,
                                    const struct slice *inner, size_t inner_size) {
    struct slice *segments = arena_alloc(arena, (outer.size + inner_size) * sizeof *segments);
    if (!segments)
        return (struct record_path){0};
    for (size_t i = 0; i < outer.size; i++)
        segments[i] = outer.segments[i];
    for (size_t i = 0; i < inner_size; i++)
        segments[outer.size + i] = inner[i];
    return (struct record_path){segments, outer.size + inner_size};
}

static enum sync_status find_in_object(struct finding *finding, struct record_path outer,
                                       struct slice after, struct slice undo);

static int key_compare(const void *left, const void *right) {
    return slice_compare(*(const struct slice *)left, *(const struct slice *)right);
}

/* The keys of both lists, each once, in order. */
static enum sync_status keys_of_both(struct arena *arena, const struct keyed_list *before,
                                     const struct keyed_list *after, struct slice **ret_keys,
                                     size_t *ret_count) {
    size_t count = 0;
    struct slice *keys = arena_alloc(arena, (before->count + after->count) * sizeof *keys);
    if (!keys)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < before->count; i++)
        keys[count++] = before->keys[i];
    for (size_t i = 0; i < after->count; i++)
        if (!keyed_list_find(before, after->keys[i]))
            keys[count++] = after->keys[i];
    qsort(keys, count, sizeof *keys, key_compare);
    *ret_keys = keys;
    *ret_count = count;
    return SYNC_OK;
}

/* Whether `after` is what is left of `before` in its order, and then what is new. */
static bool order_is_kept(const struct keyed_list *before, const struct keyed_list *after) {
    size_t last = 0;
    bool has_new = false;
    for (size_t i = 0; i < after->count; i++) {
        ptrdiff_t place = slice_index_find(&before->index, after->keys[i]);
        if (place == SLICE_INDEX_NONE) {
            has_new = true;
            continue;
        }
        if (has_new || (size_t)place < last)
            return false;
        last = (size_t)place;
    }
    return true;
}

/* Finds what changed in an element that is in one of the lists or both. */
static enum sync_status find_in_element(struct finding *finding, struct record_path outer,
                                        struct slice key, const struct value *before,
                                        const struct value *after) {
    if (before && after && slice_equal(before->bytes, after->bytes))
        return SYNC_OK;
    struct slice segment = path_element_segment(key, finding->arena);
    struct record_path path = path_join(finding->arena, outer, &segment, 1);
    if (segment.size == 0 || path.size == 0)
        return SYNC_ERR_NO_MEMORY;
    if (!before || !after)
        return finding_add(finding, path);
    struct slice undo;
    enum sync_status status = delta_between(after->object, before->object, finding->arena, &undo);
    return status ? status : find_in_object(finding, path, after->object, undo);
}

/* Finds what changed in an array, element by element. `ret_named` is false, and nothing is found,
 * where that cannot be told so, or in too many places. */
static enum sync_status find_in_list(struct finding *finding, struct record_path path,
                                     const struct value *before, const struct value *after,
                                     bool *ret_named) {
    struct keyed_list old, new;
    struct slice *keys;
    size_t key_count, count = finding->count;
    *ret_named = false;
    enum sync_status status = keyed_list_read(finding->arena, before, true, &old);
    if (!status)
        status = keyed_list_read(finding->arena, after, true, &new);
    if (status || !path_names_elements(&old) || !path_names_elements(&new) || old.count == 0 ||
        new.count == 0 || old.keys[0].data[0] != new.keys[0].data[0])
        return status;
    static const uint8_t ORDER_BYTE = PATH_ORDER;
    const struct slice order = slice_of(&ORDER_BYTE, 1);
    status = keys_of_both(finding->arena, &old, &new, &keys, &key_count);
    if (!status && !order_is_kept(&old, &new)) {
        struct record_path order_path = path_join(finding->arena, path, &order, 1);
        status = order_path.size > 0 ? finding_add(finding, order_path) : SYNC_ERR_NO_MEMORY;
    }
    for (size_t i = 0; !status && i < key_count; i++) {
        status = find_in_element(finding, path, keys[i], keyed_list_find(&old, keys[i]),
                                 keyed_list_find(&new, keys[i]));
        if (!status && finding->count - count > FIELD_CHANGES_LIST_MAX) {
            finding->count = count;
            return SYNC_OK;
        }
    }
    *ret_named = !status;
    return status;
}

/* The value of a member in an object; false when there is none. */
static bool member_find(struct slice object, const struct delta_item *item,
                        struct value *ret_value) {
    struct value value = {.kind = VALUE_OBJECT, .object = object};
    for (size_t i = 0; i < item->path_size; i++)
        if (value.kind != VALUE_OBJECT || !document_find(value.object, item->path[i], &value))
            return false;
    *ret_value = value;
    return true;
}

/* Finds what changed in a field that the undo delta names. */
static enum sync_status find_in_field(struct finding *finding, struct record_path outer,
                                      struct slice after, const struct delta_item *item) {
    struct value old, new;
    struct record_path path = path_join(finding->arena, outer, item->path, item->path_size);
    bool is_named = false;
    if (path.size == 0)
        return SYNC_ERR_NO_MEMORY;
    bool has_room = path.size < DELTA_PATH_MAX - 1; /* for what is inside */
    if (has_room && !item->removed && value_read(item->value, &old) && old.kind == VALUE_LIST &&
        member_find(after, item, &new) && new.kind == VALUE_LIST) {
        enum sync_status status = find_in_list(finding, path, &old, &new, &is_named);
        if (status)
            return status;
    }
    return is_named ? SYNC_OK : finding_add(finding, path);
}

static enum sync_status find_in_fields(struct finding *finding, struct record_path outer,
                                       struct slice after, const struct delta_item *items,
                                       size_t count) {
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; !status && i < count; i++)
        status = find_in_field(finding, outer, after, &items[i]);
    return status;
}

static enum sync_status find_in_object(struct finding *finding, struct record_path outer,
                                       struct slice after, struct slice undo) {
    struct delta_item *items;
    size_t count, room;
    enum sync_status status = delta_items(undo, finding->arena, &items, &count, &room);
    return status ? status : find_in_fields(finding, outer, after, items, count);
}

static struct changed_field *finding_at(const struct finding *finding,
                                        const struct delta_item *item) {
    struct record_path path = {item->path, item->path_size};
    for (size_t i = 0; i < finding->count; i++)
        if (finding->fields[i].path.size == path.size &&
            record_path_compare(finding->fields[i].path, path) == 0)
            return &finding->fields[i];
    return NULL;
}

/* Takes the first field that held these bytes before, is gone, and is not taken; NULL: none. */
static const struct delta_item *take_origin(struct slice after, const struct delta_item *items,
                                            size_t count, struct slice bytes, bool *is_taken) {
    struct value other;
    for (size_t i = 0; i < count; i++)
        if (!is_taken[i] && !items[i].removed && slice_equal(items[i].value, bytes) &&
            !member_find(after, &items[i], &other)) {
            is_taken[i] = true;
            return &items[i];
        }
    return NULL;
}

/* Tells of the fields that are new where else their value stood before. */
static void find_moves(struct finding *finding, struct slice after, const struct delta_item *items,
                       size_t count) {
    if (count > FIELD_CHANGES_MOVES_MAX)
        return;
    bool is_taken[FIELD_CHANGES_MOVES_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        struct value new;
        if (!items[i].removed || !member_find(after, &items[i], &new) ||
            new.bytes.size < FIELD_CHANGES_MOVE_MIN)
            continue;
        const struct delta_item *origin = take_origin(after, items, count, new.bytes, is_taken);
        if (!origin)
            continue;
        struct changed_field *field = finding_at(finding, &items[i]);
        assert(field);
        field->from = (struct record_path){origin->path, origin->path_size};
    }
}

enum sync_status changed_fields_find(struct slice after, struct slice undo, struct arena *arena,
                                     struct changed_field **ret_fields, size_t *ret_count) {
    assert(arena && ret_fields && ret_count);
    struct finding finding = {.arena = arena};
    struct delta_item *items;
    size_t count, room;
    enum sync_status status = delta_items(undo, arena, &items, &count, &room);
    if (!status)
        status = find_in_fields(&finding, (struct record_path){0}, after, items, count);
    if (status)
        return status;
    find_moves(&finding, after, items, count);
    *ret_fields = finding.fields;
    *ret_count = finding.count;
    return SYNC_OK;
}
