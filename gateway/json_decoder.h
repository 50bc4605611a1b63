/* JSON decoder: the state of one reading of JSON as a message, and the parts that read it. For
 * json_*.c and transcode*.c only.
 *
 * A reader is at the first byte of a value, white space passed. It returns true with the value
 * consumed and its wire bytes written, or false: the text is broken (`broken`), or the value is at
 * fault, which json_recover may note and step over. */
#ifndef GATEWAY_JSON_DECODER_H
#define GATEWAY_JSON_DECODER_H

#include "base/limits.h"
#include "base/wire.h"
#include "gateway/json_guess.h"
#include "gateway/json_names.h"
#include "gateway/json_path.h"
#include "gateway/json_scan.h"
#include "gateway/schema_types.h"
#include "gateway/transcode.h"
#include "gateway/wire_frame.h"

enum { JSON_STEPS_MAX = 3 * JSON_DEPTH_MAX, JSON_COPY_WIDE = 16 };

/* A value that comes from beside the JSON text: path, query or header. */
struct json_param {
    const struct schema_field **path; /* from the request message down */
    size_t path_size;
    struct slice text;
    size_t order; /* as it came */
};

/* The params of one message: sorted by path, all with the same first `level` fields. */
struct json_params {
    const struct json_param *list;
    size_t count, level;
};

struct json_decoder {
    const uint8_t *begin, *next, *end;
    size_t wide_size; /* how many bytes of the input have JSON_COPY_WIDE bytes from them on */
    struct buffer *out;
    const struct schema *schema;
    const struct transcode_options *options;
    struct sync_error *error;
    enum sync_status status; /* once broken */
    bool broken;
    bool dropped; /* the value just read is an unknown enum name, ignored */
    bool i_json;  /* inside a field restricted to I-JSON */
    unsigned depth;
    size_t ahead_size; /* bytes looked through for the types of Any's */
    struct wire_frames frames;
    struct json_names names;
    struct json_guesses guesses;
    struct arena arena; /* decoded names */
    struct buffer text; /* the last decoded string */
    size_t step_count;
    const char *reason; /* of the fault at hand */
    char description[SYNC_ERROR_MESSAGE_MAX];
    struct json_step steps[JSON_STEPS_MAX];
};

/* Where the decoder was, to go back. */
struct json_mark {
    const uint8_t *next;
    size_t out_size, frame_count, frame_extra, name_count, step_count;
    unsigned depth;
    bool i_json;
};

/* Prepares and releases a decoder. */
void json_decoder_init(struct json_decoder *decoder, const struct schema *schema,
                       const struct transcode_options *options, struct slice json,
                       struct buffer *out, struct sync_error *error);
void json_decoder_done(struct json_decoder *decoder);

/* Whether further faults are only counted. */
static inline bool json_faults_full(const struct json_decoder *decoder) {
    const struct transcode_faults *faults = decoder->options->faults;
    return faults && faults->count == faults->count_max;
}

