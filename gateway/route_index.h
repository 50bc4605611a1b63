/* Route index: which templates may match a path, without a look at each. A tree of segments, whose
 * texts are found by hash: as many steps as the path has segments, and one more for each '*' on the
 * way. For route*.c only. */
#ifndef GATEWAY_ROUTE_INDEX_H
#define GATEWAY_ROUTE_INDEX_H

#include "gateway/route_template.h"

/* A text segment behind a node. */
struct route_edge {
    uint32_t from, to; /* nodes; `to` 0: a free slot, since nothing leads to the root */
    struct slice text;
};

/* What follows the segments that lead here; 0: none. Templates are counted from 1. */
struct route_node {
    uint32_t any;   /* the node behind '*' */
    uint32_t ends;  /* the first template that ends here */
    uint32_t rests; /* the first that ends with '**' here */
};

/* In the caller's memory, its parts in an arena; fields are the index's own. */
struct route_index {
    struct route_edge *edges;
    size_t mask;
    struct route_node *nodes;
    uint32_t node_count;
    uint32_t *next; /* by template: the one that ends at the same node */
};

/* Prepares an empty index for so many templates with so many segments in all. False without
 * memory. */
bool route_index_init(struct route_index *index, struct arena *arena, size_t template_count,
                      size_t segment_count);

/* Adds a template by its number, which is less than the count. */
void route_index_add(struct route_index *index, const struct route_template *part, uint32_t number);

/* Finds the numbers of all templates that match, and of some that do not, in no order; there is
 * room for as many as there are. How many they are. */
size_t route_index_find(const struct route_index *index, const struct route_path *path,
                        uint32_t *ret_numbers);

#endif
