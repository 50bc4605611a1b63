#include "service/core/change_result.h"

#include <assert.h>

#include "service/core/document_writer.h"

/* Fields of travelsense.sync.v1.ChangeResult and ChangeError. */
enum {
    RESULT_OUTCOME = 2,
    RESULT_DATA_TYPE = 4,
    RESULT_DATA_ID = 5,
    RESULT_VERSION = 6,
    RESULT_CONFLICT_ID = 7,
    RESULT_ERROR = 8,
    RESULT_DECISION_ID = 9,
};
enum { ERROR_REASON = 1, ERROR_FIELD = 2, ERROR_MESSAGE = 3 };

/* Tags of fields below 16: one byte. */
#define TAG_OF(number, type) ((uint8_t)((number) << 3 | (type)))

/* Puts a text before what is written, unless it is empty. */
static void put_text(struct document_writer *writer, int number, struct slice text) {
    size_t mark = document_writer_mark(writer);
    if (text.size == 0)
        return;
    document_writer_put(writer, text);
    document_writer_wrap(writer, mark, TAG_OF(number, WIRE_LEN));
}

static void put_uint(struct document_writer *writer, int number, uint64_t value) {
    uint8_t bytes[WIRE_VARINT_MAX];
    if (value == 0)
        return;
    document_writer_put(writer, slice_of(bytes, wire_put_varint(bytes, value)));
    document_writer_put_byte(writer, TAG_OF(number, WIRE_VARINT));
}

enum sync_status change_result_pack(const struct change_result *result, struct arena *arena,
                                    struct slice *ret_outcome) {
    assert(result && arena);
    assert(ret_outcome);
    enum { FIELD_COST = 1 + WIRE_VARINT_MAX };
    struct document_writer writer;
    struct slice reason = slice_text(result->reason);
    size_t room = result->data_id.size + result->conflict_id.size + result->decision_id.size +
                  reason.size + result->field.size + result->message.size + 10 * FIELD_COST;
    if (!document_writer_open(&writer, arena, room))
        return SYNC_ERR_NO_MEMORY;
    put_text(&writer, RESULT_DECISION_ID, result->decision_id);
    size_t mark = document_writer_mark(&writer);
    if (result->reason) {
        put_text(&writer, ERROR_MESSAGE, result->message);
        put_text(&writer, ERROR_FIELD, result->field);
        put_text(&writer, ERROR_REASON, reason);
        document_writer_wrap(&writer, mark, TAG_OF(RESULT_ERROR, WIRE_LEN));
    }
    put_text(&writer, RESULT_CONFLICT_ID, result->conflict_id);
    put_uint(&writer, RESULT_VERSION, result->version);
    put_text(&writer, RESULT_DATA_ID, result->data_id);
    put_uint(&writer, RESULT_DATA_TYPE, result->type);
    put_uint(&writer, RESULT_OUTCOME, result->outcome);
    *ret_outcome = document_writer_since(&writer, 0);
    return SYNC_OK;
}

static enum sync_status error_unpack(struct slice message, struct arena *arena,
                                     struct change_result *result) {
    struct wire_reader reader = wire_reader_of(message);
    struct wire_field field;
    while (!wire_at_end(&reader)) {
        if (!wire_read(&reader, &field) || field.type != WIRE_LEN)
            return SYNC_ERR_CORRUPT;
        if (field.number == ERROR_REASON) {
            result->reason = arena_copy_text(arena, field.bytes);
            if (!result->reason)
                return SYNC_ERR_NO_MEMORY;
        } else if (field.number == ERROR_FIELD) {
            result->field = field.bytes;
        } else if (field.number == ERROR_MESSAGE) {
            result->message = field.bytes;
        }
    }
    return SYNC_OK;
}

enum sync_status change_result_unpack(struct slice outcome, struct arena *arena,
                                      struct change_result *ret_result) {
    assert(arena);
    assert(ret_result);
    struct wire_reader reader = wire_reader_of(outcome);
    struct wire_field field;
    struct change_result result = {.duplicate = false};
    enum sync_status status = SYNC_OK;
    while (!status && !wire_at_end(&reader)) {
        if (!wire_read(&reader, &field))
            return SYNC_ERR_CORRUPT;
        if (field.number == RESULT_OUTCOME)
            result.outcome = (enum change_outcome)field.bits;
        else if (field.number == RESULT_DATA_TYPE)
            result.type = (enum data_type)field.bits;
        else if (field.number == RESULT_DATA_ID)
            result.data_id = field.bytes;
        else if (field.number == RESULT_VERSION)
            result.version = field.bits;
        else if (field.number == RESULT_CONFLICT_ID)
            result.conflict_id = field.bytes;
        else if (field.number == RESULT_DECISION_ID)
            result.decision_id = field.bytes;
        else if (field.number == RESULT_ERROR)
            status = error_unpack(field.bytes, arena, &result);
    }
    if (!status && (result.outcome < OUTCOME_APPLIED || result.outcome > OUTCOME_REJECTED))
        return SYNC_ERR_CORRUPT;
    if (!status)
        *ret_result = result;
    return status;
}
