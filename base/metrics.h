/* Metrics: counters, gauges and histograms, shown as Prometheus text (exposition format 0.0.4).
 *
 * Families are registered at start by one thread; a series is looked up once and kept, updates are
 * lock-free and may come from any thread. Names and help texts outlive the registry. */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/bytes.h"

struct metrics;
struct metric_family;
struct metric; /* one series: a family with its label values */

/* What a family measures. */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum {
    METRIC_LABELS_MAX = 6,
    METRIC_SERIES_MAX = 4096, /* per family; beyond it series fold into label "other" */
    METRICS_REFRESH_MAX = 8
};

/* Opens an empty registry, or NULL. */
struct metrics *metrics_open(void);

/* Closes it with all its families and series; returns NULL. */
struct metrics *metrics_close(struct metrics *metrics);

/* What a family is. `labels` are names, NULL-terminated, at most METRIC_LABELS_MAX; `bounds` are a
 * histogram's upper bounds, ascending, `bounds_count` of them (then +Inf). */
struct metric_options {
    enum metric_kind kind;
    const char *name, *help;
    const char *const *labels;
    const double *bounds;
    size_t bounds_count;
};

/* Registers a family; the same name again gives the family that is there. NULL when there is no
 * memory. */
struct metric_family *metric_family_add(struct metrics *metrics,
                                        const struct metric_options *options);

/* The series with these label values (as many as names), made when new. Keep it: look-ups take a
 * lock. Never NULL for a valid family: without memory, or beyond METRIC_SERIES_MAX, it is the
 * family's shared "other" series. NULL family gives NULL, which the update functions accept. */
struct metric *metric_series(struct metric_family *family, const char *const *values);

/* Adds to a counter or gauge; to a counter nothing negative. */
void metric_add(struct metric *metric, double amount);

/* Sets a gauge, or a counter that is kept elsewhere (the kernel's). */
void metric_set(struct metric *metric, double value);

/* Records one observation of a histogram. */
void metric_observe(struct metric *metric, double value);

/* Reads a counter's or gauge's value, or a histogram's count. */
double metric_value(const struct metric *metric);

/* Appends all families as text, in order of registration. */
void metrics_render(struct metrics *metrics, struct buffer *out);

/* Has `refresh` called at the beginning of each metrics_render, on its thread, to set gauges that
 * are read and not counted; at most METRICS_REFRESH_MAX times per registry. `context` outlives the
 * registry's last render. */
void metrics_on_render(struct metrics *metrics, void (*refresh)(void *context), void *context);

/* Registers and refreshes process_* (CPU seconds, resident bytes, open fds, start time) at each
 * render. */
void metrics_add_process(struct metrics *metrics);

#endif
