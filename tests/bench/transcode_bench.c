/* How fast a body of 100 changes becomes protobuf bytes, and a bundle of 10,000 records JSON; by
 * CPU time, so that others on the machine matter less. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/transcode.h"
#include "sync_descriptor.h"

enum { CHANGES = 100, RECORDS = 10000, ROUNDS = 9, BYTES_MAX = 64 << 20, ROUND_BYTES = 32 << 20 };

/* About 400 bytes of a booking, as travellers' apps send them. */
static void booking_append(struct buffer *out, int index) {
    buffer_append_format(
        out,
        "{\"id\":\"booking-%05d\",\"kind\":\"FlightReservation\",\"reservationNumber\":\"RX%06d\","
        "\"status\":\"confirmed\",\"price\":%d.%02d,\"currency\":\"EUR\",\"passengers\":%d,"
        "\"refundable\":%s,\"flight\":{\"number\":\"LH%d\",\"from\":\"FRA\",\"to\":\"JFK\","
        "\"departure\":\"2026-03-29T08:15:00+02:00\",\"gate\":null},"
        "\"traveller\":{\"name\":\"Zo\xc3\xab M\xc3\xbcller\",\"seat\":\"%dA\"},"
        "\"tags\":[\"work\",\"window\",\"no \\\"pets\\\"\"]}",
        index, index * 7 % 1000000, index % 900 + 20, index % 100, index % 5 + 1,
        index % 2 ? "true" : "false", index % 9000, index % 60 + 1);
}

static void upload_make(struct buffer *out) {
    buffer_append(out, SLICE("{\"changes\":["));
    for (int i = 0; i < CHANGES; i++) {
        buffer_append_format(out,
                             "%s{\"id\":\"change-%05d\",\"type\":\"%s\","
                             "\"dataType\":\"booking\",\"data\":",
                             i ? "," : "", i, i % 3 ? "update" : "create");
        booking_append(out, i);
        buffer_append_format(out, ",\"timestamp\":\"2026-03-29T08:%02d:00.250Z\"}", i % 60);
    }
    buffer_append(out, SLICE("],\"deviceId\":\"phone-1\"}"));
}

static void bundle_make(struct buffer *out) {
    buffer_append(out, SLICE("{\"bundleId\":\"b\",\"records\":["));
    for (int i = 0; i < RECORDS; i++) {
        buffer_append_format(out,
                             "%s{\"dataType\":\"booking\",\"dataId\":\"booking-%05d\","
                             "\"version\":\"%d\",\"data\":",
                             i ? "," : "", i, i + 1);
        booking_append(out, i);
        buffer_append_format(out, ",\"updatedAt\":\"2026-03-29T08:%02d:00Z\"}", i % 60);
    }
    buffer_append(out, SLICE("],\"cursor\":\"c\"}"));
}

static int rate_order(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One direction of one message, timed. */
struct bench {
    const struct schema *schema;
    const struct schema_message *message;
    struct slice input;
    bool to_json;
    size_t json_size;
};

static void bench_run(const char *name, const struct bench *bench) {
    const struct transcode_options options = {.check_required = true};
    struct buffer out;
    double rates[ROUNDS];
    size_t repeats = ROUND_BYTES / bench->json_size + 1;
    buffer_init(&out, BYTES_MAX);
    for (int round = 0; round < ROUNDS; round++) {
        clock_t begin = clock();
        for (size_t i = 0; i < repeats; i++) {
            struct sync_error error;
            buffer_clear(&out);
            enum sync_status status =
                bench->to_json
                    ? transcode_to_json(bench->schema, bench->message, bench->input, &out, &error)
                    : transcode_to_wire(bench->schema, bench->message, bench->input, &options, &out,
                                        &error);
            if (status) {
                fprintf(stderr, "%s: %s: %s\n", name, error.field, error.message);
                exit(1);
            }
        }
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        rates[round] = (double)(bench->json_size * repeats) / seconds / 1e6;
    }
    qsort(rates, ROUNDS, sizeof *rates, rate_order);
    printf("%-28s %8zu bytes of JSON  median %6.0f MB/s  (%.0f to %.0f)\n", name, bench->json_size,
           rates[ROUNDS / 2], rates[0], rates[ROUNDS - 1]);
    buffer_done(&out);
}

/* JSON to wire and back, of one message. */
static void bench_message(const struct schema *schema, const char *name, const char *type,
                          void (*make)(struct buffer *)) {
    struct buffer json, wire;
    struct sync_error error;
    char label[64];
    buffer_init(&json, BYTES_MAX);
    buffer_init(&wire, BYTES_MAX);
    make(&json);
    struct bench bench = {schema, schema_message_find(schema, slice_text(type)),
                          buffer_slice(&json), false, json.size};
    assert(bench.message);
    snprintf(label, sizeof label, "%s to wire", name);
    bench_run(label, &bench);
    if (transcode_to_wire(schema, bench.message, bench.input, NULL, &wire, &error))
        exit(1);
    bench.input = buffer_slice(&wire);
    bench.to_json = true;
    snprintf(label, sizeof label, "%s to JSON", name);
    bench_run(label, &bench);
    buffer_done(&json);
    buffer_done(&wire);
}

int main(void) {
    struct schema *schema;
    struct sync_error error;
    if (schema_open(slice_of(sync_descriptor, sync_descriptor_size), &error, &schema)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    bench_message(schema, "upload of 100 changes", "travelsense.sync.v1.UploadChangesRequest",
                  upload_make);
    bench_message(schema, "bundle of 10,000 records", "travelsense.sync.v1.GetBundleResponse",
                  bundle_make);
    schema_close(schema);
    return 0;
}
