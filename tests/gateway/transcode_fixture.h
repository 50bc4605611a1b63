/* Transcode fixture: the sample schema, and expectations about it in one line each. */
#ifndef TESTS_GATEWAY_TRANSCODE_FIXTURE_H
#define TESTS_GATEWAY_TRANSCODE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/transcode.h"

enum { FIXTURE_BYTES_MAX = 64 << 20 };

/* Opens and closes the sample schema; for cmocka_run_group_tests. */
int fixture_open(void **state);
int fixture_close(void **state);

/* The sample schema, and one of its messages by its short name; "old.Old" too. */
const struct schema *fixture_schema(void);
const struct schema_message *fixture_message(const char *name);

/* Reads hexadecimal digits, blanks skipped, into `out`. */
void fixture_hex(const char *hex, struct buffer *out);

/* JSON to wire, strictly or as the options say, is exactly these bytes. */
void expect_wire(const char *message, const char *json, const char *hex);
void expect_wire_options(const char *message, const char *json,
                         const struct transcode_options *options, const char *hex);

/* Wire to JSON is exactly this text. */
void expect_json(const char *message, const char *hex, const char *json);

/* Wire to JSON is refused, with this path and a sentence that has `part`. */
void expect_json_refused(const char *message, const char *hex, const char *path, const char *part);

/* JSON to wire and back is `back`, or the same text where that is NULL. */
void expect_round(const char *message, const char *json, const char *back);

/* JSON to wire is refused, with this path and a sentence that has `part`. */
void expect_refused(const char *message, const char *json, const char *path, const char *part);

#endif
