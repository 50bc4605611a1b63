#include "gateway/schema.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "gateway/schema_build.h"

enum { SCHEMA_BYTES_MAX = 512 << 20, FILE_SET_FILE = 1, FILE_SERVICE = 6, SERVICE_METHOD = 2 };

bool schema_build_fail(struct schema_build *build, enum sync_status status, const char *format,
                       ...) {
    if (build->status)
        return false;
    char message[SYNC_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    build->status = sync_error_set(build->error, status, "DESCRIPTOR", NULL, "%s", message);
    return false;
}

void *schema_build_alloc(struct schema_build *build, size_t count, size_t size) {
    void *block = arena_zalloc(&build->schema->arena, count, size);
    if (!block)
        schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
    return block;
}

struct slice schema_build_join(struct schema_build *build, struct slice scope, struct slice name) {
    if (scope.size == 0)
        return name;
    size_t size = scope.size + 1 + name.size;
    uint8_t *text = schema_build_alloc(build, size, 1);
    if (!text)
        return SLICE_EMPTY;
    memcpy(text, scope.data, scope.size);
    text[scope.size] = '.';
    if (name.size > 0)
        memcpy(text + scope.size + 1, name.data, name.size);
    return slice_of(text, size);
}

bool schema_build_next(struct schema_build *build, struct wire_reader *reader,
                       struct wire_field *ret_field) {
    if (build->status || wire_at_end(reader))
        return false;
    return wire_read(reader, ret_field) ||
           schema_build_fail(build, SYNC_ERR_INVALID, "the descriptor set is malformed");
}

size_t schema_build_count(struct schema_build *build, struct slice message, uint32_t number) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    size_t count = 0;
    while (schema_build_next(build, &reader, &field))
        count += field.number == number;
    return count;
}

bool schema_names_init(struct arena *arena, struct schema_names *names, size_t count) {
    size_t size = 4;
    while (size < count * 2)
        size *= 2;
    names->slots = arena_zalloc(arena, size, sizeof *names->slots);
    names->mask = (uint32_t)size - 1;
    return names->slots;
}

void schema_names_add(struct schema_names *names, struct slice name, void *target) {
    assert(names->slots);
    if (name.size == 0)
        return;
    uint32_t at = schema_name_hash(name) & names->mask;
    for (; names->slots[at].name.data; at = (at + 1) & names->mask)
        if (slice_equal(names->slots[at].name, name))
            return;
    names->slots[at] = (struct schema_name_slot){name, target};
}

/* Runs `read` over the files of the set. */
static bool schema_each_file(struct schema_build *build, struct slice set,
                             bool (*read)(struct schema_build *, struct slice)) {
    struct wire_reader reader = wire_reader_of(set);
    struct wire_field field;
    while (schema_build_next(build, &reader, &field)) {
        if (field.number != FILE_SET_FILE || field.type != WIRE_LEN)
            schema_build_fail(build, SYNC_ERR_INVALID, "not a FileDescriptorSet");
        else if (!read(build, field.bytes))
            return false;
    }
    return !build->status;
}

static bool schema_file_methods_count(struct schema_build *build, struct slice file) {
    struct wire_reader reader = wire_reader_of(file);
    struct wire_field field;
    while (schema_build_next(build, &reader, &field))
        if (field.number == FILE_SERVICE && field.type == WIRE_LEN)
            build->method_max += schema_build_count(build, field.bytes, SERVICE_METHOD);
    return !build->status;
}

static bool schema_read(struct schema_build *build, struct slice set) {
    if (!schema_each_file(build, set, schema_types_read) || !schema_types_finish(build) ||
        !schema_each_file(build, set, schema_file_methods_count))
        return false;
    struct schema *schema = build->schema;
    schema->methods = schema_build_alloc(build, build->method_max, sizeof *schema->methods);
    if (!schema->methods || !schema_each_file(build, set, schema_methods_read))
        return false;
    if (!schema_names_init(&schema->arena, &schema->method_paths, schema->method_count))
        return schema_build_fail(build, SYNC_ERR_NO_MEMORY, "no memory for the descriptors");
    for (size_t i = 0; i < schema->method_count; i++)
        schema_names_add(&schema->method_paths, schema->methods[i].path, &schema->methods[i]);
    return true;
}

enum sync_status schema_open(struct slice descriptor_set, struct sync_error *error,
                             struct schema **ret_schema) {
    assert(ret_schema);
    struct schema *schema = memory_zalloc(1, sizeof *schema);
    if (!schema)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "DESCRIPTOR", NULL,
                              "no memory for the descriptors");
    arena_init(&schema->arena, SCHEMA_BYTES_MAX);
    struct schema_build build = {
        .schema = schema,
        .error = error,
        .message_end = &schema->messages,
        .enum_end = &schema->enums,
    };
    if (!schema_read(&build, descriptor_set)) {
        schema_close(schema);
        return build.status;
    }
    *ret_schema = schema;
    return SYNC_OK;
}

struct schema *schema_close(struct schema *schema) {
    if (schema)
        arena_done(&schema->arena);
    memory_free(schema);
    return NULL;
}

const struct schema_message *schema_message_find(const struct schema *schema,
                                                 struct slice full_name) {
    return schema_names_find(&schema->message_types, full_name);
}

const struct schema_method *schema_method_find(const struct schema *schema, struct slice path) {
    return schema_names_find(&schema->method_paths, path);
}

size_t schema_method_count(const struct schema *schema) {
    return schema->method_count;
}

const struct schema_method *schema_method_at(const struct schema *schema, size_t index) {
    assert(index < schema->method_count);
    return &schema->methods[index];
}

const struct schema_enum_value *schema_enum_at(const struct schema_enum *enumeration,
                                               int32_t number) {
    if (number >= 0 && (uint32_t)number < enumeration->dense_count)
        return enumeration->dense[number];
    for (size_t i = 0; i < enumeration->value_count; i++)
        if (enumeration->values[i].number == number)
            return &enumeration->values[i];
    return NULL;
}

struct slice schema_enum_text(const struct schema_field *field, const struct schema_enum *owner,
                              const struct schema_enum_value *value) {
    int alias = field ? field->enum_alias : 0;
    if (alias > 0 && (size_t)alias <= value->alias_count)
        return value->aliases[alias - 1];
    return owner->short_names && value->short_name.size > 0 ? value->short_name : value->name;
}
