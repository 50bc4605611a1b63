/* Transcode bench: how fast a body of 100 changes becomes protobuf bytes, and an answer of 10,000
 * records JSON: on bookings of our own making and, where a file of records is given or
 * ../shared/data lies beside the tree, on real ones. By CPU time, so that others on the machine
 * matter less; memcpy and a UTF-8 check of the same JSON stand beside, to measure the machine by.
 *   transcode_bench [RECORDS.jsonl] */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/transcode.h"
#include "sync_descriptor.h"

enum { CHANGES = 100, RECORDS = 10000, ROUNDS = 15, BYTES_MAX = 64 << 20, ROUND_BYTES = 16 << 20 };
enum { BOOKINGS_MAX = 1000, FILE_MAX = 8 << 20, OWN_BOOKINGS = 200 };

/* The JSON of bookings, one after the other. */
struct bookings {
    struct buffer text;
    size_t ends[BOOKINGS_MAX];
    size_t count;
};

static void booking_end(struct bookings *bookings) {
    bookings->ends[bookings->count++] = bookings->text.size;
}

static struct slice booking_at(const struct bookings *bookings, int index) {
    size_t at = (size_t)index % bookings->count, begin = at ? bookings->ends[at - 1] : 0;
    return slice_of(bookings->text.data + begin, bookings->ends[at] - begin);
}

/* About 400 bytes of a booking, as travellers' apps send them. */
static void booking_append(struct bookings *bookings, int index) {
    buffer_append_format(
        &bookings->text,
        "{\"id\":\"booking-%05d\",\"kind\":\"FlightReservation\",\"reservationNumber\":\"RX%06d\","
        "\"status\":\"confirmed\",\"price\":%d.%02d,\"currency\":\"EUR\",\"passengers\":%d,"
        "\"refundable\":%s,\"flight\":{\"number\":\"LH%d\",\"from\":\"FRA\",\"to\":\"JFK\","
        "\"departure\":\"2026-03-29T08:15:00+02:00\",\"gate\":null},"
        "\"traveller\":{\"name\":\"Zo\xc3\xab M\xc3\xbcller\",\"seat\":\"%dA\"},"
        "\"tags\":[\"work\",\"window\",\"no \\\"pets\\\"\"]}",
        index, index * 7 % 1000000, index % 900 + 20, index % 100, index % 5 + 1,
        index % 2 ? "true" : "false", index % 9000, index % 60 + 1);
    booking_end(bookings);
}

/* Takes the value of "data", the last member, out of each line. False without such a file. */
static bool bookings_read(struct bookings *bookings, const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    if (!file)
        return false;
    while ((size = getline(&line, &capacity, file)) > 0 && bookings->count < BOOKINGS_MAX) {
        const char *data = strstr(line, "\"data\":"), *end = strrchr(line, '}');
        if (!data || !end)
            continue;
        data += strlen("\"data\":");
        buffer_append(&bookings->text, slice_of(data, (size_t)(end - data)));
        booking_end(bookings);
    }
    free(line);
    fclose(file);
    return bookings->count > 0;
}

static void upload_make(const struct bookings *bookings, struct buffer *out) {
    buffer_append(out, SLICE("{\"changes\":["));
    for (int i = 0; i < CHANGES; i++) {
        buffer_append_format(out,
                             "%s{\"id\":\"change-%05d\",\"type\":\"%s\","
                             "\"dataType\":\"booking\",\"data\":",
                             i ? "," : "", i, i % 3 ? "update" : "create");
        buffer_append(out, booking_at(bookings, i));
        buffer_append_format(out, ",\"timestamp\":\"2026-03-29T08:%02d:00.250Z\"}", i % 60);
    }
    buffer_append(out, SLICE("],\"deviceId\":\"phone-1\"}"));
}

static void bundle_make(const struct bookings *bookings, struct buffer *out) {
    buffer_append(out, SLICE("{\"bundleId\":\"b\",\"records\":["));
    for (int i = 0; i < RECORDS; i++) {
        buffer_append_format(out,
                             "%s{\"dataType\":\"booking\",\"dataId\":\"booking-%05d\","
                             "\"version\":\"%d\",\"data\":",
                             i ? "," : "", i, i + 1);
        buffer_append(out, booking_at(bookings, i));
        buffer_append_format(out, ",\"updatedAt\":\"2026-03-29T08:%02d:00Z\"}", i % 60);
    }
    buffer_append(out, SLICE("],\"cursor\":\"c\"}"));
}

/* What is timed, over and over, on one message in both its forms. */
enum measure { TO_WIRE, TO_JSON, COPY, UTF8, MEASURES };

