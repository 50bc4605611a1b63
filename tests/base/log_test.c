#include "base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/memory.h"

static uint64_t fixed_now_us(void *context) {
    return *(uint64_t *)context;
}

/* A log that writes into a file that is gone when closed. */
struct logged {
    FILE *file;
    uint64_t now_us;
    struct clock clock;
    struct log *log;
    struct buffer text;
};

static void logged_open(struct logged *logged, enum log_level level) {
    logged->file = tmpfile();
    assert_non_null(logged->file);
    logged->now_us = UINT64_C(1795378611250999);
    logged->clock = (struct clock){fixed_now_us, fixed_now_us, &logged->now_us};
    logged->log = log_open(fileno(logged->file), level, "test", &logged->clock);
    assert_non_null(logged->log);
    buffer_init(&logged->text, 64 << 20);
}

/* Everything written so far. */
static struct slice logged_text(struct logged *logged) {
    buffer_clear(&logged->text);
    rewind(logged->file);
    for (;;) {
        uint8_t *room = buffer_reserve(&logged->text, 65536);
        assert_non_null(room);
        size_t size = fread(room, 1, 65536, logged->file);
        if (size == 0)
            break;
        buffer_advance(&logged->text, size);
    }
    return buffer_slice(&logged->text);
}

static void logged_close(struct logged *logged) {
    assert_null(log_close(logged->log));
    buffer_done(&logged->text);
    fclose(logged->file);
}

static void a_line_is_one_json_object(void **state) {
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_INFO);
    log_line(logged.log, LOG_WARN, "call", LOG_TEXT("method", "Sync"), LOG_INT("code", -3),
             LOG_SLICE("part", SLICE("abc")));
    log_write(logged.log, LOG_INFO, "bare", NULL, 0);
    static const char EXPECTED[] =
        "{\"timestamp\":\"2026-11-22T20:16:51.250Z\",\"level\":\"warn\",\"message\":\"call\","
        "\"component\":\"test\",\"method\":\"Sync\",\"code\":-3,\"part\":\"abc\"}\n"
        "{\"timestamp\":\"2026-11-22T20:16:51.250Z\",\"level\":\"info\",\"message\":\"bare\","
        "\"component\":\"test\"}\n";
    assert_true(slice_equal(logged_text(&logged), slice_text(EXPECTED)));
    logged_close(&logged);
}

static void what_could_break_a_line_is_escaped(void **state) {
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_DEBUG);
    log_line(logged.log, LOG_ERROR, "a\nb", LOG_TEXT("q\"", "\"},{\\\x01\n"),
             LOG_SLICE("bad", SLICE("x\xffy\xc3")), LOG_TEXT("none", NULL));
    static const char EXPECTED[] =
        "{\"timestamp\":\"2026-11-22T20:16:51.250Z\",\"level\":\"error\",\"message\":\"a\\nb\","
        "\"component\":\"test\",\"q\\\"\":\"\\\"},{\\\\\\u0001\\n\","
        "\"bad\":\"x\xef\xbf\xbdy\xef\xbf\xbd\",\"none\":\"\"}\n";
    assert_true(slice_equal(logged_text(&logged), slice_text(EXPECTED)));
    logged_close(&logged);
}

static void lines_below_the_level_are_left_out(void **state) {
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_WARN);
    log_write(logged.log, LOG_DEBUG, "no", NULL, 0);
    log_write(logged.log, LOG_INFO, "no", NULL, 0);
    assert_int_equal(logged_text(&logged).size, 0);
    log_write(logged.log, LOG_WARN, "yes", NULL, 0);
    assert_true(logged_text(&logged).size > 0);
    log_write(NULL, LOG_ERROR, "nowhere", NULL, 0);
    logged_close(&logged);
}

static void long_text_is_cut_between_characters(void **state) {
    (void)state;
    static char text[3 * LOG_TEXT_MAX];
    struct logged logged;
    logged_open(&logged, LOG_INFO);
    text[0] = 'a';
    for (size_t at = 1; at + 2 < sizeof text; at += 2)
        memcpy(text + at, "\xc3\xa9", 3);
    log_line(logged.log, LOG_INFO, "m", LOG_TEXT("long", text));
    struct slice line = logged_text(&logged);
    assert_true(slice_is_utf8(line));
    assert_in_range(line.size, LOG_TEXT_MAX, LOG_TEXT_MAX + 200);
    assert_memory_equal(line.data + line.size - 5, "\xc3\xa9\"}\n", 5);
    logged_close(&logged);
}

static void a_line_without_memory_leaves_a_trace(void **state) {
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        struct logged logged;
        logged_open(&logged, LOG_INFO);
        memory_fail_after(n);
        log_line(logged.log, LOG_INFO, "m", LOG_SLICE("bad", SLICE("\xff")),
                 LOG_TEXT("more", "texttexttexttexttexttexttexttexttexttexttexttexttexttexttext"));
        memory_fail_after(0);
        struct slice line = logged_text(&logged);
        assert_true(line.size > 0);
        assert_int_equal(line.data[line.size - 1], '\n');
        assert_true(slice_equal(line, SLICE("{\"level\":\"error\",\"message\":\"a log line was "
                                            "lost\"}\n")));
        logged_close(&logged);
    }
    memory_fail_after(1);
    assert_null(log_open(1, LOG_INFO, "test", clock_system()));
    memory_fail_after(0);
    assert_null(log_close(NULL));
}

enum { WRITERS = 4, LINES = 500 };

static void *write_lines(void *log) {
    for (int i = 0; i < LINES; i++)
        log_line(
            log, LOG_INFO, "line", LOG_INT("i", i),
            LOG_TEXT("padding", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state) {
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_INFO);
    pthread_t threads[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, logged.log), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    struct slice rest = logged_text(&logged);
    size_t lines = 0;
    for (; rest.size > 0; lines++) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        assert_non_null(end);
        struct slice line = slice_first(rest, (size_t)(end - rest.data));
        assert_true(slice_starts_with(line, SLICE("{\"timestamp\":\"2026")));
        assert_memory_equal(line.data + line.size - 4, "xx\"}", 4);
        rest = slice_after(rest, line.size + 1);
    }
    assert_int_equal(lines, WRITERS * LINES);
    logged_close(&logged);
}

static void a_broken_descriptor_is_no_reason_to_stop(void **state) {
    (void)state;
    struct log *log = log_open(-1, LOG_INFO, "test", clock_system());
    log_write(log, LOG_ERROR, "nobody reads this", NULL, 0);
    log_close(log);
}

static void levels_parse_by_name(void **state) {
    (void)state;
    enum log_level level = LOG_DEBUG;
    assert_true(log_level_parse(SLICE("error"), &level));
    assert_int_equal(level, LOG_ERROR);
    assert_true(log_level_parse(SLICE("debug"), &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse(SLICE("Error"), &level));
    assert_false(log_level_parse(SLICE(""), &level));
    assert_false(log_level_parse(SLICE("warning"), &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_json_object),
        cmocka_unit_test(what_could_break_a_line_is_escaped),
        cmocka_unit_test(lines_below_the_level_are_left_out),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(a_line_without_memory_leaves_a_trace),
        cmocka_unit_test(lines_of_several_threads_stay_whole),
        cmocka_unit_test(a_broken_descriptor_is_no_reason_to_stop),
        cmocka_unit_test(levels_parse_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
