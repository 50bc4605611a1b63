/* Stepping over a value, checking that it is JSON. */
#include "gateway/json_decoder.h"

static bool skip_string(struct json_decoder *decoder) {
    struct json_string string;
    const uint8_t *after = json_scan_string(decoder->next, decoder->end, &string);
    if (!after)
        return json_break(decoder, "expected a string without control characters");
    if (string.non_ascii && !slice_is_utf8(string.raw))
        return json_break(decoder, "expected valid UTF-8");
    if (string.escaped && !json_escapes_valid(string.raw))
        return json_break(decoder, "expected a valid escape");
    decoder->next = after;
    return true;
}

static bool skip_object(struct json_decoder *decoder) {
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, '}'))
        return true;
    do {
        if (json_peek(decoder) != '"')
            return json_break(decoder, "expected a name in quotes");
        if (!skip_string(decoder))
            return false;
        if (json_peek(decoder) != ':')
            return json_break(decoder, "expected ':'");
        decoder->next++;
        json_space(decoder);
        if (!json_skip(decoder))
            return false;
    } while (json_more(decoder, '}'));
    return !decoder->broken;
}

static bool skip_list(struct json_decoder *decoder) {
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, ']'))
        return true;
    do {
        json_space(decoder);
        if (!json_skip(decoder))
            return false;
    } while (json_more(decoder, ']'));
    return !decoder->broken;
}

bool json_skip(struct json_decoder *decoder) {
    struct json_number number;
    const uint8_t *after;
    switch (json_peek(decoder)) {
    case '{':
        return skip_object(decoder);
    case '[':
        return skip_list(decoder);
    case '"':
        return skip_string(decoder);
    case 't':
        return json_read_word(decoder, "true", 4);
    case 'f':
        return json_read_word(decoder, "false", 5);
    case 'n':
        return json_read_word(decoder, "null", 4);
    default:
        after = json_scan_number(decoder->next, decoder->end, &number);
        if (!after)
            return json_break(decoder, "expected a value");
        decoder->next = after;
        return true;
    }
}
