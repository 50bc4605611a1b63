#include "service/rpc/reflection_index.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/memory.h"
#include "base/wire.h"

/* Field numbers of google/protobuf/descriptor.proto. */
enum {
    SET_FILE = 1,
    FILE_NAME = 1,
    FILE_PACKAGE = 2,
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_EXTENSION = 7,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_EXTENSION = 6,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    FIELD_EXTENDEE = 2,
    FIELD_NUMBER = 3,
    NAME = 1, /* in each of them */
};

enum {
    FILES_MAX = 256,
    SYMBOLS_MAX = 16384,
    EXTENSIONS_MAX = 1024,
    SERVICES_MAX = 64,
    DEPTH_MAX = 32
};

struct symbol {
    struct slice name;
    size_t file;
};

struct reflection_index {
    struct arena arena; /* holds the names */
    size_t files_count, symbols_count, extensions_count, services_count;
    struct symbol files[FILES_MAX]; /* names, in order of arrival; `bytes` are theirs */
    struct slice bytes[FILES_MAX];
    struct slice services[SERVICES_MAX];
    struct reflection_extension extensions[EXTENSIONS_MAX];
    struct symbol symbols[SYMBOLS_MAX]; /* sorted by name */
};

/* The bytes of a field; the empty slice without it. */
static struct slice field_find(struct slice message, uint32_t number) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    while (!wire_at_end(&reader) && wire_read(&reader, &field)) {
        if (field.number == number && field.type == WIRE_LEN)
            return field.bytes;
    }
    return SLICE_EMPTY;
}

/* Joins a scope and the name of a declaration; adds it as a symbol. */
static bool symbol_add(struct reflection_index *index, struct slice scope, struct slice message,
                       struct slice *ret_name) {
    struct slice name = field_find(message, NAME);
    const char *full =
        arena_format(&index->arena, "%.*s%s%.*s", (int)scope.size, (const char *)scope.data,
                     scope.size ? "." : "", (int)name.size, (const char *)name.data);
    if (!full || index->symbols_count == SYMBOLS_MAX)
        return false;
    *ret_name = slice_text(full);
    index->symbols[index->symbols_count++] = (struct symbol){*ret_name, index->files_count};
    return true;
}

static bool extension_add(struct reflection_index *index, struct slice scope, struct slice field) {
    struct slice name, extendee = field_find(field, FIELD_EXTENDEE);
    if (!symbol_add(index, scope, field, &name) || index->extensions_count == EXTENSIONS_MAX)
        return false;
    int32_t number = 0;
    struct wire_reader reader = wire_reader_of(field);
    struct wire_field part;
    while (!wire_at_end(&reader) && wire_read(&reader, &part)) {
        if (part.number == FIELD_NUMBER && part.type == WIRE_VARINT)
            number = (int32_t)part.bits;
    }
    if (extendee.size > 0 && extendee.data[0] == '.')
        extendee = slice_after(extendee, 1);
    index->extensions[index->extensions_count++] =
        (struct reflection_extension){extendee, number, index->files_count};
    return true;
}

/* Adds the declarations of one field number of a message as symbols. */
static bool children_add(struct reflection_index *index, struct slice scope, struct slice message,
                         uint32_t number) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    struct slice name;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.number == number && field.type == WIRE_LEN &&
            !symbol_add(index, scope, field.bytes, &name))
            return false;
    }
    return true;
}

/* Adds an enum; its values lie in the enum's own scope's parent. */
static bool enum_add(struct reflection_index *index, struct slice scope, struct slice message) {
    struct slice name;
    return symbol_add(index, scope, message, &name) &&
           children_add(index, scope, message, ENUM_VALUE);
}

static bool service_add(struct reflection_index *index, struct slice scope, struct slice message) {
    struct slice name;
    if (!symbol_add(index, scope, message, &name) || index->services_count == SERVICES_MAX)
        return false;
    index->services[index->services_count++] = name;
    return children_add(index, name, message, SERVICE_METHOD);
}

