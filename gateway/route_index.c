#include "gateway/route_index.h"

#include <assert.h>

enum { ROUTE_ROOT = 0, ROUTE_EDGES_MIN = 8 };

bool route_index_init(struct route_index *index, struct arena *arena, size_t template_count,
                      size_t segment_count) {
    size_t edges = ROUTE_EDGES_MIN;
    while (edges < 2 * segment_count)
        edges *= 2;
    *index = (struct route_index){
        .edges = arena_zalloc(arena, edges, sizeof *index->edges),
        .mask = edges - 1,
        .nodes = arena_zalloc(arena, segment_count + 1, sizeof *index->nodes),
        .node_count = 1,
        .next = arena_zalloc(arena, template_count + 1, sizeof *index->next),
    };
    return index->edges && index->nodes && index->next;
}

/* The slot of an edge, or the free one where it would be. */
static struct route_edge *edge_slot(const struct route_index *index, uint32_t from,
                                    struct slice text) {
    assert(index->edges);
    size_t at = slice_hash(text, from) & index->mask;
    while (index->edges[at].to != 0 &&
           (index->edges[at].from != from || !slice_equal(index->edges[at].text, text)))
        at = (at + 1) & index->mask;
    return &index->edges[at];
}

/* The node behind a segment, made where there is none yet. */
static uint32_t node_behind(struct route_index *index, uint32_t from,
                            const struct route_segment *segment) {
    if (segment->kind == ROUTE_SEGMENT_ANY) {
        if (index->nodes[from].any == 0)
            index->nodes[from].any = index->node_count++;
        return index->nodes[from].any;
    }
    struct route_edge *edge = edge_slot(index, from, segment->text);
    if (edge->to == 0)
        *edge = (struct route_edge){from, index->node_count++, segment->text};
    return edge->to;
}

void route_index_add(struct route_index *index, const struct route_template *part,
                     uint32_t number) {
    assert(index->nodes && index->next);
    uint32_t node = ROUTE_ROOT, *place = NULL;
    for (size_t i = 0; i < part->segment_count && !place; i++) {
        if (part->segments[i].kind == ROUTE_SEGMENT_REST)
            place = &index->nodes[node].rests; /* it is the last */
        else
            node = node_behind(index, node, &part->segments[i]);
    }
    if (!place)
        place = &index->nodes[node].ends;
    index->next[number + 1] = *place;
    *place = number + 1;
}

/* A search: where it is, and what it has found. */
struct route_search {
    const struct route_index *index;
    const struct route_path *path;
    uint32_t *numbers;
    size_t count;
};

static void search_take(struct route_search *search, uint32_t first) {
    for (uint32_t at = first; at != 0; at = search->index->next[at])
        search->numbers[search->count++] = at - 1;
}

/* Looks at a node behind so many segments of the path. As deep as the path has segments. */
static void search_node(struct route_search *search, uint32_t at, size_t depth) {
    const struct route_node *node = &search->index->nodes[at];
    const struct route_path *path = search->path;
    search_take(search, node->rests);
    if (depth == path->count) {
        search_take(search, node->ends);
        return;
    }
    struct slice text = path->text[depth];
    uint32_t to = edge_slot(search->index, at, text)->to;
    if (to != 0)
        search_node(search, to, depth + 1);
    /* The last segment may end in a verb. */
    if (depth + 1 == path->count && path->verb_at <= text.size) {
        to = edge_slot(search->index, at, slice_first(text, path->verb_at))->to;
        if (to != 0)
            search_node(search, to, depth + 1);
    }
    if (node->any != 0)
        search_node(search, node->any, depth + 1);
}

size_t route_index_find(const struct route_index *index, const struct route_path *path,
                        uint32_t *ret_numbers) {
    struct route_search search = {.index = index, .path = path, .numbers = ret_numbers};
    search_node(&search, ROUTE_ROOT, 0);
    return search.count;
}
