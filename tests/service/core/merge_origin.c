#include "tests/service/core/merge_origin.h"

#include "service/core/document_read.h"

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Takes the next word of a text; false at its end. */
static bool word_next(struct slice *text, struct slice *ret_word) {
    size_t begin = 0, end;
    while (begin < text->size && is_space(text->data[begin]))
        begin++;
    for (end = begin; end < text->size && !is_space(text->data[end]); end++)
        ;
    *ret_word = slice_of(text->data + begin, end - begin);
    *text = slice_after(*text, end);
    return end > begin;
}

static bool has_word(struct slice text, struct slice word) {
    struct slice next;
    while (word_next(&text, &next))
        if (slice_equal(next, word))
            return true;
    return false;
}

bool merge_words_have_origin(struct slice merged, struct slice ours, struct slice theirs) {
    struct slice word;
    while (word_next(&merged, &word))
        if (!has_word(ours, word) && !has_word(theirs, word))
            return false;
    return true;
}

/* The value of a member; false: there is none. */
static bool member_find(const struct value *object, struct slice name, struct value *ret_value) {
    return object->kind == VALUE_OBJECT && document_find(object->object, name, ret_value);
}

/* The element of a list that has the same id as another, or else is equal to it. */
static bool element_find(const struct value *list, const struct value *like,
                         struct value *ret_element) {
    struct value id, element_id;
    size_t position = 0;
    bool has_id = member_find(like, SLICE("id"), &id);
    while (list->kind == VALUE_LIST && document_list_next(list->list, &position, ret_element)) {
        if (slice_equal(ret_element->bytes, like->bytes))
            return true;
        if (has_id && member_find(ret_element, SLICE("id"), &element_id) &&
            slice_equal(element_id.bytes, id.bytes))
            return true;
    }
    return false;
}

/* Either side may be NULL: it has no such value. */
static bool value_has_origin(const struct value *value, const struct value *ours,
                             const struct value *theirs) {
    struct member member;
    struct value element, one, other;
    size_t position = 0;
    if ((ours && slice_equal(value->bytes, ours->bytes)) ||
        (theirs && slice_equal(value->bytes, theirs->bytes)))
        return true;
    if (!ours || !theirs || ours->kind != value->kind || theirs->kind != value->kind)
        return false;
    if (value->kind == VALUE_STRING)
        return merge_words_have_origin(value->text, ours->text, theirs->text);
    while (value->kind == VALUE_OBJECT && document_next(value->object, &position, &member)) {
        bool in_ours = member_find(ours, member.name, &one);
        bool in_theirs = member_find(theirs, member.name, &other);
        if (!value_has_origin(&member.value, in_ours ? &one : NULL, in_theirs ? &other : NULL))
            return false;
    }
    while (value->kind == VALUE_LIST && document_list_next(value->list, &position, &element)) {
        bool in_ours = element_find(ours, &element, &one);
        bool in_theirs = element_find(theirs, &element, &other);
        if (!value_has_origin(&element, in_ours ? &one : NULL, in_theirs ? &other : NULL))
            return false;
    }
    return value->kind == VALUE_OBJECT || value->kind == VALUE_LIST;
}

bool merge_has_origin(struct slice merged, struct slice ours, struct slice theirs) {
    struct value values[3];
    const struct slice objects[3] = {merged, ours, theirs};
    for (int i = 0; i < 3; i++)
        values[i] = (struct value){.kind = VALUE_OBJECT, .object = objects[i], .bytes = objects[i]};
    return value_has_origin(&values[0], &values[1], &values[2]);
}