/* The value is at fault; returns false. Ends the reading where no faults are collected. */
bool json_fail(struct json_decoder *decoder, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

/* The text is no JSON; returns false. */
bool json_break(struct json_decoder *decoder, const char *expected) __attribute__((cold));

/* Memory ran out; returns false. */
bool json_break_memory(struct json_decoder *decoder) __attribute__((cold));

/* json_fail for a value of the wrong kind, saying what came instead. */
bool json_fail_kind(struct json_decoder *decoder, const char *expected) __attribute__((cold));

/* Where the decoder stands, to return to. */
static inline struct json_mark json_mark_of(const struct json_decoder *decoder) {
    return (struct json_mark){
        .next = decoder->next,
        .out_size = decoder->out->size,
        .frame_count = decoder->frames.count,
        .frame_extra = decoder->frames.extra,
        .name_count = decoder->names.count,
        .step_count = decoder->step_count,
        .depth = decoder->depth,
        .i_json = decoder->i_json,
    };
}

/* The same of a mark whose steps, depth and i_json still hold: one entry on in the same object. */
static inline void json_mark_move(const struct json_decoder *decoder, struct json_mark *mark) {
    mark->next = decoder->next;
    mark->out_size = decoder->out->size;
    mark->frame_count = decoder->frames.count;
    mark->frame_extra = decoder->frames.extra;
    mark->name_count = decoder->names.count;
}

/* Goes back to the mark, but not in the input. */
void json_rewind(struct json_decoder *decoder, const struct json_mark *mark);

/* After a reader returned false: notes the fault, goes back and steps over the value. False when
 * the reading is over. */
bool json_recover(struct json_decoder *decoder, const struct json_mark *mark);

/* The same for a value that is not in the input. */
bool json_recover_param(struct json_decoder *decoder, const struct json_mark *mark);

/* buffer_reserve, where the room is mostly there. */
static inline uint8_t *json_room(struct json_decoder *decoder, size_t size) {
    struct buffer *out = decoder->out;
    if (__builtin_expect(size <= out->capacity - out->size && !out->failed, 1))
        return out->data + out->size;
    return buffer_reserve(out, size);
}

/* Room for `size` bytes and JSON_COPY_WIDE more, where it is there already; else NULL. */
static inline uint8_t *json_room_wide(const struct json_decoder *decoder, size_t size) {
    const struct buffer *out = decoder->out;
    return out->capacity - out->size >= size + JSON_COPY_WIDE && !out->failed
               ? out->data + out->size
               : NULL;
}

/* Copies a text to where there is room for JSON_COPY_WIDE bytes more; returns where it ends. */
static inline uint8_t *json_copy_wide(const struct json_decoder *decoder, uint8_t *to,
                                      struct slice text) {
    if (text.size <= JSON_COPY_WIDE) {
        if ((uintptr_t)text.data - (uintptr_t)decoder->begin < decoder->wide_size)
            memcpy(to, text.data, JSON_COPY_WIDE);
        else if (text.size > 0)
            memcpy(to, text.data, text.size);
    } else if (text.size <= 4 * JSON_COPY_WIDE) {
        size_t last = text.size - JSON_COPY_WIDE; /* overlaps what is before it */
        for (size_t at = 0; at < last; at += JSON_COPY_WIDE)
            memcpy(to + at, text.data + at, JSON_COPY_WIDE);
        memcpy(to + last, text.data + last, JSON_COPY_WIDE);
    } else {
        memcpy(to, text.data, text.size);
    }
    return to + text.size;
}

/* Skips white space. */
static inline void json_space(struct json_decoder *decoder) {
    if (decoder->next < decoder->end && *decoder->next <= ' ')
        decoder->next = json_scan_space(decoder->next, decoder->end);
}

/* The next byte, white space passed; 0 at the end. */
static inline uint8_t json_peek(struct json_decoder *decoder) {
    json_space(decoder);
    return decoder->next < decoder->end ? *decoder->next : 0;
}

/* Enters one more step of the path that errors name; the depth was checked before. */
static inline struct json_step *json_step_push(struct json_decoder *decoder) {
    struct json_step *step = &decoder->steps[decoder->step_count++];
    step->field = NULL;
    step->key = SLICE_EMPTY;
    return step;
}

/* Enters an object or array whose bracket is next: counts the depth and consumes the bracket. */
bool json_enter(struct json_decoder *decoder);

/* json_break where neither a comma nor the bracket follows an element. */
bool json_break_more(struct json_decoder *decoder, uint8_t bracket) __attribute__((cold));

/* Behind an element: true when another follows (the comma is consumed), false behind the closing
 * bracket or when broken. */
static inline bool json_more(struct json_decoder *decoder, uint8_t bracket) {
    uint8_t byte = json_peek(decoder);
    if (byte == ',') {
        decoder->next++;
        json_space(decoder);
        return true;
    }
    if (byte != bracket)
        return json_break_more(decoder, bracket);
    decoder->next++;
    decoder->depth--;
    return false;
}

/* Whether the object or array just entered is empty; then leaves it. */
static inline bool json_is_empty(struct json_decoder *decoder, uint8_t bracket) {
    if (json_peek(decoder) != bracket)
        return false;
    decoder->next++;
    decoder->depth--;
    return true;
}

/* json_read_name up to the colon, and json_read_string, for texts of any kind. */
bool json_read_any_name(struct json_decoder *decoder, struct slice *ret_name);
bool json_read_any_string(struct json_decoder *decoder, struct slice *ret_text);

/* Reads the name of a member and its colon. The slice is in the input, or in the decoder's arena.
 */
static inline bool json_read_name(struct json_decoder *decoder, struct slice *ret_name) {
    struct slice name = SLICE_EMPTY;
    if (json_peek(decoder) != '"') {
        json_break(decoder, "expected a name in quotes");
        return false; /* said here, so that a compiler sees when ret_name is set */
    }
    const uint8_t *after = json_scan_short(decoder->next, decoder->end, &name);
    if (__builtin_expect(after != NULL, 1))
        decoder->next = after;
    else if (!json_read_any_name(decoder, &name))
        return false;
    if (json_peek(decoder) != ':') {
        json_break(decoder, "expected ':'");
        return false;
    }
    decoder->next++;
    json_space(decoder);
    *ret_name = name;
    return true;
}

/* Reads a string. The slice is in the input, or in the decoder's text until the next one. */
static inline bool json_read_string(struct json_decoder *decoder, struct slice *ret_text) {
    const uint8_t *after = json_scan_short(decoder->next, decoder->end, ret_text);
    if (!after)
        return json_read_any_string(decoder, ret_text);
    decoder->next = after;
    return true;
}

/* Reads true or false, and null. */
bool json_read_word(struct json_decoder *decoder, const char *word, size_t size);

/* Steps over any value. */
bool json_skip(struct json_decoder *decoder);

/* json_name_once where the name could not be added. */
bool json_name_refuse(struct json_decoder *decoder, enum json_names_answer answer)
    __attribute__((cold));

/* Notes that the object has the name; false when it has it already. */
static inline bool json_name_once(struct json_decoder *decoder, size_t object, struct slice name) {
    enum json_names_answer answer = json_names_add(&decoder->names, object, name);
    return answer == JSON_NAMES_NEW || json_name_refuse(decoder, answer);
}

/* Reads a number, boolean or enum as the bits that go on the wire. */
bool json_read_bits(struct json_decoder *decoder, const struct schema_field *field,
                    uint64_t *ret_bits);

/* The same from a text. */
bool json_text_bits(struct json_decoder *decoder, const struct schema_field *field,
                    struct slice text, uint64_t *ret_bits);

/* Looks an enum value up by name; unknown ones are at fault, or dropped. */
bool json_enum_bits(struct json_decoder *decoder, const struct schema_field *field,
                    struct slice text, uint64_t *ret_bits);

/* Writes bits as the type has them, without a tag. */
void json_write_bits(struct json_decoder *decoder, enum schema_type type, uint64_t bits);

/* Writes a field's tag. */
static inline void json_write_tag(struct json_decoder *decoder, const struct schema_field *field) {
    uint8_t *at = json_room_wide(decoder, sizeof field->tag);
    if (!at) {
        buffer_append(decoder->out, slice_of(field->tag, field->tag_size));
        return;
    }
    memcpy(at, field->tag, sizeof field->tag);
    buffer_advance(decoder->out, field->tag_size);
}

/* Writes a tag, a length and bytes. */
void json_write_text(struct json_decoder *decoder, const uint8_t *tag, size_t tag_size,
                     struct slice text);

/* Writes a string field: json_write_text where there is room for all of a tag. */
static inline void json_write_string(struct json_decoder *decoder, const struct schema_field *field,
                                     struct slice text) {
    uint8_t *at =
        text.size < 128 ? json_room_wide(decoder, sizeof field->tag + 1 + text.size) : NULL;
    if (!at) {
        json_write_text(decoder, field->tag, field->tag_size, text);
        return;
    }
    memcpy(at, field->tag, sizeof field->tag);
    at[field->tag_size] = (uint8_t)text.size;
    json_copy_wide(decoder, at + field->tag_size + 1, text);
    buffer_advance(decoder->out, field->tag_size + 1 + text.size);
}

/* Writes a field of a varint. */
static inline void json_write_varint(struct json_decoder *decoder, const struct schema_field *field,
                                     uint64_t value) {
    uint8_t *at = json_room(decoder, sizeof field->tag + WIRE_VARINT_MAX);
    if (!at)
        return;
    memcpy(at, field->tag, sizeof field->tag);
    size_t size = field->tag_size;
    for (; value >= 128; value >>= 7)
        at[size++] = (uint8_t)(value | 128);
    at[size++] = (uint8_t)value;
    buffer_advance(decoder->out, size);
}

/* Writes Timestamp, Duration and FieldMask from their texts, as message content. `field` may be
 * NULL. */
bool json_text_timestamp(struct json_decoder *decoder, const struct schema_field *field,
                         struct slice text);
bool json_text_duration(struct json_decoder *decoder, struct slice text);
bool json_text_field_mask(struct json_decoder *decoder, struct slice text);

/* Reads the content of a message of any form. */
bool json_read_message(struct json_decoder *decoder, const struct schema_message *message,
                       const struct schema_field *field, const struct json_params *params);

/* Reads the value of a field, which is not null, with its tags. `params` are those inside it; NULL
 * where there are none. */
bool json_read_field(struct json_decoder *decoder, const struct schema_field *field,
                     const struct json_params *params);

/* Reads an object as the fields of a message. With `any`, "@type" is stepped over. */
bool json_read_fields(struct json_decoder *decoder, const struct schema_message *message,
                      const struct json_params *params, bool any);

/* Writes the params of a message that has no JSON text. */
bool json_write_params(struct json_decoder *decoder, const struct schema_message *message,
                       const struct json_params *params);

/* Which fields and oneofs of the message at hand were given. */
struct json_seen {
    uint64_t few[4];
    uint64_t *bits;
};

/* Prepares for a message; false without memory. */
bool json_seen_init(struct json_decoder *decoder, struct json_seen *seen,
                    const struct schema_message *message);

/* Whether the field of that index has come; below the bound only. */
static inline bool json_seen_test(const struct json_seen *seen, size_t index) {
    return seen->bits[index / 64] >> (index % 64) & 1;
}

/* Notes that it has. */
static inline void json_seen_set(struct json_seen *seen, size_t index) {
    seen->bits[index / 64] |= (uint64_t)1 << (index % 64);
}

/* Reads members for as long as they are plain and as guessed, each with the comma behind it, and
 * has `before` tell the field that came last. True where the last member was one of them: the
 * bracket is next. */
bool json_read_plain(struct json_decoder *decoder, const struct schema_message *message,
                     struct json_seen *seen, const void **before);

/* The params whose next field is `field`. */
struct json_params json_params_below(const struct json_params *params,
                                     const struct schema_field *field);

/* Writes the params that `seen` does not hold as messages yet, and marks them. */
bool json_params_finish(struct json_decoder *decoder, const struct schema_message *message,
                        const struct json_params *params, struct json_seen *seen);

/* Writes a message field that holds nothing but params. */
bool json_write_params_field(struct json_decoder *decoder, const struct schema_field *field,
                             const struct json_params *below);

/* Notes the required fields that are absent. */
bool json_check_required(struct json_decoder *decoder, const struct schema_message *message,
                         const struct json_seen *seen);

/* Reads one entry of an object: its value, behind the name `name` in the object `object`. */
typedef bool json_read_entry(struct json_decoder *decoder, const void *context, size_t object,
                             struct slice name);

/* Reads an object by entries. Inline, so that each way to read an entry has a loop of its own. */
static inline __attribute__((always_inline)) bool
json_read_object(struct json_decoder *decoder, json_read_entry *read, const void *context) {
    if (json_peek(decoder) != '{')
        return json_fail_kind(decoder, "an object");
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, '}'))
        return true;
    size_t object = json_names_object(&decoder->names);
    struct json_mark mark = json_mark_of(decoder);
    do {
        struct slice name;
        if (!json_read_name(decoder, &name))
            return false;
        json_mark_move(decoder, &mark);
        json_step_push(decoder)->key = name;
        if (!read(decoder, context, object, name) && !json_recover(decoder, &mark))
            return false;
        decoder->step_count = mark.step_count;
    } while (json_more(decoder, '}'));
    json_names_keep(&decoder->names, object);
    return !decoder->broken;
}

/* Reads google.protobuf's Struct, Value, ListValue and Any. */
bool json_read_struct(struct json_decoder *decoder);
bool json_read_value(struct json_decoder *decoder);
bool json_read_list(struct json_decoder *decoder);
bool json_read_any(struct json_decoder *decoder);

/* Writes one field from a text: with its tag, also when it has its default value. */
bool json_text_field(struct json_decoder *decoder, const struct schema_field *field,
                     struct slice text);

/* Appends what the text of a bytes field stands for: base64, or hexadecimal digits. */
bool json_decode_bytes(struct json_decoder *decoder, const struct schema_field *field,
                       struct slice text);

/* Finishes a reading: what remains must be white space; frames are closed. */
enum sync_status json_decoder_finish(struct json_decoder *decoder);

/* The status of a reading that ended early. */
enum sync_status json_decoder_status(const struct json_decoder *decoder);

#endif
