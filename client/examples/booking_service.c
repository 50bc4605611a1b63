/* booking_service: cancels bookings of a traveller, whose devices learn it live.
 *
 *   booking_service --target unix:/run/sync.sock --token-file token --user alice < cancellations
 *
 * Each line of standard input is a booking's id and the reason; what became of it is printed as
 * soon as it is stored. A change that merges is told as well as one that waits as a conflict. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/examples/example.h"
#include "travelsense/sync/v1/record_service.grpc-c.h"

typedef struct record_service_apply_changes_stream changes_stream;

typedef Travelsense__Sync__V1__RecordKey record_key;

#define BOOKING TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_BOOKING

enum { ID_MAX = 96 };

/* The version of a booking: what the cancellation is based on, so that it does not undo what others
 * have changed since. 0: there is none, or it could not be asked. */
static int64_t booking_version(struct stub_channel *channel, const struct example *example,
                               const char *booking) {
    record_key key = TRAVELSENSE__SYNC__V1__RECORD_KEY__INIT, *keys[] = {&key};
    Travelsense__Sync__V1__GetRecordsRequest request =
        TRAVELSENSE__SYNC__V1__GET_RECORDS_REQUEST__INIT;
    Travelsense__Sync__V1__GetRecordsResponse *response = NULL;
    struct stub_options options = {.timeout_ms = 10000};
    struct stub_status status = {0};
    key.data_type = BOOKING;
    key.data_id = (char *)booking;
    request.user_id = (char *)example->user;
    request.n_keys = 1;
    request.keys = keys;
    if (record_service_get_records(channel, &request, &options, &status, &response) != STUB_OK) {
        example_complain("GetRecords", &status);
        return 0;
    }
    stub_status_done(&status);
    int64_t version = response->n_records > 0 ? response->records[0]->version : 0;
    record_service_get_records_free(response);
    return version;
}

/* Sends the change that cancels a booking. A change of an id that the service knows would only be
 * answered again: each is new, and one that was lost with its stream can be tried anew. */
static bool cancellation_send(changes_stream *stream, const struct example *example,
                              const char *booking, const char *reason, int64_t version) {
    static int64_t batches;
    char id[ID_MAX];
    struct example_object patch;
    example_object_init(&patch);
    example_object_add(&patch, "status", "cancelled");
    example_object_add(&patch, "cancellationReason", reason);
    Google__Protobuf__Timestamp now = example_now();
    snprintf(id, sizeof id, "cancel-%lld-%d-%d", (long long)now.seconds, now.nanos, (int)getpid());
    Travelsense__Sync__V1__Change change = TRAVELSENSE__SYNC__V1__CHANGE__INIT;
    Travelsense__Sync__V1__Change *changes[] = {&change};
    change.id = id;
    change.type = TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_UPDATE;
    change.data_type = BOOKING;
    change.data_id = (char *)booking;
    change.base_version = version;
    change.data = &patch.object;
    change.timestamp = &now;
    Travelsense__Sync__V1__ApplyChangesRequest request =
        TRAVELSENSE__SYNC__V1__APPLY_CHANGES_REQUEST__INIT;
    request.user_id = (char *)example->user;
    request.batch_id = ++batches;
    request.n_changes = 1;
    request.changes = changes;
    return record_service_apply_changes_send(stream, &request);
}

/* Tells what became of the cancellation. */
static void outcome_tell(const Travelsense__Sync__V1__ChangeResult *result) {
    const ProtobufCEnumValue *outcome = protobuf_c_enum_descriptor_get_value(
        &travelsense__sync__v1__change_outcome__descriptor, (int)result->outcome);
    printf("%s %s version %lld%s%s\n", result->data_id, outcome ? outcome->name : "unknown",
           (long long)result->version, result->error ? " " : "",
           result->error ? result->error->reason : "");
    fflush(stdout);
}

/* Sends a line's cancellation and tells its outcome. False: the stream has ended. */
static bool line_work(changes_stream *stream, struct stub_channel *channel,
                      const struct example *example, char *line) {
    char *booking = strtok_r(line, " \n", &line);
    char *reason = strtok_r(NULL, "\n", &line);
    Travelsense__Sync__V1__ApplyChangesResponse *response = NULL;
    if (!booking) {
        fputs("a line is no cancellation: BOOKING REASON\n", stderr);
        return true;
    }
    int64_t version = booking_version(channel, example, booking);
    if (!cancellation_send(stream, example, booking, reason ? reason : "", version) ||
        !record_service_apply_changes_receive(stream, &response))
        return false;
    for (size_t i = 0; i < response->n_results; i++)
        outcome_tell(response->results[i]);
    record_service_apply_changes_free(response);
    return true;
}

static bool cancel_all(const struct example *example, struct stub_channel *channel) {
    char line[EXAMPLE_LINE_MAX];
    struct stub_options options = {.wait_for_ready = true};
    struct stub_status status = {0};
    changes_stream *stream = NULL;
    status.code = record_service_apply_changes_open(channel, &options, NULL, &stream);
    if (status.code != STUB_OK) {
        example_complain("ApplyChanges", &status);
        return false;
    }
    while (fgets(line, sizeof line, stdin) && line_work(stream, channel, example, line))
        continue;
    record_service_apply_changes_send_done(stream);
    bool went_well = record_service_apply_changes_finish(stream, &status) == STUB_OK;
    if (went_well)
        stub_status_done(&status);
    else
        example_complain("ApplyChanges", &status);
    record_service_apply_changes_close(stream);
    return went_well;
}

int main(int argc, char **argv) {
    struct example example;
    if (!example_read_flags(&example, argc, argv))
        return 2;
    struct stub_channel *channel = example_open(&example);
    bool went_well = channel && cancel_all(&example, channel);
    stub_channel_close(channel);
    return went_well ? 0 : 1;
}
