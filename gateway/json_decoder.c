#include "gateway/json_decoder.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json_text.h"

enum { SCRATCH_MIN = 1 << 16, SCRATCH_MAX = 4 * GRPC_MESSAGE_MAX, FAULTS_MIN = 64 };

void json_decoder_init(struct json_decoder *decoder, const struct schema *schema,
                       const struct transcode_options *options, struct slice json,
                       struct buffer *out, struct sync_error *error) {
    static const uint8_t NOTHING[1];
    memset(decoder, 0, offsetof(struct json_decoder, steps));
    decoder->begin = decoder->next = json.data ? json.data : NOTHING;
    decoder->end = decoder->begin + json.size;
    decoder->wide_size = json.size < JSON_COPY_WIDE ? 0 : json.size - JSON_COPY_WIDE + 1;
    decoder->out = out;
    decoder->schema = schema;
    decoder->options = options;
    decoder->error = error;
    decoder->names.seed = (uint64_t)(uintptr_t)decoder ^ (uint64_t)(uintptr_t)json.data << 17;
    size_t bound = json.size < SCRATCH_MAX / 32 ? json.size * 32 + SCRATCH_MIN : SCRATCH_MAX;
    arena_init(&decoder->arena, bound);
    buffer_init(&decoder->text, json.size + 64);
}

void json_decoder_done(struct json_decoder *decoder) {
    wire_frames_done(&decoder->frames);
    json_names_done(&decoder->names);
    buffer_done(&decoder->text);
    arena_done(&decoder->arena);
}

/* Ends the reading with an error at the path at hand. */
static bool decoder_end(struct json_decoder *decoder, enum sync_status status, const char *reason,
                        const char *description) {
    if (decoder->broken)
        return false;
    decoder->broken = true;
    decoder->status = json_path_error(decoder->error, status, reason, decoder->steps,
                                      decoder->step_count, description);
    return false;
}

bool json_fail(struct json_decoder *decoder, const char *reason, const char *format, ...) {
    va_list arguments;
    if (json_faults_full(decoder))
        return false; /* it is only counted: millions of them must not cost a sentence each */
    va_start(arguments, format);
    vsnprintf(decoder->description, sizeof decoder->description, format, arguments);
    va_end(arguments);
    decoder->reason = reason;
    if (!decoder->options->faults)
        return decoder_end(decoder, SYNC_ERR_INVALID, reason, decoder->description);
    return false;
}

bool json_break(struct json_decoder *decoder, const char *expected) {
    char description[SYNC_ERROR_MESSAGE_MAX];
    if (decoder->next >= decoder->end)
        snprintf(description, sizeof description, "not JSON: %s, but the text ends", expected);
    else
        snprintf(description, sizeof description, "not JSON: %s at byte %zu", expected,
                 (size_t)(decoder->next - decoder->begin));
    return decoder_end(decoder, SYNC_ERR_INVALID, "MALFORMED_JSON", description);
}

bool json_break_memory(struct json_decoder *decoder) {
    return decoder_end(decoder, SYNC_ERR_NO_MEMORY, "NO_MEMORY", "no memory");
}

bool json_fail_kind(struct json_decoder *decoder, const char *expected) {
    const char *got = "something else";
    switch (json_peek(decoder)) {
    case '{':
        got = "an object";
        break;
    case '[':
        got = "a list";
        break;
    case '"':
        got = "a string";
        break;
    case 't':
    case 'f':
        got = "a boolean";
        break;
    case 'n':
        got = "null";
        break;
    case '-':
    case '0' ... '9':
        got = "a number";
        break;
    default:
        return json_break(decoder, "expected a value");
    }
    return json_fail(decoder, "INVALID_VALUE", "expected %s, not %s", expected, got);
}

/* Makes room for one more fault; false without memory. */
static bool faults_grow(struct transcode_faults *faults) {
    if (faults->count < faults->capacity)
        return true;
    size_t capacity = faults->capacity ? 2 * faults->capacity : FAULTS_MIN;
    struct transcode_fault *list = arena_zalloc(faults->arena, capacity, sizeof *list);
    if (!list)
        return false;
    if (faults->count > 0)
        memcpy(list, faults->list, faults->count * sizeof *list);
    faults->list = list;
    faults->capacity = capacity;
    return true;
}

/* Adds the fault at hand to the list, or counts it. */
static bool fault_note(struct json_decoder *decoder) {
    struct transcode_faults *faults = decoder->options->faults;
    if (faults->count == faults->count_max) {
        faults->omitted++;
        return true;
    }
    if (!faults_grow(faults))
        return json_break_memory(decoder);
    struct transcode_fault fault = {.reason = decoder->reason};
    struct buffer path;
    buffer_init(&path, SYNC_ERROR_FIELD_MAX);
    json_path_print(decoder->steps, decoder->step_count, &path);
    bool kept = arena_copy(faults->arena, buffer_slice(&path), &fault.path) &&
                arena_copy(faults->arena, slice_text(decoder->description), &fault.description);
    buffer_done(&path);
    if (!kept)
        return json_break_memory(decoder);
    faults->list[faults->count++] = fault;
    return true;
}

