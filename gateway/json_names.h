/* JSON names: which names the open objects hold, to refuse the same name twice.
 *
 * One table serves all objects that are open at a time: names leave it in the reverse order of
 * their coming, which restores the table exactly. */
#ifndef GATEWAY_JSON_NAMES_H
#define GATEWAY_JSON_NAMES_H

#include "base/bytes.h"

/* One name of an object that is still open. */
struct json_name {
    struct slice name;
    uint64_t hash;
    size_t object;
    uint32_t slot;
};

/* Zeroed to begin with, but for the seed. */
struct json_names {
    struct json_name *list; /* in order of coming */
    size_t count, capacity;
    uint32_t *slots; /* index in list + 1; 0 is free */
    uint32_t mask;
    size_t object; /* the object at hand, by where its names begin, counted up */
    uint64_t seed;
};

/* What adding a name led to. */
enum json_names_answer { JSON_NAMES_NEW, JSON_NAMES_TWICE, JSON_NAMES_NO_MEMORY };

/* Adds a name to the object numbered `object`. The bytes stay valid until they leave. */
enum json_names_answer json_names_add(struct json_names *names, size_t object, struct slice name);

/* A number for a new object. */
static inline size_t json_names_object(struct json_names *names) {
    return ++names->object;
}

/* Lets all names go but the first `count`. */
void json_names_keep(struct json_names *names, size_t count);

/* Releases the table. */
void json_names_done(struct json_names *names);

#endif
