#include <string.h>
#include <time.h>

#include "tests/client/generated/service_calls.h"

typedef struct record_service_watch_records_stream watch_stream;
typedef struct sync_service_sync_stream sync_stream;

static bool a_bundle_comes_in_pieces(const struct calls *calls) {
    PB(DownloadBundleRequest) request = PB_INIT(DOWNLOAD_BUNDLE_REQUEST);
    struct sync_service_download_bundle_stream *stream = NULL;
    Google__Api__HttpBody *piece = NULL;
    size_t bytes = 0;
    EXPECT(calls_put(calls, "trip", "Oslo", NULL));
    EXPECT(sync_service_download_bundle_open(calls->traveller, &request, NULL, NULL, &stream) ==
           STUB_OK);
    for (; sync_service_download_bundle_receive(stream, &piece);
         sync_service_download_bundle_free(piece))
        bytes += piece->data.len;
    EXPECT(sync_service_download_bundle_finish(stream, NULL) == STUB_OK);
    EXPECT(bytes > 0);
    stream = sync_service_download_bundle_close(stream);
    return !stream;
}

/* Opens a watch of the user's records from a cursor on. */
static bool watch_open(const struct calls *calls, const char *cursor,
                       const struct stub_options *options, watch_stream **ret_stream) {
    PB(WatchRecordsRequest) request = PB_INIT(WATCH_RECORDS_REQUEST);
    request.user_id = (char *)calls->user;
    request.cursor = (char *)cursor;
    EXPECT(record_service_watch_records_open(calls->service, &request, options, NULL, ret_stream) ==
           STUB_OK);
    return true;
}

/* Receives until the record comes. */
static bool watch_expect(watch_stream *stream, const char *id) {
    PB(WatchRecordsResponse) *message = NULL;
    bool is_there = false;
    while (!is_there) {
        EXPECT(record_service_watch_records_receive(stream, &message));
        for (size_t i = 0; i < message->n_records; i++)
            is_there |= strcmp(message->records[i]->data_id, id) == 0;
        record_service_watch_records_free(message);
    }
    return true;
}

static bool a_watch_brings_what_is_put_and_is_cancelled(const struct calls *calls) {
    watch_stream *stream = NULL;
    char cursor[128];
    EXPECT(calls_put(calls, "first", "Oslo", cursor));
    EXPECT(watch_open(calls, cursor, NULL, &stream));
    EXPECT(calls_put(calls, "second", "Bergen", NULL));
    EXPECT(watch_expect(stream, "second"));
    EXPECT(calls_put(calls, "third", "Narvik", NULL));
    EXPECT(watch_expect(stream, "third"));
    record_service_watch_records_cancel(stream);
    EXPECT(record_service_watch_records_finish(stream, NULL) == STUB_CANCELLED);
    EXPECT(record_service_watch_records_finish(stream, NULL) == STUB_CANCELLED);
    stream = record_service_watch_records_close(stream);
    return !stream;
}

static bool a_watch_ends_at_its_deadline(const struct calls *calls) {
    struct stub_options options = {.timeout_ms = 100};
    PB(WatchRecordsResponse) *message = NULL;
    watch_stream *stream = NULL;
    EXPECT(watch_open(calls, "", &options, &stream));
    while (record_service_watch_records_receive(stream, &message))
        record_service_watch_records_free(message);
    EXPECT(record_service_watch_records_finish(stream, NULL) == STUB_DEADLINE_EXCEEDED);
    stream = record_service_watch_records_close(stream);
    return !stream;
}

static bool batches_are_answered_in_turn(const struct calls *calls) {
    struct record_service_apply_changes_stream *stream = NULL;
    PB(ApplyChangesResponse) *response = NULL;
    EXPECT(record_service_apply_changes_open(calls->service, NULL, NULL, &stream) == STUB_OK);
    EXPECT(calls_put(calls, "trip", "Oslo", NULL));
    for (int64_t number = 1; number <= 3; number++) {
        Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
        PB(Change) change = PB_INIT(CHANGE);
        PB(Change) *changes[] = {&change};
        PB(ApplyChangesRequest) request = PB_INIT(APPLY_CHANGES_REQUEST);
        char id[] = "change-0";
        id[sizeof id - 2] = (char)('0' + number);
        time.seconds = 1700000000 + number;
        change.id = id;
        change.type = TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_DELETE;
        change.data_type = TRIP;
        change.data_id = "trip";
        change.timestamp = &time;
        change.base_version = 1;
        request.user_id = (char *)calls->user;
        request.batch_id = number;
        request.n_changes = 1;
        request.changes = changes;
        EXPECT(record_service_apply_changes_send(stream, &request));
        EXPECT(record_service_apply_changes_receive(stream, &response));
        EXPECT(response->batch_id == number);
        EXPECT(response->n_results == 1);
        EXPECT(response->results[0]->outcome ==
               TRAVELSENSE__SYNC__V1__CHANGE_OUTCOME__CHANGE_OUTCOME_APPLIED);
        record_service_apply_changes_free(response);
    }
    EXPECT(record_service_apply_changes_send_done(stream));
    EXPECT(!record_service_apply_changes_receive(stream, &response));
    EXPECT(record_service_apply_changes_finish(stream, NULL) == STUB_OK);
    stream = record_service_apply_changes_close(stream);
    return !stream;
}

