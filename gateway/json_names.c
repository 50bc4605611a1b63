#include "gateway/json_names.h"

#include "base/memory.h"

enum { NAMES_MIN = 64 };

static void names_place(struct json_names *names, uint32_t index) {
    struct json_name *name = &names->list[index];
    uint32_t at = (uint32_t)(name->hash >> 32) & names->mask;
    while (names->slots[at])
        at = (at + 1) & names->mask;
    names->slots[at] = index + 1;
    name->slot = at;
}

/* Doubles the list and makes a table twice as large as the list. */
static bool names_grow(struct json_names *names) {
    size_t capacity = names->capacity ? names->capacity * 2 : NAMES_MIN;
    if (capacity > UINT32_MAX / 4)
        return false;
    struct json_name *list = memory_realloc(names->list, capacity * sizeof *list);
    if (!list)
        return false;
    names->list = list;
    uint32_t *slots = memory_zalloc(capacity * 2, sizeof *slots);
    if (!slots)
        return false;
    memory_free(names->slots);
    names->slots = slots;
    names->capacity = capacity;
    names->mask = (uint32_t)(capacity * 2) - 1;
    for (size_t i = 0; i < names->count; i++)
        names_place(names, (uint32_t)i);
    return true;
}

enum json_names_answer json_names_add(struct json_names *names, size_t object, struct slice name) {
    if (names->count == names->capacity && !names_grow(names))
        return JSON_NAMES_NO_MEMORY;
    uint64_t hash = slice_hash(name, names->seed + object * 0x9e3779b97f4a7c15u);
    uint32_t at = (uint32_t)(hash >> 32) & names->mask;
    for (; names->slots[at]; at = (at + 1) & names->mask) {
        const struct json_name *there = &names->list[names->slots[at] - 1];
        if (there->hash == hash && there->object == object && slice_equal(there->name, name))
            return JSON_NAMES_TWICE;
    }
    names->list[names->count] = (struct json_name){name, hash, object, at};
    names->slots[at] = (uint32_t)++names->count;
    return JSON_NAMES_NEW;
}

void json_names_keep(struct json_names *names, size_t count) {
    while (names->count > count)
        names->slots[names->list[--names->count].slot] = 0;
}

void json_names_done(struct json_names *names) {
    memory_free(names->list);
    memory_free(names->slots);
    *names = (struct json_names){.seed = names->seed};
}