void json_rewind(struct json_decoder *decoder, const struct json_mark *mark) {
    buffer_truncate(decoder->out, mark->out_size);
    decoder->frames.count = mark->frame_count;
    decoder->frames.extra = mark->frame_extra;
    json_names_keep(&decoder->names, mark->name_count);
    decoder->step_count = mark->step_count;
    decoder->depth = mark->depth;
    decoder->i_json = mark->i_json;
}

bool json_recover_param(struct json_decoder *decoder, const struct json_mark *mark) {
    if (decoder->broken || !fault_note(decoder))
        return false;
    json_rewind(decoder, mark);
    return true;
}

bool json_recover(struct json_decoder *decoder, const struct json_mark *mark) {
    if (!json_recover_param(decoder, mark))
        return false;
    decoder->next = mark->next;
    json_space(decoder);
    return json_skip(decoder);
}

bool json_enter(struct json_decoder *decoder) {
    if (++decoder->depth > JSON_DEPTH_MAX) {
        char description[SYNC_ERROR_MESSAGE_MAX];
        snprintf(description, sizeof description, "nested deeper than %d levels", JSON_DEPTH_MAX);
        return decoder_end(decoder, SYNC_ERR_INVALID, "TOO_DEEP", description);
    }
    decoder->next++;
    return true;
}

bool json_break_more(struct json_decoder *decoder, uint8_t bracket) {
    return json_break(decoder, bracket == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
}

/* A string with escapes, decoded into the decoder's text. */
static bool string_decode(struct json_decoder *decoder, struct slice raw, struct slice *ret_text) {
    buffer_clear(&decoder->text);
    if (!json_decode_string(raw, &decoder->text)) {
        if (!slice_is_utf8(raw))
            return json_break(decoder, "expected valid UTF-8");
        if (!json_escapes_valid(raw))
            return json_break(decoder, "expected a valid escape");
        return json_fail(decoder, "INVALID_VALUE", "a lone surrogate is no character");
    }
    if (decoder->text.failed)
        return json_break_memory(decoder);
    *ret_text = buffer_slice(&decoder->text);
    return true;
}

/* Scans the string that is next and checks its characters. */
static inline bool string_scan(struct json_decoder *decoder, struct json_string *ret_string) {
    const uint8_t *after = json_scan_string(decoder->next, decoder->end, ret_string);
    if (__builtin_expect(!after, 0))
        return json_break(decoder, "expected a string without control characters");
    if (ret_string->non_ascii && !slice_is_utf8(ret_string->raw))
        return json_break(decoder, "expected valid UTF-8");
    decoder->next = after;
    return true;
}

bool json_read_any_string(struct json_decoder *decoder, struct slice *ret_text) {
    struct json_string string;
    assert(*decoder->next == '"');
    if (!string_scan(decoder, &string))
        return false;
    if (__builtin_expect(string.escaped, 0))
        return string_decode(decoder, string.raw, ret_text);
    *ret_text = string.raw;
    return true;
}

bool json_read_any_name(struct json_decoder *decoder, struct slice *ret_name) {
    struct json_string string;
    if (!string_scan(decoder, &string))
        return false;
    struct slice name = string.raw;
    if (string.escaped) {
        if (!string_decode(decoder, string.raw, &name)) {
            /* A name cannot be stepped over alone. */
            return decoder_end(decoder, SYNC_ERR_INVALID, "INVALID_VALUE",
                               "a name has a lone surrogate, which is no character");
        }
        if (!arena_copy(&decoder->arena, name, &name))
            return json_break_memory(decoder);
    }
    *ret_name = name;
    return true;
}

bool json_read_word(struct json_decoder *decoder, const char *word, size_t size) {
    if ((size_t)(decoder->end - decoder->next) < size || memcmp(decoder->next, word, size) != 0)
        return json_break(decoder, "expected a value");
    decoder->next += size;
    return true;
}

bool json_name_refuse(struct json_decoder *decoder, enum json_names_answer answer) {
    if (answer == JSON_NAMES_NO_MEMORY)
        return json_break_memory(decoder);
    return json_fail(decoder, "DUPLICATE_FIELD", "the name is there twice");
}

enum sync_status json_decoder_status(const struct json_decoder *decoder) {
    assert(decoder->broken);
    return decoder->status;
}

enum sync_status json_decoder_finish(struct json_decoder *decoder) {
    json_space(decoder);
    if (decoder->next != decoder->end) {
        json_break(decoder, "expected the end");
        return decoder->status;
    }
    wire_frames_finish(&decoder->frames, decoder->out);
    enum sync_status status = buffer_status(decoder->out);
    return status ? sync_error_of(decoder->error, status) : SYNC_OK;
}
