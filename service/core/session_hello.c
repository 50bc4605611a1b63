/* Hello and welcome. */
#include <assert.h>
#include <stdio.h>

#include "base/id.h"
#include "base/memory.h"
#include "service/core/hybrid_clock.h"
#include "service/core/session_private.h"

enum { SECOND_US = 1000000, CLOCK_TOLERANCE_US = 2 * SECOND_US, NANOS_MAX = 999999999 };

static const int64_t SECONDS_MAX = 253402300799; /* 9999-12-31T23:59:59Z */

/* Reads a time of the years 1970 to 9999. */
static bool time_read(const Google__Protobuf__Timestamp *time, int64_t *ret_us) {
    if (time->seconds < 0 || time->seconds > SECONDS_MAX || time->nanos < 0 ||
        time->nanos > NANOS_MAX)
        return false;
    *ret_us = time->seconds * SECOND_US + time->nanos / 1000;
    return true;
}

bool session_clock_offset(const struct session *session, const Google__Protobuf__Timestamp *sent_at,
                          int64_t *ret_offset_us) {
    int64_t sent_us;
    if (!time_read(sent_at, &sent_us))
        return false;
    *ret_offset_us = hybrid_clock_offset(sent_us, session->now.wall_us, CLOCK_TOLERANCE_US);
    return true;
}

/* Says which field of hello is at fault; returns false. */
static bool refuse(struct session *session, const char *reason, const char *field,
                   const char *text) {
    session_end(session, SYNC_ERR_INVALID, reason, field, "%s", text);
    return false;
}

/* Reads the types wanted and their order; a type named again counts once. */
static bool types_read(struct session *session, const PB(SyncHello) *hello) {
    char field[48];
    data_type_set types = 0;
    data_type_order order = 0;
    int count = 0;
    for (size_t i = 0; i < hello->n_data_types; i++) {
        int type = (int)hello->data_types[i];
        if (type < DATA_TYPE_FIRST || type > DATA_TYPE_LAST) {
            snprintf(field, sizeof field, "hello.dataTypes[%zu]", i);
            return refuse(session, "INVALID_VALUE", field,
                          "must be trip, profile, preference or booking");
        }
        if (!data_type_in(types, (enum data_type)type))
            order |= (data_type_order)(type << 4 * count++);
        types |= (data_type_set)1 << type;
    }
    session->order = order == DATA_TYPE_ORDER_OWN ? 0 : order;
    session->types = types ? types : (data_type_set)DATA_TYPES_ALL;
    return true;
}

static bool numbers_are_sound(struct session *session, const PB(SyncHello) *hello) {
    static const char TEXT[] = "must not be negative";
    if (hello->batches_in_flight_max < 0)
        return refuse(session, "OUT_OF_RANGE", "hello.batchesInFlightMax", TEXT);
    if (hello->unacknowledged_bytes_max < 0)
        return refuse(session, "OUT_OF_RANGE", "hello.unacknowledgedBytesMax", TEXT);
    if (hello->changes_pending < 0)
        return refuse(session, "OUT_OF_RANGE", "hello.changesPending", TEXT);
    return true;
}

/* Whether the device's cursor counts at all. */
static bool has_cursor(const PB(SyncHello) *hello) {
    return hello->cursor[0] && hello->sync_type != TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_FULL;
}

static bool hello_is_sound(struct session *session, const PB(SyncHello) *hello) {
    struct session_cursor cursor;
    int64_t offset_us;
    if (!device_id_is_valid(slice_text(hello->device_id)))
        return refuse(session, "INVALID_FORMAT", "hello.deviceId",
                      "must be 1 to 128 of letters, digits and ._:-");
    if (has_cursor(hello) && session_cursor_parse(slice_text(hello->cursor), &cursor) != SYNC_OK)
        return refuse(session, "INVALID_VALUE", "hello.cursor",
                      "must be a cursor that this service has given out");
    if ((int)hello->sync_type < 0 ||
        hello->sync_type > TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_INCREMENTAL)
        return refuse(session, "INVALID_VALUE", "hello.syncType",
                      "must be full, delta or incremental");
    if (hello->sent_at && !session_clock_offset(session, hello->sent_at, &offset_us))
        return refuse(session, "OUT_OF_RANGE", "hello.sentAt",
                      "must lie in the years 1970 to 9999");
    return types_read(session, hello) && numbers_are_sound(session, hello);
}

static enum patch_form patches_wanted(const PB(SyncHello) *hello) {
    if (hello->sync_type != TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA)
        return PATCH_FORM_NONE;
    bool has_operations =
        hello->patch_format == TRAVELSENSE__SYNC__V1__PATCH_FORMAT__PATCH_FORMAT_OPERATIONS;
    return has_operations ? PATCH_FORM_OPERATIONS : PATCH_FORM_MERGE;
}

