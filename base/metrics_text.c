#include "base/metrics.h"

#include <assert.h>
#include <math.h>

#include "base/json_text.h"
#include "base/metrics_series.h"

/* Appends text with '\\' and line ends escaped, and quotes too where `quoted`. */
static void text_append_escaped(struct buffer *out, const char *text, bool quoted) {
    for (const char *at = text; *at; at++) {
        if (*at == '\n')
            buffer_append(out, SLICE("\\n"));
        else if (*at == '\\')
            buffer_append(out, SLICE("\\\\"));
        else if (quoted && *at == '"')
            buffer_append(out, SLICE("\\\""));
        else
            buffer_append_byte(out, (uint8_t)*at);
    }
}

/* A label value may hold what a caller sent; the format wants UTF-8. */
static void label_append(struct buffer *out, const char *name, const char *value) {
    buffer_append_format(out, "%s=\"", name);
    if (slice_is_utf8(slice_text(value))) {
        text_append_escaped(out, value, true);
    } else {
        struct buffer valid;
        buffer_init(&valid, strlen(value) * 3 + 1);
        buffer_append_utf8(&valid, slice_text(value));
        buffer_append_byte(&valid, '\0');
        if (buffer_status(&valid) == SYNC_OK)
            text_append_escaped(out, (const char *)valid.data, true);
        buffer_done(&valid);
    }
    buffer_append_byte(out, '"');
}

static void value_append(struct buffer *out, double value) {
    if (isnan(value))
        buffer_append(out, SLICE("NaN"));
    else if (isinf(value))
        buffer_append(out, value > 0 ? SLICE("+Inf") : SLICE("-Inf"));
    else
        json_append_number(out, value);
}

/* Appends one sample: name, suffix, labels (with `bound` as label "le" where there is one), value.
 */
static void sample_append(struct buffer *out, const struct metric *metric, const char *suffix,
                          const double *bound, double value) {
    const struct metric_family *family = metric->family;
    buffer_append_format(out, "%s%s", family->options.name, suffix);
    char separator = '{';
    for (size_t i = 0; i < family->labels_count; i++, separator = ',') {
        buffer_append_byte(out, (uint8_t)separator);
        label_append(out, family->options.labels[i], metric->values[i]);
    }
    if (bound) {
        buffer_append_byte(out, (uint8_t)separator);
        buffer_append(out, SLICE("le=\""));
        value_append(out, *bound);
        buffer_append_byte(out, '"');
        separator = ',';
    }
    if (separator == ',')
        buffer_append_byte(out, '}');
    buffer_append_byte(out, ' ');
    value_append(out, value);
    buffer_append_byte(out, '\n');
}

static void metric_append(struct buffer *out, const struct metric *metric) {
    const struct metric_options *options = &metric->family->options;
    double value = atomic_load_explicit(&metric->value, memory_order_relaxed);
    if (options->kind != METRIC_HISTOGRAM) {
        sample_append(out, metric, "", NULL, value);
        return;
    }
    /* The count is the last bucket's, so that both agree while others observe. */
    uint64_t count = 0;
    for (size_t i = 0; i <= options->bounds_count; i++) {
        double bound = i < options->bounds_count ? options->bounds[i] : (double)INFINITY;
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        sample_append(out, metric, "_bucket", &bound, (double)count);
    }
    sample_append(out, metric, "_sum", NULL, value);
    sample_append(out, metric, "_count", NULL, (double)count);
}

static void metric_family_append(struct buffer *out, struct metric_family *family) {
    static const char *const KINDS[] = {"counter", "gauge", "histogram"};
    const struct metric_options *options = &family->options;
    buffer_append_format(out, "# HELP %s ", options->name);
    text_append_escaped(out, options->help, false);
    buffer_append_format(out, "\n# TYPE %s %s\n", options->name, KINDS[options->kind]);
    pthread_mutex_lock(&family->lock);
    for (const struct metric *metric = family->oldest; metric; metric = metric->newer)
        metric_append(out, metric);
    pthread_mutex_unlock(&family->lock);
    if (atomic_load(&family->other_shown))
        metric_append(out, family->other);
}

void metrics_render(struct metrics *metrics, struct buffer *out) {
    assert(metrics);
    assert(out);
    struct metric_refresh refreshes[METRICS_REFRESH_MAX];
    pthread_mutex_lock(&metrics->lock);
    size_t count = metrics->refreshes_count;
    memcpy(refreshes, metrics->refreshes, sizeof refreshes);
    pthread_mutex_unlock(&metrics->lock);
    for (size_t i = 0; i < count; i++) /* without the lock: they may look families up */
        refreshes[i].call(refreshes[i].context);
    pthread_mutex_lock(&metrics->lock);
    for (struct metric_family *family = metrics->oldest; family; family = family->newer)
        metric_family_append(out, family);
    pthread_mutex_unlock(&metrics->lock);
}
