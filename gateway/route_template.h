/* Route template: one path template of google.api.http, taken apart and matched. For route*.c only.
 */
#ifndef GATEWAY_ROUTE_TEMPLATE_H
#define GATEWAY_ROUTE_TEMPLATE_H

#include "base/arena.h"
#include "gateway/transcode.h"

enum { ROUTE_SEGMENTS_MAX = 64, ROUTE_SEGMENT_ANY = 1, ROUTE_SEGMENT_REST = 2 };

/* One segment: text, '*' or '**'. */
struct route_segment {
    int kind; /* 0: text */
    struct slice text;
};

/* A variable: a field and the segments it takes. */
struct route_variable {
    struct slice field_path;
    size_t begin, end; /* of segments; with '**' the last is open */
};

struct route_template {
    struct slice text; /* as declared */
    struct slice verb; /* behind the last ':', or empty */
    struct route_segment *segments;
    size_t segment_count;
    struct route_variable *variables;
    size_t variable_count;
};

/* Parses a template; SYNC_ERR_INVALID with a sentence that names what is wrong. */
enum sync_status route_template_parse(struct slice text, struct arena *arena,
                                      struct sync_error *error, struct route_template *ret);

/* A request's path, cut at its slashes; each segment as sent and decoded. */
struct route_path {
    size_t count;
    struct slice raw[ROUTE_SEGMENTS_MAX];
    struct slice text[ROUTE_SEGMENTS_MAX]; /* decoded, but for %2F */
    size_t verb_at;                        /* size of the last segment before its last ':' */
    size_t raw_verb_at;
};

/* Cuts and decodes a path. SYNC_ERR_INVALID on bad percent-encoding or what is not UTF-8,
 * SYNC_ERR_NOT_FOUND where it has no leading slash or too many segments. */
enum sync_status route_path_parse(struct slice path, struct arena *arena, struct sync_error *error,
                                  struct route_path *ret_path);

/* Whether the template matches. */
bool route_template_matches(const struct route_template *part, const struct route_path *path);

/* The value of a variable of a template that matches: decoded wholly where it is one segment, by
 * `unescape` where it may be several. SYNC_ERR_NO_MEMORY; SYNC_ERR_INVALID where what is decoded is
 * not UTF-8. */
enum sync_status route_variable_value(const struct route_template *part,
                                      const struct route_variable *variable,
                                      const struct route_path *path, enum route_unescape unescape,
                                      struct arena *arena, struct slice *ret_value);

/* Orders templates by what is tried first: text before '*' before '**', verb before none. 0 when
 * both match the same paths. */
int route_template_compare(const struct route_template *a, const struct route_template *b);

/* Decodes what `unescape` says of %XX in `text` (and '+' as a space where `plus`). The answer is
 * `text` itself or lives in the arena. */
enum sync_status route_percent_decode(struct slice text, bool plus, enum route_unescape unescape,
                                      struct arena *arena, struct sync_error *error,
                                      struct slice *ret_text);

#endif
