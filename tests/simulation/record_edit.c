/* Edits of the lists of objects that a record holds. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/service/core/json_document.h"
#include "tests/simulation/record_shape.h"

enum { TEXT_BYTES_MAX = 16 << 10, IDS = 12 };

/* The list's text on the way. */
struct editing {
    struct sim_random *random;
    struct buffer out;
    bool is_first;
};

static void element_begin(struct editing *editing) {
    if (!editing->is_first)
        buffer_append_byte(&editing->out, ',');
    editing->is_first = false;
}

/* Writes an element: as it is, with one of its members changed, or not at all. */
static void element_edit(struct editing *editing, const struct value *element) {
    static const char *const STATES[] = {"new", "kept", "late", "paid", "gone"};
    uint32_t choice = sim_pick(editing->random, 8);
    struct member member;
    size_t position = 0;
    bool is_first = true;
    if (choice == 0 || element->kind != VALUE_OBJECT)
        return;
    element_begin(editing);
    buffer_append_byte(&editing->out, '{');
    while (document_next(element->object, &position, &member)) {
        buffer_append_format(&editing->out, "%s\"%.*s\":", is_first ? "" : ",",
                             (int)member.name.size, (const char *)member.name.data);
        is_first = false;
        if (choice == 1 && slice_equal(member.name, SLICE("order")))
            buffer_append_format(&editing->out, "%u", sim_pick(editing->random, 9));
        else if (choice == 2 && slice_equal(member.name, SLICE("state")))
            buffer_append_format(&editing->out, "\"%s\"", STATES[sim_pick(editing->random, 5)]);
        else
            value_append_json(&member.value, &editing->out);
    }
    buffer_append_byte(&editing->out, '}');
}

/* Adds an element, unless its id is taken. */
static void element_add(struct editing *editing) {
    char id[8];
    snprintf(id, sizeof id, "\"i%u\"", sim_pick(editing->random, IDS));
    if (memmem(editing->out.data, editing->out.size, id, strlen(id)))
        return;
    element_begin(editing);
    buffer_append_format(&editing->out, "{\"id\":%s,\"state\":\"new\",\"order\":%u}", id,
                         sim_pick(editing->random, 9));
}

/* The first list of objects that the document has; NULL: there is none. */
static const struct record_field *items_find(const struct record_shape *shape,
                                             struct slice document, struct value *ret_list) {
    for (size_t i = 0; i < shape->field_count; i++)
        if (shape->fields[i].kind == FIELD_ITEMS &&
            document_find(document, slice_text(shape->fields[i].path), ret_list) &&
            ret_list->kind == VALUE_LIST)
            return &shape->fields[i];
    return NULL;
}

struct slice record_shape_edit(const struct record_shape *shape, struct sim_random *random,
                               enum record_editor editor, struct slice document,
                               struct arena *arena) {
    struct value list, element;
    const struct record_field *field = items_find(shape, document, &list);
    size_t position = 0;
    if (!sim_once_in(random, 3) || !field)
        return record_shape_patch(shape, random, editor, arena);
    struct editing editing = {.random = random, .is_first = true};
    buffer_init(&editing.out, TEXT_BYTES_MAX);
    buffer_append_format(&editing.out, "{\"%s\":[", field->path);
    while (document_list_next(list.list, &position, &element))
        element_edit(&editing, &element);
    if (sim_once_in(random, 3))
        element_add(&editing);
    buffer_append(&editing.out, SLICE("]}"));
    char *text = arena_copy_text(arena, buffer_slice(&editing.out));
    buffer_done(&editing.out);
    if (!text)
        abort();
    return json_document(text, arena);
}
