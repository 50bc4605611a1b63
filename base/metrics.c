#include "base/metrics.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "base/metrics_series.h"

struct metrics *metrics_open(void) {
    struct metrics *metrics = memory_zalloc(1, sizeof *metrics);
    if (metrics)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

static struct metric *metric_free(struct metric *metric) {
    if (!metric)
        return NULL;
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++)
        memory_free(metric->values[i]);
    memory_free(metric);
    return NULL;
}

/* Releases a family and its series; the half-built too. */
static struct metric_family *metric_family_free(struct metric_family *family) {
    if (!family)
        return NULL;
    for (struct metric *metric = family->oldest, *newer; metric; metric = newer) {
        newer = metric->newer;
        metric_free(metric);
    }
    metric_free(family->other);
    pthread_mutex_destroy(&family->lock);
    memory_free(family);
    return NULL;
}

struct metrics *metrics_close(struct metrics *metrics) {
    if (!metrics)
        return NULL;
    for (struct metric_family *family = metrics->oldest, *newer; family; family = newer) {
        newer = family->newer;
        metric_family_free(family);
    }
    pthread_mutex_destroy(&metrics->lock);
    memory_free(metrics);
    return NULL;
}

/* Makes a series outside the family's lists, or returns NULL. */
static struct metric *metric_make(const struct metric_family *family, const char *const *values,
                                  uint64_t hash) {
    bool histogram = family->options.kind == METRIC_HISTOGRAM;
    size_t buckets = histogram ? family->options.bounds_count + 1 : 0;
    struct metric *metric = memory_zalloc(1, sizeof *metric + buckets * sizeof metric->buckets[0]);
    if (!metric)
        return NULL;
    metric->family = family;
    metric->hash = hash;
    for (size_t i = 0; i < family->labels_count; i++) {
        const char *value = values[i] ? values[i] : "";
        metric->values[i] = memory_copy_text(value, strlen(value));
        if (!metric->values[i])
            return metric_free(metric);
    }
    return metric;
}

static struct metric_family *metric_family_make(const struct metric_options *options) {
    static const char *const OTHER[METRIC_LABELS_MAX] = {"other", "other", "other",
                                                         "other", "other", "other"};
    struct metric_family *family = memory_zalloc(1, sizeof *family);
    if (!family)
        return NULL;
    pthread_mutex_init(&family->lock, NULL);
    family->options = *options;
    while (options->labels && options->labels[family->labels_count])
        family->labels_count++;
    assert(family->labels_count <= METRIC_LABELS_MAX);
    family->other = metric_make(family, OTHER, 0);
    if (!family->other)
        return metric_family_free(family);
    atomic_init(&family->other_shown, family->labels_count == 0);
    return family;
}

struct metric_family *metric_family_add(struct metrics *metrics,
                                        const struct metric_options *options) {
    assert(metrics);
    assert(options->name);
    assert(options->help);
    pthread_mutex_lock(&metrics->lock);
    struct metric_family *family = metrics->oldest;
    while (family && strcmp(family->options.name, options->name) != 0)
        family = family->newer;
    assert(!family || family->options.kind == options->kind);
    if (!family && (family = metric_family_make(options))) {
        if (metrics->newest)
            metrics->newest->newer = family;
        else
            metrics->oldest = family;
        metrics->newest = family;
    }
    pthread_mutex_unlock(&metrics->lock);
    return family;
}

static struct metric *metric_find(const struct metric_family *family, const char *const *values,
                                  uint64_t hash) {
    struct metric *metric = family->chains[hash % METRIC_CHAINS];
    for (; metric; metric = metric->chained) {
        size_t same = 0;
        while (same < family->labels_count &&
               strcmp(metric->values[same], values[same] ? values[same] : "") == 0)
            same++;
        if (metric->hash == hash && same == family->labels_count)
            return metric;
    }
    return NULL;
}

/* Makes a series and puts it into the family's lists, or returns NULL. */
static struct metric *metric_add_series(struct metric_family *family, const char *const *values,
                                        uint64_t hash) {
    if (family->series_count == METRIC_SERIES_MAX)
        return NULL;
    struct metric *metric = metric_make(family, values, hash);
    if (!metric)
        return NULL;
    if (family->newest)
        family->newest->newer = metric;
    else
        family->oldest = metric;
    family->newest = metric;
    metric->chained = family->chains[hash % METRIC_CHAINS];
    family->chains[hash % METRIC_CHAINS] = metric;
    family->series_count++;
    return metric;
}

struct metric *metric_series(struct metric_family *family, const char *const *values) {
    if (!family || family->labels_count == 0)
        return family ? family->other : NULL;
    uint64_t hash = 0;
    for (size_t i = 0; i < family->labels_count; i++)
        hash = slice_hash(slice_text(values[i]), hash + 1);
    pthread_mutex_lock(&family->lock);
    struct metric *metric = metric_find(family, values, hash);
    if (!metric)
        metric = metric_add_series(family, values, hash);
    pthread_mutex_unlock(&family->lock);
    if (metric)
        return metric;
    atomic_store(&family->other_shown, true);
    return family->other;
}

/* Adds without a lock: tries again when another thread came between. */
static void value_add(_Atomic double *value, double amount) {
    double before = atomic_load_explicit(value, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(value, &before, before + amount,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void metric_add(struct metric *metric, double amount) {
    if (!metric)
        return;
    assert(metric->family->options.kind != METRIC_HISTOGRAM);
    assert(metric->family->options.kind != METRIC_COUNTER || amount >= 0);
    value_add(&metric->value, amount);
}

void metric_set(struct metric *metric, double value) {
    if (!metric)
        return;
    assert(metric->family->options.kind != METRIC_HISTOGRAM);
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value) {
    if (!metric)
        return;
    const struct metric_options *options = &metric->family->options;
    assert(options->kind == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < options->bounds_count && !(value <= options->bounds[bucket]))
        bucket++;
    value_add(&metric->value, value);
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
}

double metric_value(const struct metric *metric) {
    if (!metric)
        return 0;
    const struct metric_options *options = &metric->family->options;
    if (options->kind != METRIC_HISTOGRAM)
        return atomic_load_explicit(&metric->value, memory_order_relaxed);
    uint64_t count = 0;
    for (size_t i = 0; i <= options->bounds_count; i++)
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    return (double)count;
}

void metrics_on_render(struct metrics *metrics, void (*refresh)(void *context), void *context) {
    assert(refresh);
    pthread_mutex_lock(&metrics->lock);
    assert(metrics->refreshes_count < METRICS_REFRESH_MAX);
    metrics->refreshes[metrics->refreshes_count++] = (struct metric_refresh){refresh, context};
    pthread_mutex_unlock(&metrics->lock);
}
