/* JSON text: the scalars of RFC 8259, read strictly and written as RFC 8785 (JCS) writes them. */
#ifndef BASE_JSON_TEXT_H
#define BASE_JSON_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends `text` (valid UTF-8) as a JSON string with its quotes, escaping as RFC 8785
 * section 3.2.2.2: \b \t \n \f \r
 * \" \\ and \u00xx for other controls; everything else as it is. */
void json_append_string(struct buffer *out, struct slice text);

/* Appends a finite double in ECMAScript's shortest form (RFC 8785 section 3.2.2.3), which reads
 * back to the same value; -0 becomes 0. */
void json_append_number(struct buffer *out, double value);

/* Appends a float the same way, with the shortest digits that read back to the same float. */
void json_append_float(struct buffer *out, float value);

/* Reads a JSON number (the whole slice, RFC 8259 grammar) to the nearest double. False when
 * malformed or beyond a double's range. */
bool json_parse_number(struct slice text, double *ret_value);

/* Decodes the content of a JSON string, without its quotes, to UTF-8 appended to `out`. False on a
 * bad escape, a lone surrogate, a control character, a bare quote or invalid UTF-8; what was
 * decoded before it may then stand in `out`. A failure of `out` is told by buffer_status alone. */
bool json_decode_string(struct slice content, struct buffer *out);

/* Base64 of RFC 4648. Encoding appends padded standard, or unpadded url-safe text. Decoding takes
 * either alphabet (not mixed rules: any of + / - _), padded or not; false on other characters,
 * misplaced padding or non-zero spare bits, and then `out` is as before. A failure of `out` is told
 * by buffer_status alone. Url-safe text without padding, at least a character of it, is valid. */
void base64_append(struct buffer *out, struct slice bytes);
void base64url_append(struct buffer *out, struct slice bytes);
bool base64url_is_valid(struct slice text);
bool base64_decode(struct slice text, struct buffer *out);

/* base64_decode that takes non-zero spare bits too, as protobuf's JSON readers do: several texts
 * then stand for one content. */
bool base64_decode_loose(struct slice text, struct buffer *out);

#endif
