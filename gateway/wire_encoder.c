#include "gateway/wire_encoder.h"

#include <math.h>

#include "base/hex.h"
#include "base/json_text.h"

enum {
    SCRATCH_MIN = 1 << 20,
    SCRATCH_MAX = 4 * GRPC_MESSAGE_MAX,
    INTEGER_TEXT_MAX = 24, /* 20 digits, a sign, two quotes */
};

void wire_encoder_init(struct wire_encoder *encoder, const struct schema *schema, struct slice wire,
                       struct buffer *out, struct sync_error *error) {
    memset(encoder, 0, offsetof(struct wire_encoder, steps));
    encoder->begin = wire.data;
    encoder->wide_size = wire.size < WIRE_COPY_WIDE ? 0 : wire.size - WIRE_COPY_WIDE + 1;
    encoder->schema = schema;
    encoder->out = out;
    encoder->error = error;
    encoder->names.seed = (uint64_t)(uintptr_t)encoder ^ (uint64_t)(uintptr_t)wire.data << 17;
    arena_init(&encoder->arena,
               wire.size < SCRATCH_MAX / 64 ? wire.size * 64 + SCRATCH_MIN : SCRATCH_MAX);
}

void wire_encoder_done(struct wire_encoder *encoder) {
    json_names_done(&encoder->names);
    arena_done(&encoder->arena);
}

bool wire_encode_fail(struct wire_encoder *encoder, const char *reason, const char *description) {
    if (!encoder->status)
        encoder->status = json_path_error(encoder->error, SYNC_ERR_INVALID, reason, encoder->steps,
                                          encoder->step_count, description);
    return false;
}

bool wire_encode_malformed(struct wire_encoder *encoder) {
    return encoder->any_count > 0
               ? wire_encode_fail(encoder, "JSON_VALUE", "json: the content of an Any is malformed")
               : wire_encode_fail(encoder, "MALFORMED", "the protobuf bytes are malformed");
}

bool wire_encode_memory(struct wire_encoder *encoder) {
    if (!encoder->status)
        encoder->status = sync_error_set(encoder->error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                                         "%s", sync_status_text(SYNC_ERR_NO_MEMORY));
    return false;
}

enum sync_status wire_encoder_finish(struct wire_encoder *encoder) {
    enum sync_status status = encoder->status ? encoder->status : buffer_status(encoder->out);
    if (status && !encoder->status)
        sync_error_of(encoder->error, status);
    return status;
}

bool wire_join(struct wire_encoder *encoder, struct slice a, struct slice b,
               struct slice *ret_joined) {
    uint8_t *bytes = arena_alloc(&encoder->arena, a.size + b.size);
    if (!bytes)
        return wire_encode_memory(encoder);
    if (a.size > 0)
        memcpy(bytes, a.data, a.size);
    if (b.size > 0)
        memcpy(bytes + a.size, b.data, b.size);
    *ret_joined = slice_of(bytes, a.size + b.size);
    return true;
}

bool wire_encode_any_string(struct wire_encoder *encoder, struct slice text) {
    if (!slice_is_utf8(text))
        return wire_encode_fail(encoder, "INVALID_UTF8", "the string is not UTF-8");
    json_append_string(encoder->out, text);
    return true;
}

/* Writes the digits of an integer so that they end at `end`; returns where they begin. */
static inline uint8_t *digits_put(uint8_t *end, uint64_t size) {
    static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    for (; size >= 100; size /= 100)
        memcpy(end -= 2, PAIRS + size % 100 * 2, 2);
    if (size >= 10)
        memcpy(end -= 2, PAIRS + size * 2, 2);
    else
        *--end = (uint8_t)('0' + size);
    return end;
}

/* Writes an integer, with a sign and in quotes where it has them. */
static inline void integer_write(struct wire_encoder *encoder, uint64_t size, bool negative,
                                 bool quoted) {
    /* Twice as long as the text at its end can be, for a copy of one size. */
    uint8_t text[2 * INTEGER_TEXT_MAX] = {0}, *const end = text + INTEGER_TEXT_MAX, *at = end;
    if (quoted)
        *--at = '"';
    at = digits_put(at, size);
    if (negative)
        *--at = '-';
    if (quoted)
        *--at = '"';
    struct buffer *out = encoder->out;
    if (!buffer_has_room(out, INTEGER_TEXT_MAX))
        return;
    memcpy(out->data + out->size, at, INTEGER_TEXT_MAX);
    buffer_advance(out, (size_t)(end - at));
}

