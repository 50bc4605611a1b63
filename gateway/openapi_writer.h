/* OpenAPI writer: JSON with its commas in the right places, and the schemas of messages. For
 * openapi*.c only. */
#ifndef GATEWAY_OPENAPI_WRITER_H
#define GATEWAY_OPENAPI_WRITER_H

#include "gateway/schema_types.h"

struct openapi_writer {
    struct buffer *out;
    struct arena arena;
    const struct schema_message **wanted; /* messages whose schemas are referred to */
    size_t wanted_count, wanted_max;
    bool comma;  /* the next value or name follows another */
    bool failed; /* no memory */
};

/* '{' or '[', and its end. */
void openapi_open(struct openapi_writer *writer, uint8_t bracket);
void openapi_close(struct openapi_writer *writer, uint8_t bracket);

/* A member's name. */
void openapi_name(struct openapi_writer *writer, struct slice name);
#define OPENAPI_NAME(writer, literal) openapi_name((writer), SLICE(literal))

/* A string, and JSON as it is. */
void openapi_text(struct openapi_writer *writer, struct slice text);
void openapi_raw(struct openapi_writer *writer, struct slice json);

/* A member that is a string. */
void openapi_member(struct openapi_writer *writer, struct slice name, struct slice text);

/* "description", unless the comment is empty. Lines are joined where only the line's length broke
 * them. */
void openapi_description(struct openapi_writer *writer, struct slice comment);

/* The schema of a field as an object; without its description for a parameter. */
void openapi_field_schema(struct openapi_writer *writer, const struct schema_field *field,
                          bool described);

/* The schema of a message: a form of its own, or a reference. */
void openapi_message_schema(struct openapi_writer *writer, const struct schema_message *message);

/* components.schemas: all messages that are referred to, and what they refer to. */
void openapi_components(struct openapi_writer *writer);

#endif
