#include "gateway/json_path.h"

/* Whether a key can stand in a path as it is. */
static bool key_is_plain(struct slice key) {
    for (size_t i = 0; i < key.size; i++)
        if (key.data[i] == '.' || key.data[i] == '[' || key.data[i] <= ' ')
            return false;
    return key.size > 0;
}

void json_path_print(const struct json_step *steps, size_t count, struct buffer *path) {
    for (size_t i = 0; i < count; i++) {
        const struct json_step *step = &steps[i];
        if (!step->field && !step->key.data) {
            buffer_append_format(path, "[%zu]", step->index);
            continue;
        }
        struct slice name = step->field ? step->field->json_name : step->key;
        if (!step->field && !key_is_plain(name)) {
            buffer_append_format(path, "[\"%.*s\"]", (int)name.size, name.data);
            continue;
        }
        if (path->size > 0)
            buffer_append_byte(path, '.');
        buffer_append(path, name);
    }
}

enum sync_status json_path_error(struct sync_error *error, enum sync_status status,
                                 const char *reason, const struct json_step *steps, size_t count,
                                 const char *description) {
    struct buffer path;
    buffer_init(&path, SYNC_ERROR_FIELD_MAX * 2);
    json_path_print(steps, count, &path);
    buffer_append_byte(&path, 0);
    const char *field = path.size > 0 && !path.failed ? (const char *)path.data : "";
    sync_error_set(error, status, reason, field, "%s", description);
    buffer_done(&path);
    return status;
}
