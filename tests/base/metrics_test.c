#include "base/metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/memory.h"

static const char *const LABELS[] = {"method", "code", NULL};

static const struct metric_options COUNTER = {.kind = METRIC_COUNTER,
                                              .name = "calls_total",
                                              .help = "Calls, by method\nand \"code\" \\.",
                                              .labels = LABELS};

static const struct metric_options GAUGE = {
    .kind = METRIC_GAUGE, .name = "sessions", .help = "Open sessions."};

static const double BOUNDS[] = {0.005, 0.1, 1};

static const struct metric_options HISTOGRAM = {.kind = METRIC_HISTOGRAM,
                                                .name = "seconds",
                                                .help = "Durations.",
                                                .bounds = BOUNDS,
                                                .bounds_count = 3};

static void assert_rendered(struct metrics *metrics, const char *expected) {
    struct buffer out;
    buffer_init(&out, 10 << 20);
    metrics_render(metrics, &out);
    if (!slice_equal(buffer_slice(&out), slice_text(expected)))
        fail_msg("rendered:\n%.*s", (int)out.size, out.data);
    buffer_done(&out);
}

static bool is_rendered(struct metrics *metrics, const char *part) {
    struct buffer out;
    buffer_init(&out, 10 << 20);
    metrics_render(metrics, &out);
    buffer_append_byte(&out, '\0');
    bool found = strstr((const char *)out.data, part) != NULL;
    buffer_done(&out);
    return found;
}

static void families_are_shown_in_order_and_escaped(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric_family *counter = metric_family_add(metrics, &COUNTER);
    metric_set(metric_series(metric_family_add(metrics, &GAUGE), NULL), -2.5);
    metric_add(metric_series(counter, (const char *[]){"Sync", "0"}), 1);
    metric_add(metric_series(counter, (const char *[]){"a\"b\\c\nd", NULL}), 2);
    metric_add(metric_series(counter, (const char *[]){"Sync", "0"}), 41);
    metric_add(metric_series(counter, (const char *[]){"\xff", "0"}), 1e21);
    assert_rendered(metrics, "# HELP calls_total Calls, by method\\nand \"code\" \\\\.\n"
                             "# TYPE calls_total counter\n"
                             "calls_total{method=\"Sync\",code=\"0\"} 42\n"
                             "calls_total{method=\"a\\\"b\\\\c\\nd\",code=\"\"} 2\n"
                             "calls_total{method=\"\xef\xbf\xbd\",code=\"0\"} 1e+21\n"
                             "# HELP sessions Open sessions.\n"
                             "# TYPE sessions gauge\n"
                             "sessions -2.5\n");
    assert_null(metrics_close(metrics));
    assert_null(metrics_close(NULL));
}

static void numbers_beyond_the_finite_have_their_words(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric *gauge = metric_series(metric_family_add(metrics, &GAUGE), NULL);
    metric_set(gauge, (double)INFINITY);
    assert_true(is_rendered(metrics, "sessions +Inf\n"));
    metric_set(gauge, -(double)INFINITY);
    assert_true(is_rendered(metrics, "sessions -Inf\n"));
    metric_set(gauge, (double)NAN);
    assert_true(is_rendered(metrics, "sessions NaN\n"));
    metrics_close(metrics);
}

static void a_histogram_counts_up_to_each_bound(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric *histogram = metric_series(metric_family_add(metrics, &HISTOGRAM), NULL);
    static const double VALUES[] = {0, 0.005, 0.0051, 0.1, 0.5, 1, 1.5, 100};
    for (size_t i = 0; i < sizeof VALUES / sizeof VALUES[0]; i++)
        metric_observe(histogram, VALUES[i]);
    assert_true(metric_value(histogram) == 8);
    assert_rendered(metrics, "# HELP seconds Durations.\n"
                             "# TYPE seconds histogram\n"
                             "seconds_bucket{le=\"0.005\"} 2\n"
                             "seconds_bucket{le=\"0.1\"} 4\n"
                             "seconds_bucket{le=\"1\"} 6\n"
                             "seconds_bucket{le=\"+Inf\"} 8\n"
                             "seconds_sum 103.1101\n"
                             "seconds_count 8\n");
    metrics_close(metrics);
}

static void a_histograms_bound_stands_after_its_labels(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric_options options = HISTOGRAM;
    options.labels = LABELS;
    metric_observe(
        metric_series(metric_family_add(metrics, &options), (const char *[]){"Sync", "0"}), 5);
    assert_true(is_rendered(metrics, "seconds_bucket{method=\"Sync\",code=\"0\",le=\"1\"} 0\n"));
    assert_true(is_rendered(metrics, "seconds_bucket{method=\"Sync\",code=\"0\",le=\"+Inf\"} 1\n"));
    assert_true(is_rendered(metrics, "seconds_sum{method=\"Sync\",code=\"0\"} 5\n"));
    metrics_close(metrics);
}

static void the_same_name_and_labels_are_the_same_series(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric_family *family = metric_family_add(metrics, &COUNTER);
    assert_ptr_equal(family, metric_family_add(metrics, &COUNTER));
    struct metric *series = metric_series(family, (const char *[]){"a", "b"});
    assert_ptr_equal(series, metric_series(family, (const char *[]){"a", "b"}));
    assert_ptr_not_equal(series, metric_series(family, (const char *[]){"b", "a"}));
    assert_ptr_not_equal(series, metric_series(family, (const char *[]){"ab", ""}));
    metrics_close(metrics);
}

