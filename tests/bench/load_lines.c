#include "tests/bench/load_lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LINES_BYTES_MAX = 16 << 20, READ_BYTES = 16 << 10 };

enum sync_status load_lines_read(struct load_lines *lines, const char *path,
                                 struct sync_error *error) {
    buffer_init(&lines->text, LINES_BYTES_MAX);
    lines->next = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return sync_error_set(error, SYNC_ERR_IO, "IO", NULL, "%s: %s", path, strerror(errno));
    for (uint8_t *room; (room = buffer_reserve(&lines->text, READ_BYTES));) {
        size_t size = fread(room, 1, READ_BYTES, file);
        if (size == 0)
            break;
        buffer_advance(&lines->text, size);
    }
    fclose(file);
    if (lines->text.size > 0 && lines->text.data[lines->text.size - 1] != '\n')
        buffer_append_byte(&lines->text, '\n');
    for (size_t i = 0; i < lines->text.size; i++) {
        if (lines->text.data[i] == '\n')
            lines->text.data[i] = '\0';
    }
    enum sync_status status = buffer_status(&lines->text);
    if (status != SYNC_OK)
        sync_error_set(error, status, "LINES", NULL, "%s: %s", path, sync_status_text(status));
    return status;
}

const char *load_lines_next(struct load_lines *lines) {
    if (lines->next >= lines->text.size)
        return NULL;
    const char *line = (const char *)lines->text.data + lines->next;
    lines->next += strlen(line) + 1;
    return line;
}

void load_lines_done(struct load_lines *lines) {
    buffer_done(&lines->text);
}