static bool message_add(struct reflection_index *index, struct slice scope, struct slice message,
                        int depth) {
    struct slice name;
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    bool is_added = depth < DEPTH_MAX && symbol_add(index, scope, message, &name) &&
                    children_add(index, name, message, MESSAGE_FIELD) &&
                    children_add(index, name, message, MESSAGE_ONEOF);
    while (is_added && !wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == MESSAGE_NESTED)
            is_added = message_add(index, name, field.bytes, depth + 1);
        else if (field.number == MESSAGE_ENUM)
            is_added = enum_add(index, name, field.bytes);
        else if (field.number == MESSAGE_EXTENSION)
            is_added = extension_add(index, name, field.bytes);
    }
    return is_added;
}

/* Adds what a file declares. */
static bool file_declarations(struct reflection_index *index, struct slice file) {
    struct slice package = field_find(file, FILE_PACKAGE);
    struct wire_reader reader = wire_reader_of(file);
    struct wire_field field;
    bool is_added = true;
    while (is_added && !wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return false;
        if (field.type != WIRE_LEN)
            continue;
        if (field.number == FILE_MESSAGE)
            is_added = message_add(index, package, field.bytes, 0);
        else if (field.number == FILE_ENUM)
            is_added = enum_add(index, package, field.bytes);
        else if (field.number == FILE_SERVICE)
            is_added = service_add(index, package, field.bytes);
        else if (field.number == FILE_EXTENSION)
            is_added = extension_add(index, package, field.bytes);
    }
    return is_added;
}

static bool set_add(struct reflection_index *index, struct slice set) {
    struct wire_reader reader = wire_reader_of(set);
    struct wire_field field;
    size_t present;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field) || field.number != SET_FILE || field.type != WIRE_LEN)
            return false;
        struct slice name = field_find(field.bytes, FILE_NAME);
        if (reflection_index_file(index, name, &present))
            continue;
        if (index->files_count == FILES_MAX || !file_declarations(index, field.bytes))
            return false;
        index->files[index->files_count] = (struct symbol){name, index->files_count};
        index->bytes[index->files_count++] = field.bytes;
    }
    return true;
}

static int symbol_compare(const void *a, const void *b) {
    return slice_compare(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static int slice_order(const void *a, const void *b) {
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

enum sync_status reflection_index_open(const struct slice *sets, size_t count,
                                       struct reflection_index **ret_index) {
    struct reflection_index *index = memory_zalloc(1, sizeof *index);
    if (!index)
        return SYNC_ERR_NO_MEMORY;
    arena_init(&index->arena, 16 << 20);
    for (size_t i = 0; i < count; i++) {
        if (!set_add(index, sets[i])) {
            reflection_index_close(index);
            return SYNC_ERR_INVALID;
        }
    }
    qsort(index->symbols, index->symbols_count, sizeof index->symbols[0], symbol_compare);
    qsort(index->services, index->services_count, sizeof index->services[0], slice_order);
    *ret_index = index;
    return SYNC_OK;
}

struct reflection_index *reflection_index_close(struct reflection_index *index) {
    if (!index)
        return NULL;
    arena_done(&index->arena);
    memory_free(index);
    return NULL;
}

bool reflection_index_file(const struct reflection_index *index, struct slice name,
                           size_t *ret_file) {
    for (size_t i = 0; i < index->files_count; i++) {
        if (slice_equal(index->files[i].name, name)) {
            *ret_file = i;
            return true;
        }
    }
    return false;
}

bool reflection_index_symbol(const struct reflection_index *index, struct slice symbol,
                             size_t *ret_file) {
    const struct symbol wanted = {.name = symbol};
    const struct symbol *found = bsearch(&wanted, index->symbols, index->symbols_count,
                                         sizeof index->symbols[0], symbol_compare);
    if (found)
        *ret_file = found->file;
    return found;
}

struct slice reflection_index_bytes(const struct reflection_index *index, size_t file) {
    return index->bytes[file];
}

const struct slice *reflection_index_services(const struct reflection_index *index,
                                              size_t *ret_count) {
    *ret_count = index->services_count;
    return index->services;
}

const struct reflection_extension *reflection_index_extensions(const struct reflection_index *index,
                                                               size_t *ret_count) {
    *ret_count = index->extensions_count;
    return index->extensions;
}
