/* Metrics, inside: what metrics.c keeps and metrics_text.c shows. For these two alone. */
#ifndef BASE_METRICS_SERIES_H
#define BASE_METRICS_SERIES_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/metrics.h"

enum { METRIC_CHAINS = 256 };

/* A series. Values are atomic; the rest never changes once it is in its family. */
struct metric {
    struct metric *newer;   /* in its family, in order of making */
    struct metric *chained; /* in its hash chain */
    const struct metric_family *family;
    uint64_t hash;
    char *values[METRIC_LABELS_MAX]; /* owned */
    _Atomic double value;            /* a histogram's sum */
    _Atomic uint64_t buckets[];      /* a histogram's, not cumulative; the last is +Inf */
};

struct metric_family {
    struct metric_family *newer;
    struct metric_options options;
    size_t labels_count;
    pthread_mutex_t lock; /* guards the lists of series and the count */
    struct metric *oldest, *newest;
    struct metric *chains[METRIC_CHAINS];
    size_t series_count;
    struct metric *other; /* shared by what has no series of its own; the only one without labels */
    atomic_bool other_shown;
};

/* What metrics_on_render was given. */
struct metric_refresh {
    void (*call)(void *context);
    void *context;
};

struct metrics {
    pthread_mutex_t lock; /* guards all below; families stay until the registry closes */
    struct metric_family *oldest, *newest;
    struct metric_refresh refreshes[METRICS_REFRESH_MAX];
    size_t refreshes_count;
};

#endif
