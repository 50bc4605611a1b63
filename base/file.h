/* Files that are read whole: keys, policies. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/bytes.h"

/* What to read, and how errors name it. */
struct file_wish {
    const char *path;
    const char *what;   /* "key file" */
    const char *reason; /* of the error */
    size_t size_max;    /* more is refused */
};

/* Appends the file's bytes to `out`, which has room for size_max. SYNC_ERR_IO, with one line that
 * names the path, when it cannot be read or is too large. */
enum sync_status file_read(const struct file_wish *wish, struct buffer *out,
                           struct sync_error *error);

#endif
