/* Document paths: what a document holds at a path, for oracles and counts. */
#ifndef TESTS_SIMULATION_DOCUMENT_PATH_H
#define TESTS_SIMULATION_DOCUMENT_PATH_H

#include "service/core/document.h"

enum { DOCUMENT_PATH_MAX = 8 };

/* A place in a document, in the caller's memory. */
struct document_path {
    struct slice names[DOCUMENT_PATH_MAX];
    size_t depth;
};

/* The bytes of the value at the first `depth` names of a path; empty: there is none. */
static inline struct slice document_value_at(struct slice document,
                                             const struct document_path *path, size_t depth) {
    struct value value = {.kind = VALUE_OBJECT, .object = document};
    for (size_t i = 0; i < depth; i++)
        if (value.kind != VALUE_OBJECT || !document_find(value.object, path->names[i], &value))
            return SLICE_EMPTY;
    return value.bytes;
}

/* Whether a value differs between two documents, or something that it lies in came or went. */
static inline bool document_differs_at(struct slice a, struct slice b,
                                       const struct document_path *path) {
    for (size_t depth = 1; depth < path->depth; depth++)
        if ((document_value_at(a, path, depth).size > 0) !=
            (document_value_at(b, path, depth).size > 0))
            return true;
    return !slice_equal(document_value_at(a, path, path->depth),
                        document_value_at(b, path, path->depth));
}

#endif
