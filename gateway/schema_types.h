/* Schema types: what transcoding follows inside a schema. For the gateway's own files; others use
 * schema.h.
 *
 * Everything is owned by the schema, immutable once it is open, and shared by threads. */
#ifndef GATEWAY_SCHEMA_TYPES_H
#define GATEWAY_SCHEMA_TYPES_H

#include <string.h>

#include "base/arena.h"
#include "gateway/schema.h"

/* Field types, numbered as FieldDescriptorProto.Type. */
enum schema_type {
    SCHEMA_DOUBLE = 1,
    SCHEMA_FLOAT = 2,
    SCHEMA_INT64 = 3,
    SCHEMA_UINT64 = 4,
    SCHEMA_INT32 = 5,
    SCHEMA_FIXED64 = 6,
    SCHEMA_FIXED32 = 7,
    SCHEMA_BOOL = 8,
    SCHEMA_STRING = 9,
    SCHEMA_GROUP = 10,
    SCHEMA_MESSAGE = 11,
    SCHEMA_BYTES = 12,
    SCHEMA_UINT32 = 13,
    SCHEMA_ENUM = 14,
    SCHEMA_SFIXED32 = 15,
    SCHEMA_SFIXED64 = 16,
    SCHEMA_SINT32 = 17,
    SCHEMA_SINT64 = 18,
};

enum { SCHEMA_LABEL_WIDE = 16 };

/* The tags of a message set's items: `repeated group Item = 1 { required int32 type_id = 2;
 * required bytes message = 3; }`. */
enum {
    WIRE_SET_ITEM = 1 << 3 | 3,
    WIRE_SET_TYPE = 2 << 3 | 0,
    WIRE_SET_MESSAGE = 3 << 3 | 2,
    WIRE_SET_ITEM_END = 1 << 3 | 4,
};

/* What JSON form a message has: that of its fields, or one of its own. */
enum schema_form {
    SCHEMA_FORM_FIELDS,
    SCHEMA_FORM_ANY,
    SCHEMA_FORM_TIMESTAMP,
    SCHEMA_FORM_DURATION,
    SCHEMA_FORM_FIELD_MASK,
    SCHEMA_FORM_STRUCT,
    SCHEMA_FORM_VALUE,
    SCHEMA_FORM_LIST,
    SCHEMA_FORM_WRAPPER,
};

/* A table from names to what they name: open addressing, power-of-two size. */
struct schema_name_slot {
    struct slice name; /* data NULL: free */
    void *target;
};
struct schema_names {
    struct schema_name_slot *slots;
    uint32_t mask;
};

/* The bounds of a number, both included. */
struct schema_range {
    int64_t min, max;
};

/* What values a field takes, for those who read of it (travelsense.http.v1.FieldConstraint). */
struct schema_constraint {
    bool has_value, has_length, has_items;
    bool not_default; /* null, or an enum's 0, is refused */
    struct schema_range value, length, items;
    struct slice pattern, format, example; /* example: JSON */
    struct slice *values;                  /* of an enum; none: all */
    size_t value_count;
};

struct schema_field {
    struct slice name, json_name, comment;
    struct slice json_label; /* a comma, the JSON name quoted, and a colon; SCHEMA_LABEL_WIDE bytes
                                may be read from any of its first two on */
    uint32_t number;
    enum schema_type type;
    uint8_t tag[8]; /* as written: a repeated scalar's is that of its packed form, if it has one; in
                       a message set all that comes before the length */
    uint8_t tag_size;
    uint8_t wire_type; /* of one value */
    bool set_item;     /* an extension of a message set, which stands in a group of its own */
    bool
        closed_enum; /* its values, or a map's, are of an enum that has only its declared numbers */
    bool repeated, packed, map, presence, always, i_json, iso8601, comma_separated;
    bool required;       /* marked REQUIRED */
    bool label_required; /* proto2's required */
    bool any_bytes;      /* a string that need not be UTF-8 on the wire */
    bool delimited;      /* declared a message, written as a group unless it is a map */
    bool label_leads;    /* what reads as the label's name is this field */
    bool plain; /* a scalar for itself: of no oneof, map, packed list or closed enum, and no
                   response header */
    bool output_only;
    bool event_id; /* the id of a streamed answer's event */
    bool hex;      /* bytes that are hexadecimal digits in JSON */
    int enum_alias;
    int oneof;      /* index within the message, or -1; a proto3 optional has none */
    uint32_t index; /* within the message's fields */
    struct slice request_header, response_header;
    struct slice http_default;                  /* of a parameter that is not given */
    const struct schema_constraint *constraint; /* NULL: none is told */
    struct slice type_name;                     /* ".package.Name" of messages and enums */
    const struct schema_message *message;       /* of messages, groups and maps (the entry) */
    const struct schema_enum *enumeration;
};

