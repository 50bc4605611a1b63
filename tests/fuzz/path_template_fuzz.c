/* Any text as a path template, a path and a query: no crash, and values stay within bounds. Lines
 * part the three. */
#include <assert.h>
#include <stdlib.h>

#include "gateway/route_template.h"
#include "sync_descriptor.h"

enum { BYTES_MAX = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema *schema;
static struct route_table *table;

/* The text up to the next line break, which is consumed. */
static struct slice take_line(struct slice *text) {
    const uint8_t *end = text->size > 0 ? memchr(text->data, '\n', text->size) : NULL;
    struct slice line = slice_first(*text, end ? (size_t)(end - text->data) : text->size);
    *text = slice_after(*text, line.size + (end != NULL));
    return line;
}

static void try_template(struct slice text, struct slice address, struct arena *arena) {
    struct route_template made;
    struct route_path path;
    struct slice value;
    struct sync_error error;
    if (route_template_parse(text, arena, &error, &made) ||
        route_path_parse(address, arena, &error, &path) || !route_template_matches(&made, &path))
        return;
    for (size_t i = 0; i < made.variable_count; i++)
        if (route_variable_value(&made, &made.variables[i], &path, ROUTE_UNESCAPE_ALL, arena,
                                 &value) == SYNC_OK)
            assert(value.size <= address.size + 1);
}

static void try_request(struct slice address, struct slice query, struct arena *arena) {
    static const char *const VERBS[] = {"GET", "POST", "PATCH", "DELETE"};
    struct transcode_options options = {.check_required = true};
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++) {
        struct transcode_request request = {
            .verb = slice_text(VERBS[i]), .path = address, .query = query, .body = SLICE("{}")};
        struct route route;
        struct slice allowed;
        struct sync_error error = {0};
        struct buffer out;
        if (route_match(table, &request, arena, &route, &allowed, &error))
            continue;
        buffer_init(&out, BYTES_MAX);
        if (transcode_request_to_wire(schema, &route, &request, &options, &out, &error))
            assert(error.message[0]);
        buffer_done(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error = {0};
    if (!table && (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema) ||
                   route_table_open(schema, ROUTE_UNESCAPE_EXCEPT_SLASH, &error, &table)))
        abort();
    struct slice text = slice_of(data, size);
    struct slice made = take_line(&text), address = take_line(&text), query = take_line(&text);
    struct arena arena;
    arena_init(&arena, BYTES_MAX);
    try_template(made, address, &arena);
    try_request(address, query, &arena);
    arena_done(&arena);
    return 0;
}
