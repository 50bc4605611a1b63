#include "tests/service/core/list_merge.h"

#include "service/core/document_read.h"

/* The elements of a list; empty when it is none. */
static struct slice elements_of(struct slice list) {
    struct value value;
    return list.size > 0 && value_read(list, &value) && value.kind == VALUE_LIST ? value.list
                                                                                 : SLICE_EMPTY;
}

static bool is_list(struct slice bytes) {
    struct value value;
    return bytes.size > 0 && value_read(bytes, &value) && value.kind == VALUE_LIST;
}

/* The bytes of an element's id; empty: it has none. */
static struct slice id_of(const struct value *element) {
    struct value id;
    if (element->kind != VALUE_OBJECT || !document_find(element->object, SLICE("id"), &id) ||
        (id.kind != VALUE_STRING && id.kind != VALUE_NUMBER))
        return SLICE_EMPTY;
    return id.bytes;
}

/* The element with an id; empty: there is none. */
static struct slice find_id(struct slice list, struct slice id) {
    struct slice elements = elements_of(list);
    struct value element;
    size_t position = 0;
    while (document_list_next(elements, &position, &element))
        if (slice_equal(id_of(&element), id))
            return element.bytes;
    return SLICE_EMPTY;
}

static bool has_element(struct slice list, struct slice bytes) {
    struct slice elements = elements_of(list);
    struct value element;
    size_t position = 0;
    while (document_list_next(elements, &position, &element))
        if (slice_equal(element.bytes, bytes))
            return true;
    return false;
}

/* Whether each element has an id of its own. */
static bool has_ids(struct slice list) {
    struct slice elements = elements_of(list);
    struct value element;
    size_t position = 0;
    while (document_list_next(elements, &position, &element)) {
        struct slice id = id_of(&element);
        if (id.size == 0 || find_id(list, id).data != element.bytes.data)
            return false;
    }
    return true;
}

bool list_merge_are_lists(const struct list_merge *merge) {
    return is_list(merge->ours) && is_list(merge->theirs);
}

bool list_merge_is_keyed(const struct list_merge *merge) {
    return list_merge_are_lists(merge) && has_ids(merge->base) && has_ids(merge->ours) &&
           has_ids(merge->theirs);
}

/* A member of an element's bytes; empty: there is none. */
static struct slice member_at(struct slice element, struct slice name) {
    struct value value, member;
    bool found = element.size > 0 && value_read(element, &value) && value.kind == VALUE_OBJECT &&
                 document_find(value.object, name, &member);
    return found ? member.bytes : SLICE_EMPTY;
}

static bool is_disputed(struct slice base, struct slice ours, struct slice theirs) {
    return !slice_equal(ours, theirs) && !slice_equal(base, ours) && !slice_equal(base, theirs);
}

/* The same of an element that both sides changed: its members merge by themselves. */
static const char *members_fault(struct slice base, struct slice ours, struct slice theirs,
                                 struct slice merged, bool *ret_is_disputed) {
    const struct slice sides[] = {base, ours, theirs, merged};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct value element;
        struct member member;
        size_t position = 0;
        if (sides[i].size == 0 || !value_read(sides[i], &element))
            continue;
        while (document_next(element.object, &position, &member)) {
            struct slice in_base = member_at(base, member.name);
            struct slice in_ours = member_at(ours, member.name);
            struct slice in_theirs = member_at(theirs, member.name);
            struct slice in_merged = member_at(merged, member.name);
            *ret_is_disputed |= is_disputed(in_base, in_ours, in_theirs);
            if (!slice_equal(in_merged, in_ours) && !slice_equal(in_merged, in_theirs))
                return "an element has a member that neither side gave";
        }
    }
    return NULL;
}

static const char *element_fault(struct slice base, struct slice ours, struct slice theirs,
                                 struct slice merged, bool *ret_is_disputed) {
    if (slice_equal(ours, theirs) || slice_equal(base, theirs))
        return slice_equal(merged, ours) ? NULL : "an element is not as one side made it";
    if (slice_equal(base, ours))
        return slice_equal(merged, theirs) ? NULL : "an element is not as one side made it";
    if (ours.size > 0 && theirs.size > 0 && merged.size > 0)
        return members_fault(base, ours, theirs, merged, ret_is_disputed);
    *ret_is_disputed = true;
    return slice_equal(merged, ours) || slice_equal(merged, theirs)
               ? NULL
               : "an element is as neither side has it";
}

const char *list_merge_keyed_fault(const struct list_merge *merge, bool *ret_is_disputed) {
    const struct slice lists[] = {merge->base, merge->ours, merge->theirs, merge->merged};
    const char *fault = has_ids(merge->merged) ? NULL : "an element is there twice";
    *ret_is_disputed = false;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct slice elements = elements_of(lists[i]);
        struct value element;
        size_t position = 0;
        while (!fault && document_list_next(elements, &position, &element)) {
            struct slice id = id_of(&element);
            fault = element_fault(find_id(merge->base, id), find_id(merge->ours, id),
                                  find_id(merge->theirs, id), find_id(merge->merged, id),
                                  ret_is_disputed);
        }
    }
    return fault;
}

/* Whether an element is as one side changed it. */
static bool element_has(struct slice base, struct slice theirs, struct slice merged) {
    const struct slice sides[] = {base, theirs};
    if (slice_equal(base, theirs))
        return true;
    if (base.size == 0 || theirs.size == 0 || merged.size == 0)
        return slice_equal(theirs, merged);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        struct value element;
        struct member member;
        size_t position = 0;
        if (!value_read(sides[i], &element))
            return false;
        while (document_next(element.object, &position, &member)) {
            struct slice wanted = member_at(theirs, member.name);
            if (!slice_equal(member_at(base, member.name), wanted) &&
                !slice_equal(member_at(merged, member.name), wanted))
                return false;
        }
    }
    return true;
}

bool list_merge_has_theirs(const struct list_merge *merge) {
    const struct slice lists[] = {merge->base, merge->theirs};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct slice elements = elements_of(lists[i]);
        struct value element;
        size_t position = 0;
        while (document_list_next(elements, &position, &element)) {
            struct slice id = id_of(&element);
            if (!element_has(find_id(merge->base, id), find_id(merge->theirs, id),
                             find_id(merge->merged, id)))
                return false;
        }
    }
    return true;
}

bool list_merge_loses_ours(const struct list_merge *merge) {
    struct slice elements = elements_of(merge->ours);
    struct value element;
    size_t position = 0;
    while (document_list_next(elements, &position, &element)) {
        struct slice id = id_of(&element);
        if (find_id(merge->base, id).size == 0 && find_id(merge->theirs, id).size == 0 &&
            find_id(merge->merged, id).size == 0)
            return true;
    }
    return false;
}

const char *list_merge_union_fault(const struct list_merge *merge) {
    const struct slice lists[] = {merge->ours, merge->theirs, merge->merged};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct slice elements = elements_of(lists[i]);
        struct value element;
        size_t position = 0;
        while (document_list_next(elements, &position, &element)) {
            bool in_base = has_element(merge->base, element.bytes);
            bool in_ours = has_element(merge->ours, element.bytes);
            bool in_theirs = has_element(merge->theirs, element.bytes);
            bool stays = in_base ? in_ours && in_theirs : in_ours || in_theirs;
            if (has_element(merge->merged, element.bytes) != stays)
                return stays ? "an element is lost" : "an element came back, or from nowhere";
        }
    }
    return NULL;
}
