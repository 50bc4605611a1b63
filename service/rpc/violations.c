#include "service/rpc/violations.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/field_path.h"
#include "base/id.h"
#include "service/core/model.h"

enum { LIST_MIN = 16 };

void violations_init(struct violations *violations, struct arena *arena, size_t elsewhere) {
    *violations = (struct violations){.arena = arena, .elsewhere = elsewhere};
}

/* Makes room for one more; false without memory. */
static bool violations_grow(struct violations *violations) {
    if (violations->count < violations->capacity)
        return true;
    size_t capacity = violations->capacity > 0 ? 2 * violations->capacity : LIST_MIN;
    struct rpc_violation *list = arena_zalloc(violations->arena, capacity, sizeof *list);
    if (!list)
        return false;
    if (violations->count > 0)
        memcpy(list, violations->list, violations->count * sizeof *list);
    violations->list = list;
    violations->capacity = capacity;
    return true;
}

/* Takes one more place in the list, or counts it as omitted. */
static void violations_put(struct violations *violations, struct slice field,
                           struct slice description, const char *reason) {
    if (violations->count == BATCH_FAULTS_MAX) {
        violations->omitted++;
        return;
    }
    if (!violations_grow(violations)) {
        violations->no_memory = true;
        return;
    }
    struct rpc_violation *violation = &violations->list[violations->count];
    if (!arena_copy(violations->arena, field, &violation->field) ||
        !arena_copy(violations->arena, description, &violation->description)) {
        violations->no_memory = true;
        return;
    }
    violation->reason = reason;
    violations->count++;
}

void violations_add(struct violations *violations, const char *field, const char *reason,
                    const char *format, ...) {
    assert(field);
    assert(reason);
    char text[SYNC_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    violations_put(violations, slice_text(field), slice_text(text), reason);
}

void violations_add_error(struct violations *violations, const struct sync_error *error,
                          const char *reason) {
    violations_put(violations, slice_text(error->field), slice_text(error->message), reason);
}

bool violations_any(const struct violations *violations) {
    return violations->count > 0 || violations->omitted > 0 || violations->elsewhere > 0 ||
           violations->no_memory;
}

static int violation_order(const void *a, const void *b) {
    const struct rpc_violation *x = a, *y = b;
    int order = field_path_compare(x->field, y->field);
    return order ? order : slice_compare(x->description, y->description);
}

bool violations_end(struct violations *violations, struct rpc_call *call) {
    if (!violations_any(violations))
        return false;
    if (violations->count > 1)
        qsort(violations->list, violations->count, sizeof *violations->list, violation_order);
    if (violations->no_memory)
        rpc_call_fail_with(call, SYNC_ERR_NO_MEMORY, "NO_MEMORY", "no memory to check the request");
    else
        rpc_call_fail_fields(call, violations->list, violations->count, violations->omitted);
    return true;
}

void violations_check_uuid(struct violations *violations, const char *field, const char *text) {
    if (!text[0])
        violations_add(violations, field, "REQUIRED", "is required: a UUID");
    else if (!uuid_is_valid(slice_text(text)))
        violations_add(violations, field, "INVALID_FORMAT",
                       "must be a UUID, such as 0195a3c4-7b1e-7c3a-9f00-2b6d1c8e4f01");
}

size_t violations_check_page_size(struct violations *violations, int32_t size, size_t size_default,
                                  size_t size_max) {
    if (size < 0 || (size_t)size > size_max) {
        violations_add(violations, "pageSize", "OUT_OF_RANGE", "must be 1 to %zu", size_max);
        return size_default;
    }
    return size == 0 ? size_default : (size_t)size;
}

void violations_check_type(struct violations *violations, size_t index, int type) {
    if (type >= DATA_TYPE_FIRST && type <= DATA_TYPE_LAST)
        return;
    char field[32];
    snprintf(field, sizeof field, "dataTypes[%zu]", index);
    violations_add(violations, field, "INVALID_VALUE",
                   "must be trips, bookings, profiles or preferences");
}
