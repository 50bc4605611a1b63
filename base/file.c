#include "base/file.h"

#include <errno.h>
#include <stdio.h>

enum sync_status file_read(const struct file_wish *wish, struct buffer *out,
                           struct sync_error *error) {
    FILE *file = fopen(wish->path, "re");
    if (!file)
        return sync_error_set(error, SYNC_ERR_IO, wish->reason, NULL, "cannot read the %s %s: %s",
                              wish->what, wish->path, strerror(errno));
    uint8_t *room = buffer_reserve(out, wish->size_max);
    size_t size = room ? fread(room, 1, wish->size_max, file) : 0;
    bool is_whole = room && !ferror(file) && (feof(file) || fgetc(file) == EOF);
    fclose(file);
    if (!is_whole)
        return sync_error_set(error, SYNC_ERR_IO, wish->reason, NULL,
                              "cannot read the %s %s, or it has more than %zu bytes", wish->what,
                              wish->path, wish->size_max);
    buffer_advance(out, size);
    return SYNC_OK;
}
