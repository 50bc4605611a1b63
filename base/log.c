#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/limits.h"
#include "base/memory.h"

static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error"};

enum { LEVEL_COUNT = sizeof LEVEL_NAMES / sizeof LEVEL_NAMES[0] };

struct log {
    pthread_mutex_t lock; /* held while a line is written, so that lines stay whole */
    int fd;
    enum log_level level;
    const char *component;
    const struct clock *clock;
};

struct log *log_open(int fd, enum log_level level, const char *component,
                     const struct clock *clock) {
    assert(component);
    assert(clock);
    struct log *log = memory_alloc(sizeof *log);
    if (!log)
        return NULL;
    *log = (struct log){.fd = fd, .level = level, .component = component, .clock = clock};
    pthread_mutex_init(&log->lock, NULL);
    return log;
}

struct log *log_close(struct log *log) {
    if (!log)
        return NULL;
    pthread_mutex_destroy(&log->lock);
    memory_free(log);
    return NULL;
}

/* Appends a JSON string of what may be no UTF-8 and too long. */
static void log_append_text(struct buffer *line, struct slice text) {
    text = slice_cut_utf8(text, LOG_TEXT_MAX);
    if (slice_is_utf8(text)) {
        json_append_string(line, text);
        return;
    }
    struct buffer valid;
    buffer_init(&valid, (size_t)3 * LOG_TEXT_MAX);
    buffer_append_utf8(&valid, text);
    json_append_string(line, buffer_slice(&valid));
    buffer_done(&valid);
}

static void log_append_field(struct buffer *line, const struct log_field *field) {
    buffer_append_byte(line, ',');
    log_append_text(line, slice_text(field->name));
    buffer_append_byte(line, ':');
    if (field->kind == LOG_FIELD_INT)
        buffer_append_format(line, "%lld", (long long)field->number);
    else
        log_append_text(line, field->text);
}

/* Writes all of the line. A descriptor that is gone has nobody to tell. */
static void log_write_all(struct log *log, struct slice line) {
    pthread_mutex_lock(&log->lock);
    while (line.size > 0) {
        ssize_t written = write(log->fd, line.data, line.size);
        if (written > 0) {
            line = slice_after(line, (size_t)written);
        } else if (written < 0 && errno == EAGAIN) {
            struct pollfd room = {.fd = log->fd, .events = POLLOUT};
            poll(&room, 1, -1);
        } else if (written == 0 || errno != EINTR) {
            break;
        }
    }
    pthread_mutex_unlock(&log->lock);
}

void log_write(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t count) {
    assert((unsigned)level < LEVEL_COUNT);
    if (!log || level < log->level)
        return;
    char time[TIME_TEXT_MAX];
    uint64_t now_us = clock_now_us(log->clock);
    time_format((int64_t)(now_us - now_us % 1000), time);
    struct buffer line;
    buffer_init(&line, LOG_LINE_MAX);
    buffer_append_format(&line, "{\"timestamp\":\"%s\",\"level\":\"%s\",\"message\":", time,
                         LEVEL_NAMES[level]);
    log_append_text(&line, slice_text(message));
    struct log_field component = LOG_TEXT("component", log->component);
    log_append_field(&line, &component);
    for (size_t i = 0; i < count; i++)
        log_append_field(&line, &fields[i]);
    buffer_append(&line, SLICE("}\n"));
    if (buffer_status(&line) == SYNC_OK)
        log_write_all(log, buffer_slice(&line));
    else
        log_write_all(log, SLICE("{\"level\":\"error\",\"message\":\"a log line was lost\"}\n"));
    buffer_done(&line);
}

bool log_level_parse(struct slice text, enum log_level *ret_level) {
    for (int i = 0; i < LEVEL_COUNT; i++) {
        if (slice_equal(text, slice_text(LEVEL_NAMES[i]))) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}