static void series_beyond_the_bound_fold_into_other(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric_family *family = metric_family_add(metrics, &COUNTER);
    assert_false(is_rendered(metrics, "other"));
    struct metric *first = NULL;
    for (int i = 0; i < METRIC_SERIES_MAX + 10; i++) {
        char value[16];
        snprintf(value, sizeof value, "%d", i);
        struct metric *metric = metric_series(family, (const char *[]){"m", value});
        metric_add(metric, 1);
        first = first ? first : metric;
    }
    assert_true(is_rendered(metrics, "calls_total{method=\"other\",code=\"other\"} 10\n"));
    assert_ptr_equal(first, metric_series(family, (const char *[]){"m", "0"}));
    assert_true(metric_value(first) == 1);
    metrics_close(metrics);
}

static void without_memory_updates_go_nowhere_or_to_other(void **state) {
    (void)state;
    memory_fail_after(1);
    assert_null(metrics_open());
    memory_fail_after(0);
    struct metrics *metrics = metrics_open();
    for (uint64_t n = 1; n <= 4; n++) { /* the family, its other series, and two labels */
        memory_fail_after(n);
        assert_null(metric_family_add(metrics, &COUNTER));
    }
    memory_fail_after(0);
    assert_null(metric_series(NULL, NULL));
    metric_add(NULL, 1);
    metric_set(NULL, 1);
    metric_observe(NULL, 1);
    assert_true(metric_value(NULL) == 0);
    struct metric_family *family = metric_family_add(metrics, &COUNTER);
    for (uint64_t n = 1; n <= 3; n++) {
        memory_fail_after(n);
        metric_add(metric_series(family, (const char *[]){"a", "b"}), 1);
    }
    memory_fail_after(0);
    assert_true(is_rendered(metrics, "calls_total{method=\"other\",code=\"other\"} 3\n"));
    assert_false(is_rendered(metrics, "method=\"a\""));
    metrics_close(metrics);
}

enum { THREADS = 4, UPDATES = 20000 };

static void *update(void *context) {
    struct metrics *metrics = context;
    struct metric *histogram = metric_series(metric_family_add(metrics, &HISTOGRAM), NULL);
    struct metric_family *family = metric_family_add(metrics, &COUNTER);
    for (int i = 0; i < UPDATES; i++) {
        metric_observe(histogram, 0.5);
        metric_add(metric_series(family, (const char *[]){"m", i % 2 ? "1" : "0"}), 1);
    }
    return NULL;
}

static void no_update_of_several_threads_is_lost(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, update, metrics), 0);
    for (int i = 0; i < 20; i++)
        is_rendered(metrics, "calls_total");
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(is_rendered(metrics, "calls_total{method=\"m\",code=\"1\"} 40000\n"));
    assert_true(is_rendered(metrics, "seconds_sum 40000\n"));
    assert_true(is_rendered(metrics, "seconds_count 80000\n"));
    metrics_close(metrics);
}

static void set_from_outside(void *context) {
    metric_set(context, 7);
}

static void gauges_are_refreshed_at_each_render(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    struct metric *gauge = metric_series(metric_family_add(metrics, &GAUGE), NULL);
    metrics_on_render(metrics, set_from_outside, gauge);
    assert_true(is_rendered(metrics, "sessions 7\n"));
    metric_set(gauge, 1);
    assert_true(is_rendered(metrics, "sessions 7\n"));
    metrics_close(metrics);
}

/* The value of a series without labels. */
static double rendered_value(struct metrics *metrics, const char *name) {
    struct buffer out;
    buffer_init(&out, 1 << 20);
    metrics_render(metrics, &out);
    buffer_append_byte(&out, '\0');
    char line[100];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *found = strstr((const char *)out.data, line);
    assert_non_null(found);
    double value = strtod(found + strlen(line), NULL);
    buffer_done(&out);
    return value;
}

static void the_process_shows_itself(void **state) {
    (void)state;
    struct metrics *metrics = metrics_open();
    metrics_add_process(metrics);
    assert_true(rendered_value(metrics, "process_resident_memory_bytes") > 100000);
    assert_true(rendered_value(metrics, "process_start_time_seconds") > 1.6e9);
    assert_true(rendered_value(metrics, "process_cpu_seconds_total") >= 0);
    assert_true(rendered_value(metrics, "process_max_fds") > 0);
    double fds = rendered_value(metrics, "process_open_fds");
    FILE *file = tmpfile();
    assert_true(rendered_value(metrics, "process_open_fds") == fds + 1);
    fclose(file);
    metrics_close(metrics);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_shown_in_order_and_escaped),
        cmocka_unit_test(numbers_beyond_the_finite_have_their_words),
        cmocka_unit_test(a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(a_histograms_bound_stands_after_its_labels),
        cmocka_unit_test(the_same_name_and_labels_are_the_same_series),
        cmocka_unit_test(series_beyond_the_bound_fold_into_other),
        cmocka_unit_test(without_memory_updates_go_nowhere_or_to_other),
        cmocka_unit_test(no_update_of_several_threads_is_lost),
        cmocka_unit_test(gauges_are_refreshed_at_each_render),
        cmocka_unit_test(the_process_shows_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
