/* Log: one JSON object a line on a file descriptor, whole lines even from several threads.
 *
 * Fields: "timestamp", "level", "message", "component", then the caller's. Secrets never go in: the
 * caller's duty. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"

/* In rising weight. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log;

/* One field of a line. Use the LOG_ macros below to make one. */
struct log_field {
    const char *name;
    enum { LOG_FIELD_TEXT, LOG_FIELD_INT } kind;
    struct slice text;
    int64_t number;
};

#define LOG_TEXT(name_, text_)                                                                     \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_TEXT, .text = slice_text(text_)})
#define LOG_SLICE(name_, slice_)                                                                   \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_TEXT, .text = (slice_)})
#define LOG_INT(name_, number_)                                                                    \
    ((struct log_field){.name = (name_), .kind = LOG_FIELD_INT, .number = (number_)})

/* Opens a log that writes to `fd` (not owned) what is at `level` or above. `component` outlives the
 * log. NULL when there is no memory. */
struct log *log_open(int fd, enum log_level level, const char *component,
                     const struct clock *clock);

/* Closes; returns NULL. */
struct log *log_close(struct log *log);

/* Writes one line with `count` fields. Invalid UTF-8 is replaced, long text cut at 4 KiB. NULL log:
 * nothing. */
void log_write(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t count);

/* log_line(log, LOG_INFO, "call", LOG_TEXT("method", m), LOG_INT("code", 0)) */
#define log_line(log_, level_, message_, ...)                                                      \
    log_write((log_), (level_), (message_), (const struct log_field[]){__VA_ARGS__},               \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* Reads "debug", "info", "warn" or "error". */
bool log_level_parse(struct slice text, enum log_level *ret_level);

#endif
