#include "service/core/keyed_list.h"

bool keyed_list_id(const struct value *element, struct slice *ret_key) {
    struct value id;
    if (element->kind != VALUE_OBJECT || !document_find(element->object, SLICE("id"), &id) ||
        (id.kind != VALUE_STRING && id.kind != VALUE_NUMBER))
        return false;
    *ret_key = id.bytes;
    return true;
}

enum sync_status keyed_list_read(struct arena *arena, const struct value *value, bool by_id,
                                 struct keyed_list *ret_list) {
    struct slice bytes = value && value->kind == VALUE_LIST ? value->list : SLICE_EMPTY;
    struct keyed_list list = {.is_keyed = true};
    enum sync_status status = document_values(bytes, arena, &list.values, &list.count);
    if (status)
        return status;
    list.keys = arena_alloc(arena, list.count * sizeof *list.keys);
    if (!list.keys || !slice_index_init(&list.index, arena, list.count))
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < list.count; i++) {
        list.keys[i] = list.values[i].bytes;
        if (by_id && !keyed_list_id(&list.values[i], &list.keys[i])) {
            list.is_keyed = false;
            break;
        }
        list.is_keyed &= slice_index_add(&list.index, list.keys[i], i) == i;
    }
    *ret_list = list;
    return SYNC_OK;
}

const struct value *keyed_list_find(const struct keyed_list *list, struct slice key) {
    ptrdiff_t number = slice_index_find(&list->index, key);
    return number == SLICE_INDEX_NONE ? NULL : &list->values[number];
}
