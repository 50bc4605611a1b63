/* Values from beside the JSON text: path, query and headers. */
#include <assert.h>

#include "gateway/json_decoder.h"

struct json_params json_params_below(const struct json_params *params,
                                     const struct schema_field *field) {
    size_t begin = 0, end;
    while (begin < params->count && params->list[begin].path[params->level] != field)
        begin++;
    for (end = begin; end < params->count && params->list[end].path[params->level] == field;)
        end++;
    return (struct json_params){params->list + begin, end - begin, params->level + 1};
}

static bool text_message(struct json_decoder *decoder, const struct schema_field *field,
                         struct slice text) {
    const struct schema_message *message = field->message;
    switch (message->form) {
    case SCHEMA_FORM_TIMESTAMP:
        return json_text_timestamp(decoder, field, text);
    case SCHEMA_FORM_DURATION:
        return json_text_duration(decoder, text);
    case SCHEMA_FORM_FIELD_MASK:
        return json_text_field_mask(decoder, text);
    case SCHEMA_FORM_WRAPPER:
        return json_text_field(decoder, &message->fields[0], text);
    default:
        return json_fail(decoder, "INVALID_VALUE", "the field cannot be given as a parameter");
    }
}

bool json_text_field(struct json_decoder *decoder, const struct schema_field *field,
                     struct slice text) {
    uint64_t bits = 0;
    bool always = field->presence || field->repeated;
    decoder->dropped = false;
    if (field->type == SCHEMA_STRING) {
        if (text.size > 0 || always)
            json_write_text(decoder, field->tag, field->tag_size, text);
        return true;
    }
    if (field->type != SCHEMA_BYTES && field->type != SCHEMA_MESSAGE) {
        if (field->type == SCHEMA_GROUP || !json_text_bits(decoder, field, text, &bits))
            return field->type == SCHEMA_GROUP
                       ? json_fail(decoder, "INVALID_VALUE",
                                   "the field cannot be given as a parameter")
                       : false;
        if (decoder->dropped || (bits == 0 && !always))
            return true;
        if (!field->packed)
            json_write_tag(decoder, field);
        json_write_bits(decoder, field->type, bits);
        return true;
    }
    json_write_tag(decoder, field);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    if (field->type == SCHEMA_MESSAGE && !text_message(decoder, field, text))
        return false;
    if (field->type == SCHEMA_BYTES && !json_decode_bytes(decoder, field, text))
        return false;
    wire_frame_close(&decoder->frames, decoder->out, frame);
    return true;
}

/* One leaf: all values given for it. */
static bool write_leaf(struct json_decoder *decoder, const struct schema_field *field,
                       const struct json_param *list, size_t count) {
    if (count > 1 && !field->repeated)
        return json_fail(decoder, "DUPLICATE_FIELD", "the parameter is there twice");
    struct wire_frame frame = {0};
    size_t begin = decoder->out->size;
    if (field->packed) {
        json_write_tag(decoder, field);
        frame = wire_frame_open(&decoder->frames, decoder->out);
    }
    for (size_t i = 0; i < count; i++) {
        struct json_mark mark = json_mark_of(decoder);
        if (field->repeated)
            json_step_push(decoder)->index = i;
        if (!json_text_field(decoder, field, list[i].text) && !json_recover_param(decoder, &mark))
            return false;
        decoder->step_count = mark.step_count;
    }
    if (field->packed && decoder->out->size == frame.at + 1)
        buffer_truncate(decoder->out, begin);
    else if (field->packed)
        wire_frame_close(&decoder->frames, decoder->out, frame);
    return true;
}

bool json_write_params_field(struct json_decoder *decoder, const struct schema_field *field,
                             const struct json_params *below) {
    json_write_tag(decoder, field);
    struct wire_frame frame = wire_frame_open(&decoder->frames, decoder->out);
    if (!json_write_params(decoder, field->message, below))
        return false;
    wire_frame_close(&decoder->frames, decoder->out, frame);
    return true;
}

/* All params that begin with one field. */
static bool write_group(struct json_decoder *decoder, const struct schema_message *message,
                        const struct json_params *group, const struct schema_field *field,
                        struct json_seen *seen) {
    bool given = json_seen_test(seen, field->index);
    json_seen_set(seen, field->index);
    if (field->oneof >= 0) {
        size_t choice = message->field_count + (size_t)field->oneof;
        if (!given && json_seen_test(seen, choice))
            return json_fail(decoder, "INVALID_VALUE",
                             "another field of the same choice is there already");
        json_seen_set(seen, choice);
    }
    if (group->list[0].path_size == group->level)
        return write_leaf(decoder, field, group->list, group->count);
    if (given)
        return true; /* the JSON text has the message: they were written inside it */
    return json_write_params_field(decoder, field, group);
}

bool json_params_finish(struct json_decoder *decoder, const struct schema_message *message,
                        const struct json_params *params, struct json_seen *seen) {
    for (size_t i = 0; i < params->count;) {
        const struct schema_field *field = params->list[i].path[params->level];
        struct json_params rest = {params->list + i, params->count - i, params->level};
        struct json_params group = json_params_below(&rest, field);
        struct json_mark mark = json_mark_of(decoder);
        json_step_push(decoder)->field = field;
        if (!write_group(decoder, message, &group, field, seen) &&
            !json_recover_param(decoder, &mark))
            return false;
        decoder->step_count = mark.step_count;
        i += group.count;
    }
    return true;
}

bool json_write_params(struct json_decoder *decoder, const struct schema_message *message,
                       const struct json_params *params) {
    struct json_seen seen;
    return json_seen_init(decoder, &seen, message) &&
           json_params_finish(decoder, message, params, &seen) &&
           (!message->has_required || json_check_required(decoder, message, &seen));
}
