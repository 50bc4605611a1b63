/* google.protobuf.Any: a message that names its type. */
#include "gateway/json_decoder.h"

enum { TAG_TYPE_URL = 1 << 3 | WIRE_LEN, TAG_VALUE = 2 << 3 | WIRE_LEN };

/* How often, in all, the text may be looked through for types that do not come first. */
enum { ANY_AHEAD_MAX = 16 };

/* Counts what was looked ahead: each Any in an Any whose type comes last is looked through again.
 */
static bool count_ahead(struct json_decoder *decoder, const uint8_t *begin) {
    decoder->ahead_size += (size_t)(decoder->next - begin);
    if (decoder->ahead_size <= ANY_AHEAD_MAX * (size_t)(decoder->end - decoder->begin))
        return true;
    return json_fail(decoder, "TOO_DEEP",
                     "too many Any's in each other: \"@type\" has to come first");
}

/* Looks ahead for "@type" in the object that is next; SLICE_EMPTY when there is none. The decoder
 * is then where it was. */
static bool find_type(struct json_decoder *decoder, struct slice *ret_url, bool *ret_empty) {
    struct json_mark mark = json_mark_of(decoder);
    struct slice url = SLICE_EMPTY, name;
    if (!json_enter(decoder))
        return false;
    bool more = !json_is_empty(decoder, '}');
    *ret_empty = !more;
    while (more && json_read_name(decoder, &name)) {
        if (slice_equal(name, SLICE("@type"))) {
            if (json_peek(decoder) != '"')
                return json_fail_kind(decoder, "a type's address in \"@type\"");
            if (!json_read_string(decoder, &url))
                return false;
            if (!arena_copy(&decoder->arena, url, &url))
                return json_break_memory(decoder);
            break;
        }
        more = json_skip(decoder) && json_more(decoder, '}');
    }
    if (decoder->broken || !count_ahead(decoder, mark.next))
        return false;
    if (!*ret_empty)
        decoder->next = mark.next;
    decoder->depth = mark.depth;
    *ret_url = url;
    return true;
}

/* A type with a JSON form of its own stands in "value". */
static bool read_any_value(struct json_decoder *decoder, const struct schema_message *message) {
    bool given = false, typed = false;
    if (!json_enter(decoder))
        return false;
    do {
        struct slice name;
        if (!json_read_name(decoder, &name))
            return false;
        if (slice_equal(name, SLICE("@type"))) {
            if (typed)
                return json_fail(decoder, "DUPLICATE_FIELD", "the type is there twice");
            typed = true;
            if (!json_skip(decoder))
                return false;
            continue;
        }
        json_step_push(decoder)->key = name;
        if (!slice_equal(name, SLICE("value"))) {
            if (!decoder->options->ignore_unknown)
                return json_fail(decoder, "UNKNOWN_FIELD", "there is no such field");
            if (!json_skip(decoder))
                return false;
        } else if (given) {
            return json_fail(decoder, "DUPLICATE_FIELD", "the field is there twice");
        } else if (!json_read_message(decoder, message, NULL, NULL)) {
            return false;
        } else {
            given = true;
        }
        decoder->step_count--;
    } while (json_more(decoder, '}'));
    if (!decoder->broken && !given)
        return json_fail(decoder, "INVALID_VALUE", "\"value\" is missing");
    return !decoder->broken;
}

/* The message that a type's URL names; NULL when it is at fault. */
static const struct schema_message *any_type_resolve(struct json_decoder *decoder,
                                                     struct slice url) {
    size_t at = url.size;
    while (at > 0 && url.data[at - 1] != '/')
        at--;
    if (at == 0 || at == url.size) {
        json_fail(decoder, "INVALID_VALUE",
                  "\"@type\" must be such as \"type.googleapis.com/package.Message\"");
        return NULL;
    }
    const struct schema_message *message =
        schema_message_find(decoder->schema, slice_after(url, at));
    if (!message)
        json_fail(decoder, "INVALID_VALUE", "the type \"%.*s\" is not known", (int)url.size,
                  url.data);
    return message;
}

bool json_read_any(struct json_decoder *decoder) {
    static const uint8_t URL_TAG = TAG_TYPE_URL;
    struct slice url = SLICE_EMPTY;
    bool empty = false;
    if (json_peek(decoder) != '{')
        return json_fail_kind(decoder, "an object");
    if (!find_type(decoder, &url, &empty))
        return false;
    if (empty)
        return true;
    if (!url.data)
        return json_fail(decoder, "INVALID_VALUE", "\"@type\" is missing");
    const struct schema_message *message = any_type_resolve(decoder, url);
    if (!message)
        return false;
    json_write_text(decoder, &URL_TAG, 1, url);
    size_t begin = decoder->out->size;
    buffer_append_byte(decoder->out, TAG_VALUE);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    bool well = message->form == SCHEMA_FORM_FIELDS ? json_read_fields(decoder, message, NULL, true)
                                                    : read_any_value(decoder, message);
    if (!well)
        return false;
    if (decoder->out->size == frame.at + 1)
        buffer_truncate(decoder->out, begin);
    else
        wire_frame_close(&decoder->frames, decoder->out, frame);
    return true;
}