void session_hello(struct session *session, struct session_received *received) {
    assert(session->phase == SESSION_EXPECTS_HELLO);
    assert(!session->hello);
    const PB(SyncHello) *hello = received->message->hello;
    if (!hello_is_sound(session, hello))
        return;
    uint32_t batches = (uint32_t)hello->batches_in_flight_max;
    uint64_t credit = (uint64_t)hello->unacknowledged_bytes_max;
    if (batches > 0 && batches < session->batches_max)
        session->batches_max = batches;
    if (credit > 0)
        session->credit_max = credit < SYNC_UNACKNOWLEDGED_MAX ? credit : SYNC_UNACKNOWLEDGED_MAX;
    session->is_live = hello->live;
    session->patches = patches_wanted(hello);
    if (hello->sent_at)
        (void)session_clock_offset(session, hello->sent_at, &session->clock_offset_us);
    session_progress_begin(&session->progress, (uint64_t)hello->changes_pending,
                           session->now.monotonic_us);
    session->hello = received;
    session->phase = SESSION_OPENING;
}

/* The device's clock minus ours, as the welcome tells it: nothing is left out. */
static bool offset_measured(const struct session *session, const PB(SyncHello) *hello,
                            int64_t *ret_offset_us) {
    int64_t sent_us;
    if (!hello->sent_at || !time_read(hello->sent_at, &sent_us))
        return false;
    *ret_offset_us = sent_us - session->hello->received_wall_us;
    return true;
}

static void welcome(struct session *session, const struct session_answer *answer) {
    char acknowledged[CURSOR_TEXT_MAX] = "";
    int64_t offset_us = 0;
    char *sync_id = memory_copy_text(answer->open.sync_id.data, answer->open.sync_id.size);
    if (!sync_id) {
        session_end_no_memory(session);
        return;
    }
    bool has_offset = offset_measured(session, session->hello->message->hello, &offset_us);
    Google__Protobuf__Timestamp now = session_timestamp(session->now.wall_us);
    Google__Protobuf__Duration offset = session_duration(offset_us);
    if (answer->open.has_acknowledged)
        session_cursor_text(session, answer->open.acknowledged, acknowledged);
    PB(SyncWelcome) message = PB_INIT(SYNC_WELCOME);
    message.sync_id = sync_id;
    message.server_time = &now;
    message.clock_offset = has_offset ? &offset : NULL;
    message.batches_in_flight_max = (int32_t)session->batches_max;
    message.batch_changes_max = BATCH_CHANGES_MAX;
    message.change_data_bytes_max = CHANGE_DATA_MAX;
    message.batch_bytes_max = SYNC_BATCH_BYTES_MAX;
    message.unacknowledged_bytes_max = (int32_t)session->credit_max;
    message.bandwidth_limit =
        session->bandwidth_limit < INT64_MAX ? (int64_t)session->bandwidth_limit : INT64_MAX;
    message.acknowledged_cursor = acknowledged;
    PB(SyncResponse) response = PB_INIT(SYNC_RESPONSE);
    response.message_case = TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME;
    response.welcome = &message;
    session_queue(session, &response, NULL);
    memory_free(sync_id);
}

/* Goes on from a lap cursor of another session. What the device has acknowledged is as it was
 * noted: where the lap began, records of the one before may have been left out. */
static void resume_lap(struct session *session, const struct lap_cursor *lap, const char *text) {
    session->lap = *lap;
    session->is_in_lap = session->is_lap_resumed = session->has_begun = true;
    session->has_position = session->has_sent = lap->has_from;
    session->position = session->sent_sequence = lap->from;
    session->sent_lap_cursor = memory_copy_text(text, strlen(text));
    if (!session->sent_lap_cursor)
        session_end_no_memory(session);
}

/* Begins where the device is, or with a snapshot. */
static void begin(struct session *session, const PB(SyncHello) *hello) {
    struct session_cursor cursor;
    if (!has_cursor(hello))
        return;
    enum sync_status status = session_cursor_parse(slice_text(hello->cursor), &cursor);
    assert(status == SYNC_OK);
    (void)status;
    uint64_t furthest = cursor.is_lap ? cursor.lap.target : cursor.sequence;
    /* A place in a lap means something in its own order alone. */
    bool is_of_types = cursor.is_lap
                           ? cursor.lap.order == session->order
                           : cursor_covers(&(struct cursor){.types = cursor.types}, session->types);
    if (cursor.epoch != session->epoch || furthest > session->head || !is_of_types) {
        session_resync(session);
    } else if (cursor.is_lap) {
        resume_lap(session, &cursor.lap, hello->cursor);
    } else {
        session->has_position = session->has_sent = true;
        session->position = session->sent_sequence = cursor.sequence;
        session_raise_acknowledged(session, cursor.sequence);
    }
}

void session_open_answered(struct session *session, const struct session_answer *answer) {
    assert(session->phase == SESSION_OPENING);
    if (answer->error.status != SYNC_OK) {
        session->retry_after_us = answer->retry_after_us;
        session_end_with(session, &answer->error);
        return;
    }
    session->is_opened = true;
    session->phase = SESSION_CATCHING_UP;
    session->epoch = answer->open.epoch;
    if (answer->open.head > session->head)
        session->head = answer->open.head;
    session->acknowledged = answer->open.has_acknowledged ? answer->open.acknowledged : 0;
    session->bandwidth_limit = answer->open.bandwidth_limit;
    session->conflicts_open = answer->open.conflicts_open;
    session->report_us = session->now.monotonic_us;
    welcome(session, answer);
    begin(session, session->hello->message->hello);
    if (!session->has_position)
        session_progress_expect(&session->progress, answer->open.record_count,
                                answer->open.data_bytes);
}
