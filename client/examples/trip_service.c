/* trip_service: writes trips of a traveller and tells what he changes in them.
 *
 *   trip_service --target unix:/run/sync.sock --token-file token --user alice < trips
 *
 * Each line of standard input is a trip: its id, its start, its name. All are written at once; then
 * a line is printed for each of them, and for each trip that somebody changes, as it happens. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/examples/example.h"
#include "travelsense/sync/v1/record_service.grpc-c.h"

typedef Travelsense__Sync__V1__RecordPut record_put;
typedef Travelsense__Sync__V1__Record record;

#define TRIP TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP

enum { TRIPS_MAX = 100, CURSOR_MAX = 128, ID_MAX = 64 };

/* The trips of standard input, and where to go on watching. */
struct trips {
    char lines[TRIPS_MAX][EXAMPLE_LINE_MAX];
    struct example_object objects[TRIPS_MAX];
    record_put puts[TRIPS_MAX], *put_pointers[TRIPS_MAX];
    size_t count;
    char cursor[CURSOR_MAX];
    unsigned long events;
};

/* Takes a line, "ID START NAME…", apart; false when it is not one. */
static bool trip_read(struct trips *trips, char *line) {
    char *id = strtok_r(line, " ", &line);
    char *start = strtok_r(NULL, " ", &line);
    char *name = strtok_r(NULL, "\n", &line);
    if (!id || !start || !name)
        return false;
    struct example_object *object = &trips->objects[trips->count];
    example_object_init(object);
    example_object_add(object, "id", id);
    example_object_add(object, "startTime", start);
    example_object_add(object, "name", name);
    record_put *put = &trips->puts[trips->count];
    travelsense__sync__v1__record_put__init(put);
    put->data_type = TRIP;
    put->data_id = id;
    put->data = &object->object;
    trips->put_pointers[trips->count++] = put;
    return true;
}

static bool trips_read(struct trips *trips) {
    while (trips->count < TRIPS_MAX) {
        char *line = trips->lines[trips->count];
        if (!fgets(line, EXAMPLE_LINE_MAX, stdin))
            return true;
        if (!trip_read(trips, line)) {
            fprintf(stderr, "line %zu is no trip: ID START NAME\n", trips->count + 1);
            return false;
        }
    }
    fprintf(stderr, "more than %d trips\n", TRIPS_MAX);
    return false;
}

static void cursor_keep(struct trips *trips, const char *cursor) {
    snprintf(trips->cursor, sizeof trips->cursor, "%s", cursor);
}

/* Writes all trips. Repeated after a lost answer, the request changes nothing more: it has an id,
 * and so may be retried. */
static bool trips_write(struct trips *trips, const struct example *example,
                        struct stub_channel *channel) {
    if (trips->count == 0)
        return true;
    Google__Protobuf__Timestamp now = example_now();
    char id[ID_MAX];
    snprintf(id, sizeof id, "trips-%d-%lld", (int)getpid(), (long long)now.seconds);
    Travelsense__Sync__V1__PutRecordsRequest request =
        TRAVELSENSE__SYNC__V1__PUT_RECORDS_REQUEST__INIT;
    request.user_id = (char *)example->user;
    request.n_records = trips->count;
    request.records = trips->put_pointers;
    request.request_id = id;
    Travelsense__Sync__V1__PutRecordsResponse *response = NULL;
    struct stub_options options = {.timeout_ms = 30000, .may_retry = true, .wait_for_ready = true};
    struct stub_status status = {0};
    if (record_service_put_records(channel, &request, &options, &status, &response) != STUB_OK) {
        example_complain("PutRecords", &status);
        return false;
    }
    stub_status_done(&status);
    for (size_t i = 0; i < response->n_records; i++)
        printf("wrote %s version %lld\n", response->records[i]->data_id,
               (long long)response->records[i]->version);
    fflush(stdout);
    cursor_keep(trips, response->write_checkpoint);
    record_service_put_records_free(response);
    return true;
}

static void trip_tell(const record *trip) {
    if (trip->deleted)
        printf("deleted %s version %lld\n", trip->data_id, (long long)trip->version);
    else
        printf("changed %s version %lld: %s at %s\n", trip->data_id, (long long)trip->version,
               example_object_text(trip->data, "name"),
               example_object_text(trip->data, "startTime"));
    fflush(stdout);
}

/* Watches until the stream ends, or enough was seen. */
static enum stub_code trips_watch_once(struct trips *trips, const struct example *example,
                                       struct stub_channel *channel, struct stub_status *status) {
    Travelsense__Sync__V1__DataType types[] = {TRIP};
    Travelsense__Sync__V1__WatchRecordsRequest request =
        TRAVELSENSE__SYNC__V1__WATCH_RECORDS_REQUEST__INIT;
    request.user_id = (char *)example->user;
    request.cursor = trips->cursor;
    request.n_data_types = 1;
    request.data_types = types;
    struct stub_options options = {.wait_for_ready = true};
    struct record_service_watch_records_stream *stream = NULL;
    Travelsense__Sync__V1__WatchRecordsResponse *message = NULL;
    enum stub_code code =
        record_service_watch_records_open(channel, &request, &options, NULL, &stream);
    if (code != STUB_OK)
        return code;
    while ((example->count == 0 || trips->events < example->count) &&
           record_service_watch_records_receive(stream, &message)) {
        for (size_t i = 0; i < message->n_records; i++, trips->events++)
            trip_tell(message->records[i]);
        cursor_keep(trips, message->cursor);
        record_service_watch_records_free(message);
    }
    if (example->count == 0 || trips->events < example->count)
        code = record_service_watch_records_finish(stream, status);
    record_service_watch_records_close(stream);
    return code;
}

/* Whether the stream is worth another try: the service stops, or the token has come to its end, and
 * its file may have a new one. */
static bool is_passing(const struct stub_status *status) {
    return status->code == STUB_UNAVAILABLE ||
           (status->code == STUB_UNAUTHENTICATED && status->reason &&
            strcmp(status->reason, "TOKEN_EXPIRED") == 0);
}

/* Watches, over restarts of the service: each time it goes on from the last cursor. */
static bool trips_watch(struct trips *trips, const struct example *example,
                        struct stub_channel *channel) {
    for (;;) {
        struct stub_status status = {0};
        enum stub_code code = trips_watch_once(trips, example, channel, &status);
        if (code == STUB_OK)
            return true;
        if (!is_passing(&status)) {
            status.code = code;
            example_complain("WatchRecords", &status);
            return false;
        }
        struct timespec pause = {.tv_sec = 1 + (time_t)(status.retry_after_ms / 1000)};
        stub_status_done(&status);
        nanosleep(&pause, NULL);
    }
}

int main(int argc, char **argv) {
    static struct trips trips;
    struct example example;
    if (!example_read_flags(&example, argc, argv) || !trips_read(&trips))
        return 2;
    struct stub_channel *channel = example_open(&example);
    bool went_well =
        channel && trips_write(&trips, &example, channel) && trips_watch(&trips, &example, channel);
    stub_channel_close(channel);
    return went_well ? 0 : 1;
}