static bool sync_send_hello(sync_stream *stream, const char *device, bool is_live) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    Google__Protobuf__Timestamp now = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    now.seconds = time(NULL);
    hello.sent_at = &now;
    hello.device_id = (char *)device;
    hello.live = is_live;
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    request.hello = &hello;
    EXPECT(sync_service_sync_send(stream, &request));
    return true;
}

static bool sync_send_bye(sync_stream *stream) {
    PB(SyncBye) bye = PB_INIT(SYNC_BYE);
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BYE;
    request.bye = &bye;
    EXPECT(sync_service_sync_send(stream, &request));
    return true;
}

/* Says how the stream has ended; false. */
static bool sync_ended(sync_stream *stream) {
    struct stub_status status = {0};
    sync_service_sync_finish(stream, &status);
    calls_failed(__FILE__, __LINE__, status.message);
    stub_status_done(&status);
    return false;
}

/* Receives until a message of this kind comes; counts the records on the way. */
static bool sync_expect(sync_stream *stream, PB(SyncResponse__MessageCase) wanted,
                        size_t *records) {
    PB(SyncResponse) *response = NULL;
    bool is_there = false;
    while (!is_there) {
        if (!sync_service_sync_receive(stream, &response))
            return sync_ended(stream);
        if (response->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS)
            *records += response->records->n_records;
        is_there = response->message_case == wanted;
        sync_service_sync_free(response);
    }
    return true;
}

static bool a_sync_session_goes_to_its_end(const struct calls *calls) {
    sync_stream *stream = NULL;
    size_t records = 0;
    EXPECT(calls_put(calls, "trip", "Oslo", NULL));
    EXPECT(sync_service_sync_open(calls->traveller, NULL, NULL, &stream) == STUB_OK);
    EXPECT(sync_send_hello(stream, calls->user, false));
    EXPECT(sync_expect(stream, TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME, &records));
    EXPECT(sync_expect(stream, TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE, &records));
    EXPECT(records == 1);
    EXPECT(sync_send_bye(stream));
    EXPECT(sync_service_sync_finish(stream, NULL) == STUB_OK);
    stream = sync_service_sync_close(stream);
    return !stream;
}

static bool a_live_session_brings_what_a_service_puts(const struct calls *calls) {
    sync_stream *stream = NULL;
    size_t records = 0;
    EXPECT(sync_service_sync_open(calls->traveller, NULL, NULL, &stream) == STUB_OK);
    EXPECT(sync_send_hello(stream, calls->user, true));
    EXPECT(sync_expect(stream, TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE, &records));
    EXPECT(records == 0);
    EXPECT(calls_put(calls, "trip", "Oslo", NULL));
    EXPECT(sync_expect(stream, TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS, &records));
    EXPECT(records == 1);
    EXPECT(sync_send_bye(stream));
    EXPECT(sync_service_sync_finish(stream, NULL) == STUB_OK);
    stream = sync_service_sync_close(stream);
    return !stream;
}

const struct calls_case stream_cases[] = {
    {"a_bundle_comes_in_pieces", a_bundle_comes_in_pieces},
    {"a_watch_brings_what_is_put_and_is_cancelled", a_watch_brings_what_is_put_and_is_cancelled},
    {"a_watch_ends_at_its_deadline", a_watch_ends_at_its_deadline},
    {"batches_are_answered_in_turn", batches_are_answered_in_turn},
    {"a_sync_session_goes_to_its_end", a_sync_session_goes_to_its_end},
    {"a_live_session_brings_what_a_service_puts", a_live_session_brings_what_a_service_puts},
    {NULL, NULL},
};
