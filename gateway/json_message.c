/* Messages: objects as fields, lists, maps, and messages with a JSON form of their own. */
#include <assert.h>

#include "base/hex.h"
#include "base/json_text.h"
#include "gateway/json_decoder.h"

bool json_seen_init(struct json_decoder *decoder, struct json_seen *seen,
                    const struct schema_message *message) {
    size_t count = message->field_count + message->oneof_count;
    memset(seen->few, 0, sizeof seen->few);
    seen->bits = seen->few;
    if (count <= 64 * sizeof seen->few / sizeof *seen->few)
        return true;
    seen->bits = arena_zalloc(&decoder->arena, count / 64 + 1, sizeof *seen->bits);
    return seen->bits || json_break_memory(decoder);
}

bool json_decode_bytes(struct json_decoder *decoder, const struct schema_field *field,
                       struct slice text) {
    if (field->hex)
        return hex_decode(text, decoder->out) ||
               json_fail(decoder, "INVALID_VALUE", "expected hexadecimal digits, two a byte");
    return base64_decode_loose(text, decoder->out) ||
           json_fail(decoder, "INVALID_VALUE", "expected base64 text");
}

static bool read_bytes(struct json_decoder *decoder, const struct schema_field *field,
                       bool always) {
    struct slice text;
    if (json_peek(decoder) != '"')
        return json_fail_kind(decoder, field->hex ? "hexadecimal text" : "base64 text");
    if (!json_read_string(decoder, &text))
        return false;
    if (text.size == 0 && !always)
        return true;
    json_write_tag(decoder, field);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    if (!json_decode_bytes(decoder, field, text))
        return false;
    wire_frame_close(&decoder->frames, decoder->out, frame);
    return true;
}

static bool read_message_field(struct json_decoder *decoder, const struct schema_field *field,
                               const struct json_params *params) {
    json_write_tag(decoder, field);
    if (field->type == SCHEMA_GROUP) {
        if (!json_read_message(decoder, field->message, field, params))
            return false;
        wire_write_tag(decoder->out, field->number, WIRE_EGROUP);
        return true;
    }
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    if (!json_read_message(decoder, field->message, field, params))
        return false;
    wire_frame_close(&decoder->frames, decoder->out, frame);
    if (field->set_item)
        buffer_append_byte(decoder->out, WIRE_SET_ITEM_END);
    return true;
}

static inline bool read_string(struct json_decoder *decoder, const struct schema_field *field,
                               bool always) {
    struct slice text;
    if (json_peek(decoder) != '"')
        return json_fail_kind(decoder, "a string");
    if (!json_read_string(decoder, &text))
        return false;
    if (text.size > 0 || always)
        json_write_string(decoder, field, text);
    return true;
}

/* Reads one value with its tag. Without `always` the default value is left out. */
static bool read_single(struct json_decoder *decoder, const struct schema_field *field, bool always,
                        const struct json_params *params) {
    uint64_t bits = 0;
    switch (field->type) {
    case SCHEMA_STRING:
        return read_string(decoder, field, always);
    case SCHEMA_BYTES:
        return read_bytes(decoder, field, always);
    case SCHEMA_MESSAGE:
    case SCHEMA_GROUP:
        return read_message_field(decoder, field, params);
    default:
        if (!json_read_bits(decoder, field, &bits))
            return false;
        if (decoder->dropped || (bits == 0 && !always))
            return true;
        json_write_tag(decoder, field);
        json_write_bits(decoder, field->type, bits);
        return true;
    }
}

/* Whether null is a value of the type rather than none. */
static bool takes_null(const struct schema_field *field) {
    if (field->message)
        return field->message->form == SCHEMA_FORM_VALUE;
    return field->enumeration && field->enumeration->null_value;
}

static bool read_element(struct json_decoder *decoder, const struct schema_field *field) {
    uint64_t bits = 0;
    decoder->dropped = false;
    if (json_peek(decoder) == 'n' && !takes_null(field))
        return json_fail(decoder, "INVALID_VALUE", "null cannot be in a list");
    if (!field->packed)
        return read_single(decoder, field, true, NULL);
    if (!json_read_bits(decoder, field, &bits))
        return false;
    if (!decoder->dropped)
        json_write_bits(decoder, field->type, bits);
    return true;
}

/* Writes an element that stands for one at fault. */
static void write_stand_in(struct json_decoder *decoder, const struct schema_field *field) {
    if (!field->packed)
        json_write_tag(decoder, field);
    if (field->type == SCHEMA_GROUP)
        wire_write_tag(decoder->out, field->number, WIRE_EGROUP);
    else if (field->type == SCHEMA_MESSAGE || field->type == SCHEMA_STRING ||
             field->type == SCHEMA_BYTES)
        buffer_append_byte(decoder->out, 0);
    else
        json_write_bits(decoder, field->type, 0);
}

