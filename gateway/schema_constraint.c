/* What an option says of the values that a field takes (travelsense.http.v1.FieldConstraint). */
#include "gateway/schema_build.h"

static bool range_read(struct schema_build *build, struct slice bytes, bool *ret_has,
                       struct schema_range *ret_range) {
    struct schema_range range = {0, 0};
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == 1)
            range.min = (int64_t)part.bits;
        else if (part.number == 2)
            range.max = (int64_t)part.bits;
    }
    *ret_has = true;
    *ret_range = range;
    return !build->status;
}

bool schema_constraint_read(struct schema_build *build, struct slice bytes,
                            const struct schema_constraint **ret_constraint) {
    enum { VALUES = 7 };
    struct schema_constraint *constraint = schema_build_alloc(build, 1, sizeof *constraint);
    if (!constraint)
        return false;
    size_t values = schema_build_count(build, bytes, VALUES);
    constraint->values = schema_build_alloc(build, values, sizeof *constraint->values);
    if (!constraint->values)
        return false;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == 1)
            range_read(build, part.bytes, &constraint->has_value, &constraint->value);
        else if (part.number == 2)
            range_read(build, part.bytes, &constraint->has_length, &constraint->length);
        else if (part.number == 3)
            range_read(build, part.bytes, &constraint->has_items, &constraint->items);
        else if (part.number == 4)
            constraint->pattern = part.bytes;
        else if (part.number == 5)
            constraint->format = part.bytes;
        else if (part.number == 6)
            constraint->example = part.bytes;
        else if (part.number == 8)
            constraint->not_default = part.bits != 0;
        else if (part.number == VALUES)
            constraint->values[constraint->value_count++] = part.bytes;
    }
    *ret_constraint = constraint;
    return !build->status;
}
