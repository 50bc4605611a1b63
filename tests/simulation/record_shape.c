#include "tests/simulation/record_shape.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/service/core/json_document.h"

enum { FIELDS_MAX = 32, TEXT_BYTES_MAX = 16 << 10, EDITS_MAX = 3, PATH_DEPTH_MAX = 4 };

static const char *const WORDS[] = {
    "Rome",   "window", "late",  "Zürich", "quiet", "train",  "board", "harbour", "lunch", "vegan",
    "family", "two",    "early", "Köln",   "bags",  "ticket", "north", "museum",  "rain",  "Lyon",
};
enum { WORD_COUNT = sizeof WORDS / sizeof *WORDS };

static const char *word(struct sim_random *random) {
    return WORDS[sim_pick(random, WORD_COUNT)];
}

/* ---- Values */

static void append_words(struct sim_random *random, uint32_t count, struct buffer *out) {
    buffer_append_byte(out, '"');
    for (uint32_t i = 0; i < count; i++)
        buffer_append_format(out, "%s%s", i > 0 ? " " : "", word(random));
    buffer_append_byte(out, '"');
}

static void append_code(struct sim_random *random, struct buffer *out) {
    buffer_append_format(out, "\"%c%u\"", (char)('A' + sim_pick(random, 6)), sim_pick(random, 40));
}

/* Elements of few ids, in one order or the other. */
static void append_list(struct sim_random *random, bool is_objects, struct buffer *out) {
    static const char *const MAKERS[] = {"[", ","};
    uint32_t from = sim_pick(random, 3), to = from + 1 + sim_pick(random, 4);
    for (uint32_t i = from; i < to; i++) {
        uint32_t id = (to - from) % 2 ? i : from + to - 1 - i;
        if (is_objects)
            buffer_append_format(out, "%s{\"id\":\"i%u\",\"state\":\"%s\",\"order\":%u}",
                                 MAKERS[i > from], id, word(random), sim_pick(random, 9));
        else
            buffer_append_format(out, "%s\"%s\"", MAKERS[i > from], WORDS[i]);
    }
    buffer_append_byte(out, ']');
}

static void append_value(struct sim_random *random, enum field_kind kind, struct buffer *out) {
    static const char *const STATES[] = {"Confirmed", "Cancelled", "Pending", "Hold"};
    switch (kind) {
    case FIELD_CODE:
        append_code(random, out);
        break;
    case FIELD_NAME:
        append_words(random, 1 + sim_pick(random, 2), out);
        break;
    case FIELD_TEXT:
        append_words(random, 3 + sim_pick(random, 12), out);
        break;
    case FIELD_TIME:
        buffer_append_format(out, "\"2026-%02u-%02uT%02u:%02u:00+02:00\"", 1 + sim_pick(random, 12),
                             1 + sim_pick(random, 28), sim_pick(random, 24),
                             5 * sim_pick(random, 12));
        break;
    case FIELD_NUMBER:
        buffer_append_format(out, "%u", sim_pick(random, 500));
        break;
    case FIELD_PRICE:
        buffer_append_format(out, "%u.%02u", sim_pick(random, 900), 1 + sim_pick(random, 98));
        break;
    case FIELD_BOOL:
        buffer_append_format(out, "%s", sim_once_in(random, 2) ? "true" : "false");
        break;
    case FIELD_STATUS:
        buffer_append_format(out, "\"http://schema.org/Reservation%s\"",
                             STATES[sim_pick(random, 4)]);
        break;
    case FIELD_TOKEN:
        append_words(random, 20 + sim_pick(random, 10), out);
        break;
    case FIELD_TAGS:
    case FIELD_ITEMS:
        append_list(random, kind == FIELD_ITEMS, out);
        break;
    }
}

/* ---- Objects */

/* An object's text on the way: which members are open. */
struct nesting {
    struct buffer *out;
    struct slice open[PATH_DEPTH_MAX];
    size_t depth;
    bool is_first; /* in the object that is open */
};

static void nesting_close(struct nesting *nesting, size_t depth) {
    for (; nesting->depth > depth; nesting->depth--) {
        buffer_append_byte(nesting->out, '}');
        nesting->is_first = false;
    }
}

