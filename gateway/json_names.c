#include "gateway/json_names.h"

#include <assert.h>

#include "base/memory.h"

enum { NAMES_MIN = 64 };

static uint64_t name_hash(const struct json_names *names, size_t object, struct slice name) {
    return slice_hash(name, names->seed + object * 0x9e3779b97f4a7c15u);
}

/* Puts a name of the list into the table. */
static void names_place(struct json_names *names, size_t index) {
    struct json_name *name = &names->list[index];
    uint32_t at = (uint32_t)(name_hash(names, name->object, name->name) >> 32) & names->mask;
    while (names->slots[at])
        at = (at + 1) & names->mask;
    names->slots[at] = (uint32_t)index + 1;
    name->slot = at;
    names->placed++;
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
    names->placed = 0;
    names->mask = (uint32_t)(capacity * 2) - 1;
    for (size_t i = 0; i < names->count; i++)
        if (names->list[i].slot != JSON_NAMES_NO_SLOT)
            names_place(names, i);
    return true;
}

/* Whether the table has the name. */
static bool names_have(const struct json_names *names, size_t object, struct slice name) {
    uint32_t at = (uint32_t)(name_hash(names, object, name) >> 32) & names->mask;
    for (; names->slots[at]; at = (at + 1) & names->mask) {
        const struct json_name *there = &names->list[names->slots[at] - 1];
        if (there->object == object && slice_equal(there->name, name))
            return true;
    }
    return false;
}

enum json_names_answer json_names_add_many(struct json_names *names, size_t object,
                                           struct slice name, uint64_t mark) {
    assert(object <= names->count);
    if (names->count == names->capacity && !names_grow(names))
        return JSON_NAMES_NO_MEMORY;
    if (names->count - object < JSON_NAMES_FEW)
        return json_names_add(names, object, name);
    /* Now it has many: the few have to be in the table too. */
    if (names->list[object + JSON_NAMES_FEW - 1].slot == JSON_NAMES_NO_SLOT)
        for (size_t i = object; i < object + JSON_NAMES_FEW; i++)
            if (names->list[i].slot == JSON_NAMES_NO_SLOT)
                names_place(names, i);
    if (names_have(names, object, name))
        return JSON_NAMES_TWICE;
    names->list[names->count] =
        (struct json_name){name, mark, (uint32_t)object, JSON_NAMES_NO_SLOT};
    names_place(names, names->count++);
    return JSON_NAMES_NEW;
}

void json_names_drop(struct json_names *names, size_t count) {
    while (names->count > count) {
        const struct json_name *last = &names->list[--names->count];
        if (last->slot != JSON_NAMES_NO_SLOT) {
            names->slots[last->slot] = 0;
            names->placed--;
        }
    }
}

void json_names_done(struct json_names *names) {
    memory_free(names->list);
    memory_free(names->slots);
    *names = (struct json_names){.seed = names->seed};
}
