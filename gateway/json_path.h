/* JSON path: where in a message a value is, such as "changes[3].data.price". */
#ifndef GATEWAY_JSON_PATH_H
#define GATEWAY_JSON_PATH_H

#include "gateway/schema_types.h"

/* One step: a field, a key, or else an index. */
struct json_step {
    const struct schema_field *field;
    struct slice key;
    size_t index;
};

/* Appends the path in JSON names. */
void json_path_print(const struct json_step *steps, size_t count, struct buffer *out);

/* Fills `error` with a status, reason, path and description; returns the status. */
enum sync_status json_path_error(struct sync_error *error, enum sync_status status,
                                 const char *reason, const struct json_step *steps, size_t count,
                                 const char *description);

#endif
