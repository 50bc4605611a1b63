#include "service/core/record_path.h"

#include <assert.h>

static bool segment_is_name(struct slice segment) {
    return !path_segment_is_element(segment) && !path_segment_is_order(segment);
}

int path_segment_compare(struct slice a, struct slice b) {
    return segment_is_name(a) && segment_is_name(b) ? document_name_compare(a, b)
                                                    : slice_compare(a, b);
}

int record_path_compare(struct record_path path, struct record_path other) {
    for (size_t i = 0; i < path.size && i < other.size; i++) {
        int order = path_segment_compare(path.segments[i], other.segments[i]);
        if (order != 0)
            return order;
    }
    return path.size < other.size ? -1 : 0;
}

struct record_path record_path_of_members(struct record_path path) {
    size_t size = 0;
    while (size < path.size && segment_is_name(path.segments[size]))
        size++;
    return (struct record_path){path.segments, size};
}

/* Whether an id can stand in a path as a text of its own; a document's integers are exact. */
static bool id_is_text(const struct value *id) {
    return id->kind == VALUE_STRING ||
           (id->kind == VALUE_NUMBER && (double)(int64_t)id->number == id->number);
}

bool path_names_elements(const struct keyed_list *list) {
    enum value_kind kind = VALUE_STRING;
    if (!list->is_keyed)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        struct value id;
        if (!value_read(list->keys[i], &id) || !id_is_text(&id) || (i > 0 && id.kind != kind))
            return false;
        kind = id.kind;
    }
    return true;
}

struct slice path_element_segment(struct slice key, struct arena *arena) {
    uint8_t *bytes = arena_alloc(arena, key.size + 1);
    if (!bytes)
        return SLICE_EMPTY;
    bytes[0] = PATH_ELEMENT;
    memcpy(bytes + 1, key.data, key.size);
    return slice_of(bytes, key.size + 1);
}

void path_finder_init(struct path_finder *finder, struct slice document, struct arena *arena) {
    assert(finder && arena);
    finder->document = document;
    finder->arena = arena;
    memset(finder->seen, 0, sizeof finder->seen);
}

/* The array at a depth, read once. */
static enum sync_status finder_list(struct path_finder *finder, size_t depth,
                                    const struct value *value, const struct keyed_list **ret_list) {
    assert(depth < DELTA_PATH_MAX && value->kind == VALUE_LIST);
    if (finder->seen[depth] != value->list.data) {
        enum sync_status status =
            keyed_list_read(finder->arena, value, true, &finder->lists[depth]);
        if (status)
            return status;
        finder->seen[depth] = value->list.data;
    }
    *ret_list = &finder->lists[depth];
    return SYNC_OK;
}

enum sync_status path_finder_find(struct path_finder *finder, struct record_path path,
                                  struct value *ret_value, const struct keyed_list **ret_list,
                                  bool *ret_found) {
    struct value value = {.kind = VALUE_OBJECT, .object = finder->document};
    const struct keyed_list *list = NULL;
    for (size_t i = 0; i < path.size; i++) {
        struct slice segment = path.segments[i];
        struct value outer = value;
        bool is_name = segment_is_name(segment);
        list = NULL;
        *ret_found = outer.kind == (is_name ? VALUE_OBJECT : VALUE_LIST);
        if (*ret_found && is_name) {
            *ret_found = document_find(outer.object, segment, &value);
        } else if (*ret_found) {
            enum sync_status status = finder_list(finder, i, &outer, &list);
            if (status)
                return status;
            const struct value *element = keyed_list_find(list, path_element_key(segment));
            *ret_found = element || path_segment_is_order(segment);
            value = element ? *element : outer;
        }
        if (!*ret_found)
            return SYNC_OK;
    }
    *ret_value = value;
    *ret_list = list;
    *ret_found = true;
    return SYNC_OK;
}