void wire_encode_integer(struct wire_encoder *encoder, uint64_t size, bool negative) {
    integer_write(encoder, size, negative, false);
}

void wire_encode_double(struct wire_encoder *encoder, double value) {
    if (isnan(value))
        buffer_append(encoder->out, SLICE("\"NaN\""));
    else if (isinf(value))
        buffer_append(encoder->out, value > 0 ? SLICE("\"Infinity\"") : SLICE("\"-Infinity\""));
    else if (value == 0 && signbit(value))
        buffer_append(encoder->out, SLICE("-0"));
    else
        json_append_number(encoder->out, value);
}

static void encode_float(struct wire_encoder *encoder, uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    if (isfinite(value) && value != 0)
        json_append_float(encoder->out, value);
    else
        wire_encode_double(encoder, (double)value);
}

static bool encode_bytes(struct wire_encoder *encoder, const struct schema_field *field,
                         struct slice bytes) {
    wire_encode_byte(encoder, '"');
    if (field->hex)
        hex_append(encoder->out, bytes);
    else
        base64_append(encoder->out, bytes);
    wire_encode_byte(encoder, '"');
    return true;
}

static bool encode_enum(struct wire_encoder *encoder, const struct schema_field *field,
                        int32_t number) {
    if (field->enumeration->null_value) {
        buffer_append(encoder->out, SLICE("null"));
        return true;
    }
    const struct schema_enum_value *value = schema_enum_at(field->enumeration, number);
    if (value)
        return wire_encode_string(encoder, schema_enum_text(field, field->enumeration, value));
    wire_encode_integer(encoder, number < 0 ? (uint64_t) - (int64_t)number : (uint64_t)number,
                        number < 0);
    return true;
}

static void encode_signed(struct wire_encoder *encoder, int64_t value) {
    wire_encode_integer(encoder, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

/* Integers of 64 bits go in quotes. */
static bool encode_quoted(struct wire_encoder *encoder, uint64_t bits, bool is_signed) {
    bool negative = is_signed && bits >> 63;
    integer_write(encoder, negative ? 0 - bits : bits, negative, true);
    return true;
}

bool wire_encode_scalar(struct wire_encoder *encoder, const struct schema_field *field,
                        const struct wire_field *value) {
    double real;
    switch (field->type) {
    case SCHEMA_STRING:
        if (field->any_bytes && !slice_is_utf8(value->bytes))
            return wire_encode_fail(encoder, "JSON_VALUE", "json: the string is not UTF-8");
        return wire_encode_string(encoder, value->bytes);
    case SCHEMA_BYTES:
        return encode_bytes(encoder, field, value->bytes);
    case SCHEMA_ENUM:
        return encode_enum(encoder, field, (int32_t)value->bits);
    case SCHEMA_BOOL:
        buffer_append(encoder->out, value->bits ? SLICE("true") : SLICE("false"));
        break;
    case SCHEMA_DOUBLE:
        memcpy(&real, &value->bits, sizeof real);
        wire_encode_double(encoder, real);
        break;
    case SCHEMA_FLOAT:
        encode_float(encoder, (uint32_t)value->bits);
        break;
    case SCHEMA_INT64:
    case SCHEMA_SFIXED64:
        return encode_quoted(encoder, value->bits, true);
    case SCHEMA_UINT64:
    case SCHEMA_FIXED64:
        return encode_quoted(encoder, value->bits, false);
    case SCHEMA_SINT64:
        return encode_quoted(encoder, (uint64_t)wire_unzigzag(value->bits), true);
    case SCHEMA_SINT32:
        encode_signed(encoder, (int32_t)wire_unzigzag(value->bits & UINT32_MAX));
        break;
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        wire_encode_integer(encoder, (uint32_t)value->bits, false);
        break;
    default:
        encode_signed(encoder, (int32_t)value->bits);
        break;
    }
    return true;
}

bool wire_encode_key(struct wire_encoder *encoder, const struct schema_field *field,
                     const struct wire_field *key) {
    bool quoted = field->type == SCHEMA_STRING || field->type == SCHEMA_INT64 ||
                  field->type == SCHEMA_UINT64 || field->type == SCHEMA_SINT64 ||
                  field->type == SCHEMA_FIXED64 || field->type == SCHEMA_SFIXED64;
    if (!quoted)
        wire_encode_byte(encoder, '"');
    if (!wire_encode_scalar(encoder, field, key))
        return false;
    if (!quoted)
        wire_encode_byte(encoder, '"');
    wire_encode_byte(encoder, ':');
    return true;
}
