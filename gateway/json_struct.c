/* google.protobuf.Struct, Value and ListValue: any JSON. */
#include "gateway/json_decoder.h"

enum {
    TAG_STRUCT_FIELDS = 1 << 3 | WIRE_LEN,
    TAG_ENTRY_KEY = 1 << 3 | WIRE_LEN,
    TAG_ENTRY_VALUE = 2 << 3 | WIRE_LEN,
    TAG_VALUE_NULL = 1 << 3 | WIRE_VARINT,
    TAG_VALUE_NUMBER = 2 << 3 | WIRE_I64,
    TAG_VALUE_STRING = 3 << 3 | WIRE_LEN,
    TAG_VALUE_BOOL = 4 << 3 | WIRE_VARINT,
    TAG_VALUE_STRUCT = 5 << 3 | WIRE_LEN,
    TAG_VALUE_LIST = 6 << 3 | WIRE_LEN,
    TAG_LIST_VALUES = 1 << 3 | WIRE_LEN,
};

static const uint64_t I_JSON_INTEGER_MAX = ((uint64_t)1 << 53) - 1;

/* A tag and an open frame. */
static inline struct wire_frame tagged_open(struct json_decoder *decoder, uint8_t tag) {
    uint8_t *room = json_room(decoder, 2);
    struct wire_frame frame = {decoder->out->size + 1, decoder->frames.extra};
    if (room) {
        room[0] = tag;
        room[1] = 0;
        buffer_advance(decoder->out, 2);
    }
    return frame;
}

static inline void tagged_close(struct json_decoder *decoder, struct wire_frame frame) {
    wire_frame_close(&decoder->frames, decoder->out, frame);
}

static void write_two(struct json_decoder *decoder, uint8_t first, uint8_t second) {
    uint8_t *room = json_room(decoder, 2);
    if (!room)
        return;
    room[0] = first;
    room[1] = second;
    buffer_advance(decoder->out, 2);
}

static bool read_number(struct json_decoder *decoder) {
    struct json_number number;
    const uint8_t *after = json_scan_number(decoder->next, decoder->end, &number);
    if (!after)
        return json_break(decoder, "expected a value");
    decoder->next = after;
    if (decoder->i_json && number.literal &&
        (!number.exact || number.mantissa > I_JSON_INTEGER_MAX))
        return json_fail(decoder, "INVALID_VALUE",
                         "the integer is beyond ±9007199254740991 and would be rounded: send it "
                         "as a string");
    double value;
    if (!json_number_double(&number, &value))
        return json_fail(decoder, "INVALID_VALUE", "the number is beyond a double's range");
    uint8_t *room = json_room(decoder, 1 + sizeof value);
    if (!room)
        return true;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    *room++ = TAG_VALUE_NUMBER;
    for (size_t i = 0; i < sizeof bits; i++)
        room[i] = (uint8_t)(bits >> (8 * i));
    buffer_advance(decoder->out, 1 + sizeof value);
    return true;
}

/* A Value that is a string, in one piece where it is short. */
static inline void write_string(struct json_decoder *decoder, struct slice text) {
    static const uint8_t STRING_TAG = TAG_VALUE_STRING;
    uint8_t *room = text.size < 128 ? json_room_wide(decoder, text.size + 2) : NULL;
    if (!room) {
        json_write_text(decoder, &STRING_TAG, 1, text);
        return;
    }
    room[0] = TAG_VALUE_STRING;
    room[1] = (uint8_t)text.size;
    json_copy_wide(decoder, room + 2, text);
    buffer_advance(decoder->out, text.size + 2);
}

bool json_read_value(struct json_decoder *decoder) {
    struct slice text;
    struct wire_frame frame;
    bool well;
    switch (json_peek(decoder)) {
    case '"':
        if (!json_read_string(decoder, &text))
            return false;
        write_string(decoder, text);
        return true;
    case '{':
        frame = tagged_open(decoder, TAG_VALUE_STRUCT);
        well = json_read_struct(decoder);
        tagged_close(decoder, frame);
        return well;
    case '[':
        frame = tagged_open(decoder, TAG_VALUE_LIST);
        well = json_read_list(decoder);
        tagged_close(decoder, frame);
        return well;
    case 't':
        write_two(decoder, TAG_VALUE_BOOL, 1);
        return json_read_word(decoder, "true", 4);
    case 'f':
        write_two(decoder, TAG_VALUE_BOOL, 0);
        return json_read_word(decoder, "false", 5);
    case 'n':
        write_two(decoder, TAG_VALUE_NULL, 0);
        return json_read_word(decoder, "null", 4);
    default:
        return read_number(decoder);
    }
}

/* Writes an entry's key and opens its value, all in one piece where the key is short. */
static void entry_open(struct json_decoder *decoder, struct slice name, struct wire_frame *entry,
                       struct wire_frame *value) {
    static const uint8_t KEY_TAG = TAG_ENTRY_KEY;
    if (name.size >= 128) {
        *entry = tagged_open(decoder, TAG_STRUCT_FIELDS);
        json_write_text(decoder, &KEY_TAG, 1, name);
        *value = tagged_open(decoder, TAG_ENTRY_VALUE);
        return;
    }
    enum { AROUND = 6 };
    size_t extra = decoder->frames.extra, begin = decoder->out->size;
    *entry = (struct wire_frame){begin + 1, extra};
    *value = (struct wire_frame){begin + name.size + 5, extra};
    uint8_t *room = json_room_wide(decoder, name.size + AROUND);
    bool wide = room != NULL;
    if (!wide)
        room = json_room(decoder, name.size + AROUND);
    if (!room)
        return;
    room[0] = TAG_STRUCT_FIELDS;
    room[1] = 0;
    room[2] = TAG_ENTRY_KEY;
    room[3] = (uint8_t)name.size;
    if (wide)
        json_copy_wide(decoder, room + 4, name);
    else
        memcpy(room + 4, name.data, name.size);
    room[4 + name.size] = TAG_ENTRY_VALUE;
    room[5 + name.size] = 0;
    buffer_advance(decoder->out, name.size + AROUND);
}

static bool read_entry(struct json_decoder *decoder, const void *context, size_t object,
                       struct slice name) {
    struct wire_frame entry, value;
    (void)context;
    if (!json_name_once(decoder, object, name))
        return false;
    entry_open(decoder, name, &entry, &value);
    if (!json_read_value(decoder))
        return false;
    tagged_close(decoder, value);
    tagged_close(decoder, entry);
    return true;
}

bool json_read_struct(struct json_decoder *decoder) {
    return json_read_object(decoder, read_entry, NULL);
}

bool json_read_list(struct json_decoder *decoder) {
    if (json_peek(decoder) != '[')
        return json_fail_kind(decoder, "a list");
    if (!json_enter(decoder))
        return false;
    if (json_is_empty(decoder, ']'))
        return true;
    struct json_step *step = json_step_push(decoder);
    size_t index = 0;
    do {
        step->index = index++;
        struct json_mark mark = json_mark_of(decoder);
        struct wire_frame frame = tagged_open(decoder, TAG_LIST_VALUES);
        if (json_read_value(decoder))
            tagged_close(decoder, frame);
        else if (!json_recover(decoder, &mark))
            return false;
    } while (json_more(decoder, ']'));
    decoder->step_count--;
    return !decoder->broken;
}