static bool read_list(struct json_decoder *decoder, const struct schema_field *field) {
    if (json_peek(decoder) != '[')
        return json_fail_kind(decoder, "a list");
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, ']'))
        return true;
    size_t begin = decoder->out->size;
    struct wire_frame frame = {0};
    if (field->packed) {
        json_write_tag(decoder, field);
        frame = wire_frame_open(&decoder->frames, decoder->out);
    }
    struct json_step *step = json_step_push(decoder);
    size_t index = 0;
    do {
        step->index = index++;
        struct json_mark mark = json_mark_of(decoder);
        if (!read_element(decoder, field)) {
            if (!json_recover(decoder, &mark))
                return false;
            write_stand_in(decoder, field);
        }
    } while (json_more(decoder, ']'));
    decoder->step_count--;
    if (field->packed && decoder->out->size == frame.at + 1)
        buffer_truncate(decoder->out, begin);
    else if (field->packed)
        wire_frame_close(&decoder->frames, decoder->out, frame);
    decoder->dropped = false;
    return !decoder->broken;
}

/* Writes a map's key from its name, and notes it. */
static bool read_map_key(struct json_decoder *decoder, const struct schema_field *key,
                         size_t object, struct slice name) {
    uint64_t bits = 0;
    if (key->type == SCHEMA_STRING) {
        if (!json_name_once(decoder, object, name))
            return false;
        json_write_text(decoder, key->tag, key->tag_size, name);
        return true;
    }
    if (!json_text_bits(decoder, key, name, &bits))
        return false;
    struct slice value;
    if (!arena_copy(&decoder->arena, slice_of(&bits, sizeof bits), &value))
        return json_break_memory(decoder);
    if (!json_name_once(decoder, object, value))
        return false;
    json_write_tag(decoder, key);
    json_write_bits(decoder, key->type, bits);
    return true;
}

static bool read_map_entry(struct json_decoder *decoder, const void *context, size_t object,
                           struct slice name) {
    const struct schema_field *field = context;
    const struct schema_field *value = schema_field_at(field->message, 2);
    size_t begin = decoder->out->size;
    json_write_tag(decoder, field);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    decoder->dropped = false;
    if (!read_map_key(decoder, schema_field_at(field->message, 1), object, name))
        return false;
    if (json_peek(decoder) == 'n' && !takes_null(value))
        return json_fail(decoder, "INVALID_VALUE", "null cannot be in a map");
    if (!read_single(decoder, value, true, NULL))
        return false;
    if (decoder->dropped)
        buffer_truncate(decoder->out, begin);
    else
        wire_frame_close(&decoder->frames, decoder->out, frame);
    decoder->dropped = false;
    return true;
}

bool json_read_field(struct json_decoder *decoder, const struct schema_field *field,
                     const struct json_params *params) {
    if (field->map)
        return json_read_object(decoder, read_map_entry, field);
    if (field->repeated)
        return read_list(decoder, field);
    decoder->dropped = false;
    return read_single(decoder, field, field->presence, params);
}

/* Writes what the params say inside a message whose text is null. */
static bool write_params_inside(struct json_decoder *decoder, const struct schema_field *field,
                                const struct json_params *params) {
    if (!params || field->type != SCHEMA_MESSAGE || field->repeated)
        return true;
    struct json_params below = json_params_below(params, field);
    return below.count == 0 || below.list[0].path_size == below.level ||
           json_write_params_field(decoder, field, &below);
}

/* A member whose field is known. */
static bool read_member(struct json_decoder *decoder, const struct schema_message *message,
                        const struct schema_field *field, struct json_seen *seen,
                        const struct json_params *params) {
    if (json_seen_test(seen, field->index))
        return json_fail(decoder, "DUPLICATE_FIELD", "the field is there twice");
    json_seen_set(seen, field->index);
    if (field->type == SCHEMA_STRING && json_peek(decoder) == '"' && !field->repeated &&
        field->oneof < 0) /* what most members are */
        return read_string(decoder, field, field->presence);
    bool null = json_peek(decoder) == 'n';
    if (null && (field->repeated || !takes_null(field))) {
        /* As if it were not there, but for being there twice. */
        bool wanted = message->has_required && (field->required || field->label_required);
        if (wanted)
            seen->bits[field->index / 64] &= ~((uint64_t)1 << (field->index % 64));
        return json_read_word(decoder, "null", 4) &&
               (wanted || write_params_inside(decoder, field, params));
    }
    if (field->oneof >= 0) {
        if (json_seen_test(seen, message->field_count + (size_t)field->oneof))
            return json_fail(decoder, "INVALID_VALUE",
                             "another field of the same choice is there already");
        json_seen_set(seen, message->field_count + (size_t)field->oneof);
    }
    if (!params || field->type != SCHEMA_MESSAGE)
        return json_read_field(decoder, field, NULL);
    struct json_params below = json_params_below(params, field);
    return json_read_field(decoder, field, &below);
}

/* A member that is no field. `typed`: whether an Any's "@type" has come. */
static bool read_unknown(struct json_decoder *decoder, struct slice name, bool any, bool *typed) {
    if (any && slice_equal(name, SLICE("@type"))) {
        if (*typed)
            return json_fail(decoder, "DUPLICATE_FIELD", "the type is there twice");
        *typed = true;
        return json_skip(decoder);
    }
    if (decoder->options->ignore_unknown)
        return json_skip(decoder);
    return json_fail(decoder, "UNKNOWN_FIELD", "there is no such field");
}

