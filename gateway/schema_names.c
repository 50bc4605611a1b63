/* Names and comments: what a schema derives from a descriptor's words. */
#include <ctype.h>

#include "gateway/schema_build.h"

struct slice schema_json_name(struct schema_build *build, struct slice name) {
    uint8_t *text = schema_build_alloc(build, name.size, 1);
    if (!text)
        return SLICE_EMPTY;
    size_t size = 0;
    bool raise = false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '_') {
            raise = true;
            continue;
        }
        text[size++] = raise ? (uint8_t)toupper(name.data[i]) : name.data[i];
        raise = false;
    }
    return slice_of(text, size);
}

struct slice schema_short_name(struct schema_build *build, struct slice enum_name,
                               struct slice value_name) {
    /* SyncType's prefix is SYNC_TYPE_: compared letter by letter, underscores skipped. */
    size_t at = 0;
    for (size_t i = 0; i < enum_name.size; i++) {
        while (at < value_name.size && value_name.data[at] == '_' && enum_name.data[i] != '_')
            at++;
        if (at == value_name.size || value_name.data[at] != toupper(enum_name.data[i]))
            return SLICE_EMPTY;
        at++;
    }
    if (at + 1 >= value_name.size || value_name.data[at] != '_')
        return SLICE_EMPTY;
    struct slice rest = slice_after(value_name, at + 1);
    uint8_t *text = schema_build_alloc(build, rest.size, 1);
    if (!text)
        return SLICE_EMPTY;
    for (size_t i = 0; i < rest.size; i++)
        text[i] = rest.data[i] == '_' ? '-' : (uint8_t)tolower(rest.data[i]);
    return slice_of(text, rest.size);
}

/* Adds a location's leading comment, if it has one. */
static bool comment_add(struct schema_build *build, struct slice location) {
    enum { PATH = 1, LEADING = 3 };
    struct wire_reader reader = wire_reader_of(location);
    struct wire_field part;
    struct slice path = SLICE_EMPTY, text = SLICE_EMPTY;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == PATH)
            path = part.bytes;
        else if (part.number == LEADING)
            text = part.bytes;
    }
    if (text.size == 0)
        return !build->status;
    struct slice *kept = schema_build_alloc(build, 1, sizeof *kept);
    if (!kept)
        return false;
    *kept = text;
    schema_names_add(&build->comments, path, kept);
    return !build->status;
}

bool schema_comments_read(struct schema_build *build, struct slice file) {
    enum { SOURCE_INFO = 9, LOCATION = 1 };
    struct wire_reader reader = wire_reader_of(file), locations;
    struct wire_field part, location;
    build->comments = (struct schema_names){0};
    while (schema_build_next(build, &reader, &part)) {
        if (part.number != SOURCE_INFO || part.type != WIRE_LEN)
            continue;
        size_t count = schema_build_count(build, part.bytes, LOCATION);
        if (!schema_names_init(&build->schema->arena, &build->comments, count))
            return schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
        for (locations = wire_reader_of(part.bytes);
             schema_build_next(build, &locations, &location);)
            if (location.number == LOCATION && !comment_add(build, location.bytes))
                return false;
        break;
    }
    return !build->status;
}

static bool byte_is_space(uint8_t byte) {
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

struct slice schema_comment_at(const struct schema_build *build, const struct schema_place *place) {
    const struct slice *found =
        schema_names_find(&build->comments, slice_of(place->bytes, place->size));
    if (!found)
        return SLICE_EMPTY;
    struct slice text = *found;
    while (text.size > 0 && byte_is_space(text.data[0]))
        text = slice_after(text, 1);
    while (text.size > 0 && byte_is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}
