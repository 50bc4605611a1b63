/* Load lines: the lines of a small text file, one after the other. */
#ifndef TESTS_BENCH_LOAD_LINES_H
#define TESTS_BENCH_LOAD_LINES_H

#include "base/bytes.h"
#include "base/status.h"

/* In the caller's memory; all zero is empty. */
struct load_lines {
    struct buffer text; /* each line ends with NUL */
    size_t next;
};

/* Reads the file. SYNC_ERR_IO, SYNC_ERR_TOO_LARGE or SYNC_ERR_NO_MEMORY with the error set; the
 * lines may then be done. */
enum sync_status load_lines_read(struct load_lines *lines, const char *path,
                                 struct sync_error *error);

/* The next line without its end, or NULL behind the last. It lives until load_lines_done. */
const char *load_lines_next(struct load_lines *lines);

/* Releases the text. */
void load_lines_done(struct load_lines *lines);

#endif
