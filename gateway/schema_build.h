/* Schema build: how a schema comes from descriptors. For schema*.c only.
 *
 * Every file of the set is read twice: first its messages and enums are made and named, then types
 * are resolved and methods made, so that files may come in any order. Functions that return bool
 * leave the reason of a failure in the build. */
#ifndef GATEWAY_SCHEMA_BUILD_H
#define GATEWAY_SCHEMA_BUILD_H

#include "base/wire.h"
#include "gateway/schema_types.h"

enum { SCHEMA_PLACE_MAX = 160, SCHEMA_NESTING_MAX = 30 };

/* Where a declaration stands in its file: SourceCodeInfo.Location.path as packed on the wire. */
struct schema_place {
    uint8_t bytes[SCHEMA_PLACE_MAX];
    size_t size;
};

/* What an edition, or proto2 or proto3, says of the declarations in a file, and they in turn of
 * themselves (google.protobuf.FeatureSet). */
struct schema_features {
    bool implicit;  /* singular fields that are no messages have no presence */
    bool required;  /* singular fields are required */
    bool closed;    /* enums have their declared values only */
    bool packed;    /* repeated numbers are written packed */
    bool delimited; /* messages are written as groups */
    bool any_bytes; /* strings need not be UTF-8 */
};

/* An extension, to be added to the fields of what it extends. */
struct schema_extension {
    struct schema_field field;
    struct slice extendee; /* ".package.Name" */
    struct schema_extension *next;
};

/* The work in progress. */
struct schema_build {
    struct schema *schema;
    struct sync_error *error;
    enum sync_status status; /* the first failure */
    struct schema_message **message_end;
    struct schema_enum **enum_end;
    struct schema_extension *extensions;
    size_t message_count, enum_count, method_max;
    /* of the file at hand */
    struct schema_names comments; /* place to slice */
    struct schema_features features;
    bool short_enum_names, bearer_token;
};

/* Remembers the first failure and returns false. */
bool schema_build_fail(struct schema_build *build, enum sync_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* arena_zalloc that remembers failing. */
void *schema_build_alloc(struct schema_build *build, size_t count, size_t size);

/* scope + "." + name, or the name where the scope is empty; .data NULL without memory. */
struct slice schema_build_join(struct schema_build *build, struct slice scope, struct slice name);

/* Reads one field of a descriptor; false at the end, or when malformed (then build fails). */
bool schema_build_next(struct schema_build *build, struct wire_reader *reader,
                       struct wire_field *ret_field);

/* Counts the fields of a descriptor with this number. */
size_t schema_build_count(struct schema_build *build, struct slice message, uint32_t number);

/* Reads the comments of a file into build->comments. */
bool schema_comments_read(struct schema_build *build, struct slice file);

/* The leading comment at a place, trimmed; empty where none is. */
struct slice schema_comment_at(const struct schema_build *build, const struct schema_place *place);

/* The place of the index-th child in the field `number` of the descriptor at `place`. */
struct schema_place schema_place_below(const struct schema_place *place, uint32_t number,
                                       size_t index);

/* First reading: the messages, enums and extensions of a file. */
bool schema_types_read(struct schema_build *build, struct slice file);

/* Reads an EnumDescriptorProto. */
bool schema_enum_read(struct schema_build *build, struct slice bytes, struct slice scope,
                      const struct schema_place *place);

/* Reads a FieldDescriptorProto, without resolving its type. */
bool schema_field_read(struct schema_build *build, struct slice bytes, struct schema_field *field,
                       struct slice *ret_extendee);

/* After the first reading: extensions placed, types resolved, tables made. */
bool schema_types_finish(struct schema_build *build);

/* Second reading: the methods of a file, appended to schema->methods. */
bool schema_methods_read(struct schema_build *build, struct slice file);

/* Applies the FeatureSet in the field `number` of options of any kind to `features`. */
bool schema_features_read(struct schema_build *build, struct slice options, uint32_t number,
                          struct schema_features *features);

/* Options of our own and of google.api, from the bytes of FieldOptions and so on. */
bool schema_field_options(struct schema_build *build, struct schema_field *field,
                          struct slice options);
bool schema_method_options(struct schema_build *build, struct schema_method *method,
                           struct slice options);
bool schema_enum_value_options(struct schema_build *build, struct schema_enum_value *value,
                               struct slice options);
bool schema_constraint_read(struct schema_build *build, struct slice bytes,
                            const struct schema_constraint **ret_constraint);
bool schema_file_options(struct schema_build *build, struct slice options);

/* lowerCamelCase as protoc makes it; .data NULL without memory. */
struct slice schema_json_name(struct schema_build *build, struct slice name);

/* The short form of an enum value's name, or empty where the enum's prefix is not there. */
struct slice schema_short_name(struct schema_build *build, struct slice enum_name,
                               struct slice value_name);

#endif
