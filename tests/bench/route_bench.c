/* Route bench: how long it takes to find what a request asks for. The templates that match a path,
 * by their index and by a look at each; a request's route and a call's method in the project's own
 * API. By CPU time, median of rounds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/route_index.h"
#include "gateway/schema.h"
#include "sync_descriptor.h"

enum { ROUNDS = 9, TEMPLATES_MAX = 10000, ROUND_STEPS = 20000, LOOKS_MAX = 20000000 };
enum { ARENA_MAX = 256 << 20, TEXT_MAX = 80 };

/* Templates as of a large API: collections of things, each with a few methods. */
struct api {
    struct arena arena;
    struct route_template *templates;
    struct slice *paths; /* one that matches each */
    size_t count;
    struct route_index index;
};

static void fail(const char *what) {
    fprintf(stderr, "route_bench: %s\n", what);
    exit(1);
}

static struct slice text_of(struct arena *arena, const char *format, size_t number) {
    char *text = arena_alloc(arena, TEXT_MAX);
    if (!text)
        fail("no memory");
    return slice_of(text, (size_t)snprintf(text, TEXT_MAX, format, number / 5));
}

static void api_make(struct api *api, size_t count) {
    static const char *const templates[] = {
        "/v1/projects/{project}/collection%zu", "/v1/projects/{project}/collection%zu/{id}",
        "/v1/projects/{project}/collection%zu/{id}:undelete",
        "/v1/projects/{project}/collection%zu/{id}/parts/{part}",
        "/v1/projects/{project}/collection%zu/{id}/files/{path=**}"};
    static const char *const paths[] = {"/v1/projects/p-17/collection%zu",
                                        "/v1/projects/p-17/collection%zu/abc",
                                        "/v1/projects/p-17/collection%zu/abc:undelete",
                                        "/v1/projects/p-17/collection%zu/abc/parts/7",
                                        "/v1/projects/p-17/collection%zu/abc/files/a/b/c"};
    struct sync_error error;
    size_t segments = 0;
    arena_init(&api->arena, ARENA_MAX);
    api->count = count;
    api->templates = arena_zalloc(&api->arena, count, sizeof *api->templates);
    api->paths = arena_zalloc(&api->arena, count, sizeof *api->paths);
    if (!api->templates || !api->paths)
        fail("no memory");
    for (size_t i = 0; i < count; i++) {
        struct slice text = text_of(&api->arena, templates[i % 5], i);
        api->paths[i] = text_of(&api->arena, paths[i % 5], i);
        if (route_template_parse(text, &api->arena, &error, &api->templates[i]) != SYNC_OK)
            fail(error.message);
        segments += api->templates[i].segment_count;
    }
    if (!route_index_init(&api->index, &api->arena, count, segments))
        fail("no memory");
    for (size_t i = 0; i < count; i++)
        route_index_add(&api->index, &api->templates[i], (uint32_t)i);
}

/* Tells how many templates match one of the paths; there is one at least. */
static size_t look(const struct api *api, size_t step, bool by_index) {
    static uint32_t numbers[TEMPLATES_MAX];
    static struct arena arena = {.size_max = ARENA_MAX};
    struct sync_error error;
    struct route_path path;
    size_t matches = 0;
    arena_reset(&arena);
    if (route_path_parse(api->paths[step * 7919 % api->count], &arena, &error, &path) != SYNC_OK)
        fail("a path is malformed");
    if (!by_index) {
        for (size_t i = 0; i < api->count; i++)
            matches += route_template_matches(&api->templates[i], &path);
        return matches;
    }
    size_t found = route_index_find(&api->index, &path, numbers);
    for (size_t i = 0; i < found; i++)
        matches += route_template_matches(&api->templates[numbers[i]], &path);
    return matches;
}

static int order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nanoseconds of a look. */
static double bench_api(const struct api *api, bool by_index) {
    double rounds[ROUNDS];
    size_t steps = by_index ? ROUND_STEPS : LOOKS_MAX / api->count;
    steps = steps < ROUND_STEPS ? steps : ROUND_STEPS;
    for (int round = 0; round < ROUNDS; round++) {
        clock_t begin = clock();
        for (size_t i = 0; i < steps; i++) {
            if (look(api, i, by_index) == 0)
                fail("a template is not found");
        }
        rounds[round] = (double)(clock() - begin) / CLOCKS_PER_SEC * 1e9 / (double)steps;
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], order);
    return rounds[ROUNDS / 2];
}

/* The same of the methods of the project's own API, by their paths. */
static void bench_methods(const struct schema *schema) {
    double rounds[ROUNDS];
    size_t count = schema_method_count(schema);
    for (int round = 0; round < ROUNDS; round++) {
        clock_t begin = clock();
        for (size_t i = 0; i < 100 * ROUND_STEPS; i++) {
            const struct schema_method *method = schema_method_at(schema, i % count);
            if (schema_method_find(schema, method->path) != method)
                fail("a method is not found");
        }
        rounds[round] =
            (double)(clock() - begin) / CLOCKS_PER_SEC * 1e9 / (100.0 * (double)ROUND_STEPS);
    }
    qsort(rounds, ROUNDS, sizeof rounds[0], order);
    printf("method of a call, among %zu: %.0f ns\n", count, rounds[ROUNDS / 2]);
}

int main(void) {
    static const size_t counts[] = {10, 100, 1000, TEMPLATES_MAX};
    struct schema *schema;
    struct sync_error error;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        static struct api api;
        api_make(&api, counts[i]);
        printf("route of a request, among %5zu: %.0f ns by index, %.0f ns one after the other\n",
               counts[i], bench_api(&api, true), bench_api(&api, false));
        arena_done(&api.arena);
    }
    if (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema) != SYNC_OK)
        fail(error.message);
    bench_methods(schema);
    schema_close(schema);
    return 0;
}