static void nesting_name(struct nesting *nesting, struct slice name) {
    buffer_append_format(nesting->out, "%s\"%.*s\":", nesting->is_first ? "" : ",", (int)name.size,
                         (const char *)name.data);
    nesting->is_first = false;
}

/* Goes to where a field's value is written, closing and opening objects on the way. */
static void nesting_go(struct nesting *nesting, const char *path) {
    size_t depth = 0;
    for (const char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1, depth++) {
        struct slice name = slice_of(path, (size_t)(dot - path));
        if (depth < nesting->depth && slice_equal(nesting->open[depth], name))
            continue;
        nesting_close(nesting, depth);
        nesting_name(nesting, name);
        buffer_append_byte(nesting->out, '{');
        nesting->is_first = true;
        nesting->open[nesting->depth++] = name;
    }
    nesting_close(nesting, depth);
    nesting_name(nesting, slice_text(path));
}

static struct slice nesting_end(struct nesting *nesting, struct arena *arena) {
    nesting_close(nesting, 0);
    buffer_append_byte(nesting->out, '}');
    char *text = arena_copy_text(arena, buffer_slice(nesting->out));
    buffer_done(nesting->out);
    if (!text)
        abort();
    return json_document(text, arena);
}

/* ---- Records */

const struct record_shape *record_shape_pick(struct sim_random *random, enum data_type type) {
    uint32_t at = sim_pick(random, 100);
    const struct record_shape *last = NULL;
    for (size_t i = 0; i < record_shape_count; i++) {
        const struct record_shape *shape = &record_shapes[i];
        if (shape->type != type)
            continue;
        if (at < shape->percent)
            return shape;
        at -= shape->percent;
        last = shape;
    }
    return last;
}

struct slice record_shape_document(const struct record_shape *shape, struct sim_random *random,
                                   uint32_t percent, struct arena *arena) {
    struct buffer out;
    buffer_init(&out, TEXT_BYTES_MAX);
    struct nesting nesting = {.out = &out};
    buffer_append_format(&out, "{\"@type\":\"%s\"", shape->name);
    for (size_t i = 0; i < shape->field_count; i++) {
        if (sim_pick(random, 10000) >= shape->fields[i].percent * percent)
            continue;
        nesting_go(&nesting, shape->fields[i].path);
        append_value(random, shape->fields[i].kind, &out);
    }
    return nesting_end(&nesting, arena);
}

static uint32_t rank_of(const struct record_field *field, enum record_editor editor) {
    return editor == EDITOR_TRAVELLER ? field->traveller : field->service;
}

/* Chooses a field by Zipf's law over its rank. */
static size_t field_pick(const struct record_shape *shape, struct sim_random *random,
                         enum record_editor editor) {
    uint32_t edited = 0;
    for (size_t i = 0; i < shape->field_count; i++)
        edited += rank_of(&shape->fields[i], editor) > 0;
    uint32_t rank = 1 + sim_pick_zipf(random, edited);
    for (size_t i = 0; i < shape->field_count; i++)
        if (rank_of(&shape->fields[i], editor) == rank)
            return i;
    abort(); /* the ranks of a shape have a gap */
}

struct slice record_shape_patch(const struct record_shape *shape, struct sim_random *random,
                                enum record_editor editor, struct arena *arena) {
    bool chosen[FIELDS_MAX] = {false};
    struct buffer out;
    if (shape->field_count > FIELDS_MAX)
        abort();
    for (uint32_t i = 0, count = 1 + sim_pick_zipf(random, EDITS_MAX); i < count; i++)
        chosen[field_pick(shape, random, editor)] = true;
    buffer_init(&out, TEXT_BYTES_MAX);
    struct nesting nesting = {.out = &out, .is_first = true};
    buffer_append_byte(&out, '{');
    for (size_t i = 0; i < shape->field_count; i++) {
        if (!chosen[i])
            continue;
        nesting_go(&nesting, shape->fields[i].path);
        if (sim_once_in(random, 12))
            buffer_append(&out, SLICE("null"));
        else
            append_value(random, shape->fields[i].kind, &out);
    }
    return nesting_end(&nesting, arena);
}
