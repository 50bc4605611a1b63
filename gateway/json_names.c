#include "gateway/json_names.h"

#include <assert.h>

#include "base/memory.h"

enum {
    NAMES_MIN = 64,
    NAMES_MAX = 1 << 26, /* more than the largest text has */
    BITS_MIN = 6,
    BITS_MAX = 28,
    BITS_SPARE_MAX = 8, /* a larger table is not kept: clearing it takes time */
    PLACE_AHEAD = 16,
};

/* The names of one object. The upper bits of a name's hash tell where it is, or from where on to
 * look for it; its slot has the others above its place in the object, counted from 1. 0 is free.
 * Names that have left stay until the table grows: what their slots tell is then looked at in vain,
 * or is a name that has come since. */
struct json_names_table {
    struct json_names_table *below;
    size_t object; /* where the object's names begin in the list */
    size_t used;   /* slots */
    unsigned bits; /* of the number of slots */
    uint32_t slots[];
};

static inline uint32_t table_mask(const struct json_names_table *table) {
    return ((uint32_t)1 << table->bits) - 1;
}

static inline uint32_t table_home(const struct json_names_table *table, uint32_t hash) {
    return hash >> (32 - table->bits);
}

/* A table without names; NULL without memory. */
static struct json_names_table *table_open(size_t object, unsigned bits,
                                           struct json_names_table *below) {
    struct json_names_table *table =
        memory_zalloc(1, sizeof *table + (sizeof *table->slots << bits));
    if (table) {
        table->object = object;
        table->bits = bits;
        table->below = below;
    }
    return table;
}

/* Puts the list's name of that index into a table that has room and has it not. */
static void table_put(struct json_names_table *table, uint32_t hash, size_t index) {
    uint32_t at = table_home(table, hash);
    while (table->slots[at])
        at = (at + 1) & table_mask(table);
    table->slots[at] = hash << table->bits | (uint32_t)(index - table->object + 1);
    table->used++;
}

/* Puts all names of the table's object into it. */
static void table_fill(struct json_names_table *table, const struct json_names *names) {
    for (size_t i = table->object; i < names->count; i++) {
        if (i + PLACE_AHEAD < names->count)
            __builtin_prefetch(&table->slots[table_home(table, names->list[i + PLACE_AHEAD].hash)],
                               1);
        table_put(table, names->list[i].hash, i);
    }
}

static uint32_t name_hash(const struct json_names *names, struct slice name) {
    return (uint32_t)(slice_hash(name, names->seed) >> 32);
}

/* Makes a table for an object that now has many names; false without memory. */
static bool names_begin_table(struct json_names *names, size_t object) {
    struct json_names_table *table = names->spare;
    if (table) {
        names->spare = NULL;
        memset(table->slots, 0, sizeof *table->slots << table->bits);
        table->object = object;
        table->below = names->tables;
        table->used = 0;
    } else {
        table = table_open(object, BITS_MIN, names->tables);
        if (!table)
            return false;
    }
    names->tables = table;
    for (size_t i = object; i < names->count; i++)
        names->list[i].hash = name_hash(names, names->list[i].name);
    table_fill(table, names);
    return true;
}

/* Makes the table of the object opened last twice as large; false without memory. */
static bool names_grow_table(struct json_names *names) {
    struct json_names_table *old = names->tables;
    if (old->bits == BITS_MAX)
        return false;
    struct json_names_table *table = table_open(old->object, old->bits + 1, old->below);
    if (!table)
        return false;
    memory_free(old);
    names->tables = table;
    table_fill(table, names);
    return true;
}

static bool names_grow(struct json_names *names) {
    size_t capacity = names->capacity ? names->capacity * 2 : NAMES_MIN;
    if (capacity > NAMES_MAX)
        return false;
    struct json_name *list = memory_realloc(names->list, capacity * sizeof *list);
    if (!list)
        return false;
    names->list = list;
    names->capacity = capacity;
    return true;
}

/* Whether the table has the name. */
static bool names_have(const struct json_names *names, struct slice name, uint32_t hash) {
    const struct json_names_table *table = names->tables;
    uint32_t mask = table_mask(table), rest = hash << table->bits;
    for (uint32_t at = table_home(table, hash); table->slots[at]; at = (at + 1) & mask) {
        size_t index = table->object + (table->slots[at] & mask) - 1;
        if ((table->slots[at] & ~mask) == rest && index < names->count &&
            slice_equal(names->list[index].name, name))
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
    bool has_table = names->tables && names->tables->object == object;
    if (!has_table && !names_begin_table(names, object))
        return JSON_NAMES_NO_MEMORY;
    uint32_t hash = name_hash(names, name);
    if (names_have(names, name, hash))
        return JSON_NAMES_TWICE;
    if (names->tables->used >= (size_t)1 << (names->tables->bits - 1) && !names_grow_table(names))
        return JSON_NAMES_NO_MEMORY;
    table_put(names->tables, hash, names->count);
    names->list[names->count++] = (struct json_name){name, mark, hash};
    return JSON_NAMES_NEW;
}

/* Lets the table of the object opened last go. */
static void names_end_table(struct json_names *names) {
    struct json_names_table *table = names->tables;
    names->tables = table->below;
    if (names->spare || table->bits > BITS_SPARE_MAX)
        memory_free(table);
    else
        names->spare = table;
}

void json_names_drop(struct json_names *names, size_t count) {
    /* What an object of few names is told next comes into no table. */
    while (names->tables && names->tables->object + JSON_NAMES_FEW > count)
        names_end_table(names);
    if (names->count > count)
        names->count = count;
}

void json_names_done(struct json_names *names) {
    while (names->tables)
        names_end_table(names);
    memory_free(names->spare);
    memory_free(names->list);
    *names = (struct json_names){.seed = names->seed};
}