struct schema_message {
    struct slice full_name, comment;
    enum schema_form form;
    struct schema_field *fields; /* by number */
    size_t field_count;
    size_t oneof_count;
    bool map_entry, has_always, has_required;
    bool message_set;                  /* of proto1: its fields are items in groups */
    struct schema_names names;         /* JSON and proto names of fields */
    const struct schema_field **dense; /* by number, below dense_count; NULL where none */
    uint32_t dense_count;
    struct schema_message *next; /* of all messages */
};

/* A value of an enum with all the names it has in JSON. */
struct schema_enum_value {
    struct slice name, short_name, comment;
    struct slice *aliases;
    size_t alias_count;
    int32_t number;
};

struct schema_enum {
    struct slice full_name, comment;
    struct schema_enum_value *values; /* as declared */
    size_t value_count;
    bool short_names; /* how values are written */
    bool null_value;  /* google.protobuf.NullValue */
    bool closed;      /* proto2: only declared numbers */
    struct schema_names names;
    const struct schema_enum_value **dense; /* by number, 0 to dense_count - 1; NULL where none */
    uint32_t dense_count;
    struct schema_enum *next; /* of all enums */
};

struct schema {
    struct arena arena;
    struct schema_message *messages; /* as declared */
    struct schema_enum *enums;
    struct schema_method *methods;
    size_t method_count;
    struct schema_names message_types; /* messages by full name */
    struct schema_names enum_types;
    struct schema_names method_paths; /* methods by path */
};

/* A hash of a name: its length and its ends, which tell the names of a message apart. */
static inline uint32_t schema_name_hash(struct slice name) {
    uint64_t head = 0, tail = 0;
    if (name.size >= 8) {
        memcpy(&head, name.data, 8);
        memcpy(&tail, name.data + name.size - 8, 8);
    } else if (name.size >= 4) {
        memcpy(&head, name.data, 4);
        memcpy(&tail, name.data + name.size - 4, 4);
    } else {
        for (size_t i = 0; i < name.size; i++)
            head = head << 8 | name.data[i];
    }
    uint64_t mixed = (head ^ (tail << 21 | tail >> 43) ^ name.size) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed >> 32);
}

/* Finds a name; NULL when it is not there. */
static inline void *schema_names_find(const struct schema_names *names, struct slice name) {
    if (!names->slots)
        return NULL;
    for (uint32_t at = schema_name_hash(name) & names->mask;; at = (at + 1) & names->mask) {
        const struct schema_name_slot *slot = &names->slots[at];
        if (!slot->name.data)
            return NULL;
        if (slot->name.size == name.size && memcmp(slot->name.data, name.data, name.size) == 0)
            return slot->target;
    }
}

/* Makes a table for at most `count` names. False without memory. */
bool schema_names_init(struct arena *arena, struct schema_names *names, size_t count);

/* Adds a name unless it is there already. An empty name is not added. */
void schema_names_add(struct schema_names *names, struct slice name, void *target);

/* A field of the message by JSON or proto name, or NULL. */
static inline const struct schema_field *schema_field_find(const struct schema_message *message,
                                                           struct slice name) {
    return schema_names_find(&message->names, name);
}

/* A field by number, or NULL. */
static inline const struct schema_field *schema_field_at(const struct schema_message *message,
                                                         uint32_t number) {
    if (number < message->dense_count)
        return message->dense[number];
    size_t low = 0, high = message->field_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (message->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low < message->field_count && message->fields[low].number == number
               ? &message->fields[low]
               : NULL;
}

/* The first declared value with this number, or NULL. */
const struct schema_enum_value *schema_enum_at(const struct schema_enum *enumeration,
                                               int32_t number);

/* The name a field writes for an enum value: by alias, short or as declared. */
struct slice schema_enum_text(const struct schema_field *field, const struct schema_enum *owner,
                              const struct schema_enum_value *value);

/* Whether the type is a number whose repeated form may be packed. */
static inline bool schema_type_packs(enum schema_type type) {
    return type != SCHEMA_STRING && type != SCHEMA_BYTES && type != SCHEMA_MESSAGE &&
           type != SCHEMA_GROUP;
}

#endif
