/* OpenAPI writer: JSON with its commas in the right places, and what of the document is made of
 * messages. For openapi*.c only. */
#ifndef GATEWAY_OPENAPI_WRITER_H
#define GATEWAY_OPENAPI_WRITER_H

#include "gateway/schema_types.h"

/* Where a value stands: what is read takes more forms than what is written. */
enum openapi_use { OPENAPI_ANSWER, OPENAPI_BODY, OPENAPI_PARAMETER };

/* A message whose schema is referred to. */
struct openapi_wanted {
    const struct schema_message *message;
    bool read; /* by a request's body, and so in all its forms */
};

struct openapi_writer {
    struct buffer *out;
    const struct schema *schema;
    struct arena arena;
    struct openapi_wanted *wanted;
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

/* A member that is a string, and one that is JSON as it is. */
void openapi_member(struct openapi_writer *writer, struct slice name, struct slice text);
void openapi_raw_member(struct openapi_writer *writer, struct slice name, struct slice json);

/* A member that is an integer. */
void openapi_number(struct openapi_writer *writer, struct slice name, int64_t number);

/* "description", unless the comment is empty. Lines are joined where only the line's length broke
 * them. */
void openapi_description(struct openapi_writer *writer, struct slice comment);

/* openapi_schema.c */

/* The schema of a field as an object; without its description for a parameter. */
void openapi_field_schema(struct openapi_writer *writer, const struct schema_field *field,
                          enum openapi_use use);

/* The schema of a message: a form of its own, or a reference. */
void openapi_message_schema(struct openapi_writer *writer, const struct schema_message *message,
                            enum openapi_use use);

/* components.schemas: all messages that are referred to, and what they refer to. */
void openapi_schemas(struct openapi_writer *writer);

/* openapi_example.c */

/* A value of the message to show: for a body the fields that are required or have an example of
 * their own, for an answer all that are not nested too deeply. */
void openapi_example(struct openapi_writer *writer, const struct schema_message *message,
                     enum openapi_use use);

/* A value of one field to show. */
void openapi_field_example(struct openapi_writer *writer, const struct schema_field *field,
                           enum openapi_use use);

/* openapi_error.c */

/* Members of "responses" for the errors that a method answers with. */
void openapi_errors(struct openapi_writer *writer, const struct schema_method *method,
                    bool has_body);

/* components.responses: an answer for each status of an error, with an example. */
void openapi_responses(struct openapi_writer *writer);

#endif
