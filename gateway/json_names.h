/* JSON names: which names the open objects hold, to refuse the same name twice.
 *
 * Names come to the object opened last, and leave in the reverse order of their coming. An object
 * of few names is looked through; a larger one has a table of its own, which goes with it. A slot
 * of it is of 32 bits, a part of them of the name's hash, so that a table of millions stays small
 * and names that are not the same are told apart without being looked at. */
#ifndef GATEWAY_JSON_NAMES_H
#define GATEWAY_JSON_NAMES_H

#include "base/bytes.h"

/* One name of an object that is still open. */
struct json_name {
    struct slice name;
    uint64_t mark; /* of its length and ends: names of other marks differ */
    uint32_t hash; /* where it is in a table */
};

/* Up to how many names an object is looked through. */
enum { JSON_NAMES_FEW = 12 };

struct json_names_table;

/* Zeroed to begin with, but for the seed. */
struct json_names {
    struct json_name *list; /* in order of coming */
    size_t count, capacity;
    struct json_names_table *tables; /* of open objects of many names, the one opened last first */
    struct json_names_table *spare;  /* a small one, for the next */
    uint64_t seed;
};

/* What adding a name led to. */
enum json_names_answer { JSON_NAMES_NEW, JSON_NAMES_TWICE, JSON_NAMES_NO_MEMORY };

/* A number for a new object: where its names will begin. */
static inline size_t json_names_object(const struct json_names *names) {
    return names->count;
}

/* json_names_add where the list is full or the object has many names. */
enum json_names_answer json_names_add_many(struct json_names *names, size_t object,
                                           struct slice name, uint64_t mark);

/* What most names differ in: eight bytes, or from both ends eight. */
static inline uint64_t json_name_mark(struct slice name) {
    uint64_t head = 0, tail = 0;
    if (name.size >= 8) {
        memcpy(&head, name.data, 8);
        memcpy(&tail, name.data + name.size - 8, 8);
    } else if (name.size >= 4) {
        uint32_t first, last;
        memcpy(&first, name.data, 4);
        memcpy(&last, name.data + name.size - 4, 4);
        head = first;
        tail = last;
    } else if (name.size > 0) {
        head = (uint64_t)name.data[0] << 16 | (uint64_t)name.data[name.size / 2] << 8 |
               name.data[name.size - 1];
    }
    return (head ^ (tail << 21 | tail >> 43)) + name.size * 0x9e3779b97f4a7c15u;
}

/* Adds a name to the object opened last. The bytes stay valid until they leave. */
static inline enum json_names_answer json_names_add(struct json_names *names, size_t object,
                                                    struct slice name) {
    uint64_t mark = json_name_mark(name);
    if (names->count == names->capacity || names->count - object >= JSON_NAMES_FEW)
        return json_names_add_many(names, object, name, mark);
    for (size_t i = object; i < names->count; i++)
        if (names->list[i].mark == mark && slice_equal(names->list[i].name, name))
            return JSON_NAMES_TWICE;
    names->list[names->count++] = (struct json_name){name, mark, 0};
    return JSON_NAMES_NEW;
}

/* json_names_keep where there are tables. */
void json_names_drop(struct json_names *names, size_t count);

/* Lets all names go but the first `count`. */
static inline void json_names_keep(struct json_names *names, size_t count) {
    if (names->tables)
        json_names_drop(names, count);
    else if (names->count > count)
        names->count = count;
}

/* Releases what the names take. */
void json_names_done(struct json_names *names);

#endif
