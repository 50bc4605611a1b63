#include "tools/protoc-gen-grpc-c/types.h"

#include <assert.h>

#include "base/wire.h"
#include "tools/protoc-gen-grpc-c/name.h"

/* protobuf-c/protobuf-c.proto: FileOptions.pb_c_file and its c_package. */
enum { PB_C_FILE = 1019, PB_C_FILE_PACKAGE = 6, HASH_SEED = 0x74797065 };

typedef Google__Protobuf__FileDescriptorProto file_proto;
typedef Google__Protobuf__DescriptorProto message_proto;

struct type {
    const char *full_name; /* without the dot at the front; NULL: a free slot */
    const file_proto *file;
};

struct types {
    struct arena *arena;
    size_t mask;
    bool has_failed; /* no room for a name */
    struct type slots[];
};

static size_t count_messages(message_proto *const *messages, size_t count) {
    size_t total = count;
    for (size_t i = 0; i < count; i++)
        total += count_messages(messages[i]->nested_type, messages[i]->n_nested_type);
    return total;
}

/* The slot of a name, or the free one where it would be. */
static struct type *types_slot(struct types *types, const char *full_name) {
    size_t at = slice_hash(slice_text(full_name), HASH_SEED) & types->mask;
    while (types->slots[at].full_name && strcmp(types->slots[at].full_name, full_name) != 0)
        at = (at + 1) & types->mask;
    return &types->slots[at];
}

static void add_messages(struct types *types, const file_proto *file, const char *scope,
                         message_proto *const *messages, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *name = messages[i]->name ? messages[i]->name : "";
        const char *full_name =
            arena_format(types->arena, "%s%s%s", scope, *scope ? "." : "", name);
        if (!full_name) {
            types->has_failed = true;
            return;
        }
        *types_slot(types, full_name) = (struct type){full_name, file};
        add_messages(types, file, full_name, messages[i]->nested_type, messages[i]->n_nested_type);
    }
}

struct types *types_build(struct arena *arena,
                          const Google__Protobuf__Compiler__CodeGeneratorRequest *request) {
    size_t count = 0, size = 16;
    for (size_t i = 0; i < request->n_proto_file; i++)
        count += count_messages(request->proto_file[i]->message_type,
                                request->proto_file[i]->n_message_type);
    while (size < count * 2)
        size *= 2;
    struct types *types = arena_zalloc(arena, 1, sizeof *types + size * sizeof types->slots[0]);
    if (!types)
        return NULL;
    types->arena = arena;
    types->mask = size - 1;
    for (size_t i = 0; i < request->n_proto_file; i++) {
        const file_proto *file = request->proto_file[i];
        add_messages(types, file, file->package ? file->package : "", file->message_type,
                     file->n_message_type);
    }
    return types->has_failed ? NULL : types;
}

char *types_stem(struct arena *arena, const char *path) {
    struct slice stem = slice_text(path), ending = SLICE(".proto");
    if (stem.size > ending.size && slice_equal(slice_after(stem, stem.size - ending.size), ending))
        stem.size -= ending.size;
    return arena_copy_text(arena, stem);
}

/* The content of the field `number` in a message; empty without. */
static struct slice field_bytes(struct slice message, uint32_t number) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    struct slice found = SLICE_EMPTY;
    while (!wire_at_end(&reader) && wire_read(&reader, &field))
        if (field.number == number && field.type == WIRE_LEN)
            found = field.bytes;
    return found;
}

/* The package that protoc-c was told to use in the file's place; empty without. */
static struct slice c_package(const file_proto *file) {
    for (size_t i = 0; file->options && i < file->options->base.n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &file->options->base.unknown_fields[i];
        struct wire_reader reader = wire_reader_of(slice_of(field->data, field->len));
        uint64_t size;
        /* protobuf-c leaves the length before the content. */
        if (field->tag == PB_C_FILE && wire_read_varint(&reader, &size))
            return field_bytes(slice_of(reader.next, (size_t)(reader.end - reader.next)),
                               PB_C_FILE_PACKAGE);
    }
    return SLICE_EMPTY;
}

/* The full name as protoc-c takes it. */
static const char *c_full_name(struct arena *arena, const struct type *type) {
    struct slice package = c_package(type->file);
    if (package.size == 0)
        return type->full_name;
    size_t own = type->file->package ? strlen(type->file->package) : 0;
    const char *rest = type->full_name + own + (own > 0);
    return arena_format(arena, "%.*s.%s", (int)package.size, (const char *)package.data, rest);
}

enum sync_status types_find(struct types *types, const char *type_name,
                            struct model_message *ret_message) {
    struct arena *arena = types->arena;
    const struct type *type = types_slot(types, type_name + (*type_name == '.'));
    if (!type->full_name)
        return SYNC_ERR_NOT_FOUND;
    const char *full_name = c_full_name(arena, type);
    const char *stem = types_stem(arena, type->file->name ? type->file->name : "");
    if (!full_name || !stem)
        return SYNC_ERR_NO_MEMORY;
    struct model_message message = {
        .type = name_message_type(arena, full_name),
        .init = name_message_init(arena, full_name),
        .descriptor = name_message_descriptor(arena, full_name),
        .header = arena_format(arena, "%s.pb-c.h", stem),
    };
    if (!message.type || !message.init || !message.descriptor || !message.header)
        return SYNC_ERR_NO_MEMORY;
    *ret_message = message;
    return SYNC_OK;
}