struct bench {
    const struct schema *schema;
    const struct schema_message *message;
    struct slice json, wire;
    struct buffer out;
    double rates[MEASURES][ROUNDS]; /* MB of JSON a second */
};

static void bench_step(struct bench *bench, enum measure measure) {
    static const struct transcode_options OPTIONS = {.check_required = true};
    struct sync_error error = {0};
    enum sync_status status = SYNC_OK;
    buffer_clear(&bench->out);
    if (measure == TO_WIRE)
        status = transcode_to_wire(bench->schema, bench->message, bench->json, &OPTIONS,
                                   &bench->out, &error);
    else if (measure == TO_JSON)
        status = transcode_to_json(bench->schema, bench->message, bench->wire, &bench->out, &error);
    else if (measure == COPY)
        buffer_append(&bench->out, bench->json);
    else if (!slice_is_utf8(bench->json))
        abort();
    if (status || bench->out.failed) {
        fprintf(stderr, "transcode_bench: %s: %s\n", error.field, error.message);
        exit(1);
    }
}

static double bench_round(struct bench *bench, enum measure measure) {
    size_t repeats = ROUND_BYTES / bench->json.size + 1;
    clock_t begin = clock();
    for (size_t i = 0; i < repeats; i++)
        bench_step(bench, measure);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    return (double)(bench->json.size * repeats) / seconds / 1e6;
}

static int rate_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_print(struct bench *bench, const char *name) {
    static const char *const NAMES[] = {"JSON to wire", "wire to JSON", "memcpy", "UTF-8 check"};
    printf("%s, %zu bytes of JSON\n", name, bench->json.size);
    for (int measure = 0; measure < MEASURES; measure++)
        qsort(bench->rates[measure], ROUNDS, sizeof(double), rate_order);
    for (int measure = 0; measure < MEASURES; measure++) {
        const double *rates = bench->rates[measure];
        double median = rates[ROUNDS / 2];
        printf("  %-14s median %6.0f MB/s  (%.0f to %.0f)  %5.1f %% of memcpy, %5.1f %% of the "
               "UTF-8 check\n",
               NAMES[measure], median, rates[0], rates[ROUNDS - 1],
               100 * median / bench->rates[COPY][ROUNDS / 2],
               100 * median / bench->rates[UTF8][ROUNDS / 2]);
    }
}

/* Measures one message, all measures in each round. */
static void bench_message(const struct schema *schema, const struct bookings *bookings,
                          const char *name, const char *type,
                          void (*make)(const struct bookings *, struct buffer *)) {
    struct buffer json, wire;
    struct sync_error error;
    struct bench bench = {.schema = schema,
                          .message = schema_message_find(schema, slice_text(type))};
    assert(bench.message);
    buffer_init(&json, BYTES_MAX);
    buffer_init(&wire, BYTES_MAX);
    buffer_init(&bench.out, BYTES_MAX);
    make(bookings, &json);
    bench.json = buffer_slice(&json);
    if (transcode_to_wire(schema, bench.message, bench.json, NULL, &wire, &error)) {
        fprintf(stderr, "transcode_bench: %s: %s\n", error.field, error.message);
        exit(1);
    }
    bench.wire = buffer_slice(&wire);
    for (int round = 0; round < ROUNDS; round++)
        for (int measure = 0; measure < MEASURES; measure++)
            bench.rates[measure][round] = bench_round(&bench, (enum measure)measure);
    bench_print(&bench, name);
    buffer_done(&bench.out);
    buffer_done(&json);
    buffer_done(&wire);
}

static void bench_bookings(const struct schema *schema, const struct bookings *bookings,
                           const char *of) {
    char name[64];
    snprintf(name, sizeof name, "upload of 100 %s", of);
    bench_message(schema, bookings, name, "travelsense.sync.v1.UploadChangesRequest", upload_make);
    snprintf(name, sizeof name, "bundle of 10,000 %s", of);
    bench_message(schema, bookings, name, "travelsense.sync.v1.GetBundleResponse", bundle_make);
}

int main(int argc, char **argv) {
    struct schema *schema;
    struct sync_error error;
    struct bookings own = {.count = 0}, real = {.count = 0};
    if (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    buffer_init(&own.text, FILE_MAX);
    buffer_init(&real.text, FILE_MAX);
    for (int i = 0; i < OWN_BOOKINGS; i++)
        booking_append(&own, i);
    bench_bookings(schema, &own, "bookings");
    if (bookings_read(&real, argc > 1 ? argv[1] : "../shared/data/reservations.jsonl"))
        bench_bookings(schema, &real, "real records");
    buffer_done(&own.text);
    buffer_done(&real.text);
    schema_close(schema);
    return 0;
}
