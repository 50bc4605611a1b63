/* Record paths: the names that lead to a field of a document. An element of an array whose elements
 * have ids is named by its id, so that it keeps its path when others come and go. Internal to core.
 * Pure. */
#ifndef SERVICE_CORE_RECORD_PATH_H
#define SERVICE_CORE_RECORD_PATH_H

#include "base/arena.h"
#include "service/core/delta.h"
#include "service/core/keyed_list.h"

/* A segment is a member's name, or begins with one of these, which no UTF-8 has. */
enum {
    PATH_ORDER = 0xfe,   /* all of it: in which order an array's elements are */
    PATH_ELEMENT = 0xff, /* then the google.protobuf.Value of an element's id */
};

/* Borrowed. */
struct record_path {
    const struct slice *segments;
    size_t size;
};

/* The kind of a segment. */
static inline bool path_segment_is_element(struct slice segment) {
    return segment.size > 0 && segment.data[0] == PATH_ELEMENT;
}
static inline bool path_segment_is_order(struct slice segment) {
    return segment.size > 0 && segment.data[0] == PATH_ORDER;
}

/* The order of segments: members by name (RFC 8785), then an array's order, then its elements. */
int path_segment_compare(struct slice a, struct slice b);

/* How a path lies to another: <0 before it, or around it; 0 at it or in it; >0 behind it. */
int record_path_compare(struct record_path path, struct record_path other);

/* Whether a path leads to where the other does, or into it. */
static inline bool record_path_is_in(struct record_path path, struct record_path other) {
    return path.size >= other.size && record_path_compare(path, other) == 0;
}

/* The part of a path that names members alone: up to the outermost array. */
struct record_path record_path_of_members(struct record_path path);

/* Whether elements of the list can be named one by one: all have ids, no two the same, all texts or
 * all integers. */
bool path_names_elements(const struct keyed_list *list);

/* The segment of an element with this key (keyed_list.h); empty when there is no memory. */
struct slice path_element_segment(struct slice key, struct arena *arena);

/* The key in an element's segment. */
static inline struct slice path_element_key(struct slice segment) {
    return slice_after(segment, 1);
}

/* Looks into a document by paths, and remembers the arrays that it went through. */
struct path_finder {
    struct slice document;
    struct arena *arena;
    struct keyed_list lists[DELTA_PATH_MAX];
    const uint8_t *seen[DELTA_PATH_MAX]; /* where the list at that depth lies; NULL: none yet */
};

/* Prepares a finder in the caller's memory; it borrows the document and lives as long as the
 * arena. */
void path_finder_init(struct path_finder *finder, struct slice document, struct arena *arena);

/* Finds the value at a path, or the array whose order it ends with; `ret_found` is false when there
 * is none. `ret_list` is the array in which the path ends, NULL if in none. SYNC_ERR_NO_MEMORY,
 * SYNC_ERR_CORRUPT. */
enum sync_status path_finder_find(struct path_finder *finder, struct record_path path,
                                  struct value *ret_value, const struct keyed_list **ret_list,
                                  bool *ret_found);

#endif