/* Reads the name of a member and its colon, and finds its field; NULL where it is none. `before` is
 * the field that came before it, or the message. */
static inline bool read_field_name(struct json_decoder *decoder,
                                   const struct schema_message *message, const void *before,
                                   struct slice *ret_name, const struct schema_field **ret_field) {
    const struct schema_field *field =
        json_guess(&decoder->guesses, message, before, decoder->next, decoder->end);
    if (__builtin_expect(field != NULL, 1)) {
        decoder->next += field->json_label.size - 1;
        json_space(decoder);
        *ret_name = field->json_name;
        *ret_field = field;
        return true;
    }
    if (!json_read_name(decoder, ret_name))
        return false;
    *ret_field = schema_field_find(message, *ret_name);
    if (*ret_field)
        json_guess_note(&decoder->guesses, before, *ret_field);
    return true;
}

bool json_read_fields(struct json_decoder *decoder, const struct schema_message *message,
                      const struct json_params *params, bool any) {
    struct json_seen seen;
    if (json_peek(decoder) != '{')
        return json_fail_kind(decoder, "an object");
    if (!json_enter(decoder) || !json_seen_init(decoder, &seen, message))
        return false;
    bool more = !json_is_empty(decoder, '}'), typed = false;
    struct json_mark mark = json_mark_of(decoder);
    const void *before = message;
    while (more) {
        struct slice name;
        const struct schema_field *field;
        if (json_read_plain(decoder, message, &seen, &before)) {
            json_more(decoder, '}');
            break;
        }
        if (!read_field_name(decoder, message, before, &name, &field))
            return false;
        json_mark_move(decoder, &mark);
        struct json_step *step = json_step_push(decoder);
        step->field = field;
        step->key = name;
        bool well = field ? read_member(decoder, message, field, &seen, params)
                          : read_unknown(decoder, name, any, &typed);
        if (!well && !json_recover(decoder, &mark))
            return false;
        decoder->step_count = mark.step_count;
        before = field;
        more = json_more(decoder, '}');
    }
    decoder->dropped = false; /* what its last member was does not drop the message */
    if (decoder->broken || (params && !json_params_finish(decoder, message, params, &seen)))
        return false;
    return !message->has_required || json_check_required(decoder, message, &seen);
}

bool json_check_required(struct json_decoder *decoder, const struct schema_message *message,
                         const struct json_seen *seen) {
    for (size_t i = 0; i < message->field_count; i++) {
        const struct schema_field *field = &message->fields[i];
        bool wanted =
            field->label_required || (field->required && decoder->options->check_required);
        if (!wanted || json_seen_test(seen, i))
            continue;
        struct json_mark mark = json_mark_of(decoder);
        json_step_push(decoder)->field = field;
        json_fail(decoder, "REQUIRED", "is required");
        if (!json_recover_param(decoder, &mark))
            return false;
    }
    return true;
}

static bool read_text_form(struct json_decoder *decoder, const struct schema_message *message,
                           const struct schema_field *field) {
    static const char *const KINDS[] = {
        [SCHEMA_FORM_TIMESTAMP] = "a time in quotes",
        [SCHEMA_FORM_DURATION] = "a duration in quotes",
        [SCHEMA_FORM_FIELD_MASK] = "field paths in quotes",
    };
    struct slice text;
    if (json_peek(decoder) != '"')
        return json_fail_kind(decoder, KINDS[message->form]);
    if (!json_read_string(decoder, &text))
        return false;
    if (message->form == SCHEMA_FORM_TIMESTAMP)
        return json_text_timestamp(decoder, field, text);
    return message->form == SCHEMA_FORM_DURATION ? json_text_duration(decoder, text)
                                                 : json_text_field_mask(decoder, text);
}

bool json_read_message(struct json_decoder *decoder, const struct schema_message *message,
                       const struct schema_field *field, const struct json_params *params) {
    bool i_json = decoder->i_json, well;
    decoder->i_json = i_json || (field && field->i_json);
    switch (message->form) {
    case SCHEMA_FORM_STRUCT:
        well = json_read_struct(decoder);
        break;
    case SCHEMA_FORM_VALUE:
        well = json_read_value(decoder);
        break;
    case SCHEMA_FORM_LIST:
        well = json_read_list(decoder);
        break;
    case SCHEMA_FORM_ANY:
        well = json_read_any(decoder);
        break;
    case SCHEMA_FORM_WRAPPER:
        well = read_single(decoder, &message->fields[0], message->fields[0].presence, NULL);
        break;
    case SCHEMA_FORM_TIMESTAMP:
    case SCHEMA_FORM_DURATION:
    case SCHEMA_FORM_FIELD_MASK:
        well = read_text_form(decoder, message, field);
        break;
    case SCHEMA_FORM_FIELDS:
    default:
        well = json_read_fields(decoder, message, params, false);
        break;
    }
    decoder->i_json = i_json;
    return well;
}
