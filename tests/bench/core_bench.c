/* Core bench: what the core costs per change, without store and wire. Creates of real-looking
 * bookings of about 500 bytes, in batches of 100; normalizing in sorted and unsorted form, JSON,
 * checksum, and the whole batch. Then merges of a record of about 1 kB, beside what the machine
 * takes to hash and to copy it; and an audit of 10,000 records. Prints the median of the rounds in
 * nanoseconds per change, or per record audited. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "service/core/audit.h"
#include "service/core/change_batch.h"
#include "service/core/checksum.h"
#include "service/core/delta.h"
#include "service/core/document.h"
#include "service/core/field_stamps.h"
#include "service/core/merge.h"
#include "tests/service/core/json_document.h"

enum { BATCH = 100, ROUNDS = 301, AUDIT_RECORDS = 10000, AUDIT_PARTS = 64 };

static const char SORTED[] =
    "{\"@context\":\"http://schema.org\",\"@type\":\"FlightReservation\",\"airplaneSeat\":\"3C\","
    "\"passengerSequenceNumber\":506,\"reservationFor\":{\"@type\":\"Flight\",\"airline\":"
    "{\"@type\":\"Airline\",\"iataCode\":\"EZY\"},\"arrivalAirport\":{\"@type\":\"Airport\","
    "\"iataCode\":\"LGW\"},\"departureAirport\":{\"@type\":\"Airport\",\"iataCode\":\"MRS\"},"
    "\"departureDay\":\"2018-04-09\",\"flightNumber\":\"8724\"},\"reservationNumber\":\"ABCDEFG\","
    "\"reservationStatus\":\"http://schema.org/ReservationConfirmed\",\"underName\":"
    "{\"@type\":\"Person\",\"familyName\":\"DOE\",\"givenName\":\"JOHN\"}}";

static const char UNSORTED[] =
    "{\"underName\":{\"givenName\":\"JOHN\",\"familyName\":\"DOE\",\"@type\":\"Person\"},"
    "\"@type\":\"FlightReservation\",\"@context\":\"http://schema.org\",\"airplaneSeat\":\"3C\","
    "\"passengerSequenceNumber\":506,\"reservationNumber\":\"ABCDEFG\",\"reservationFor\":"
    "{\"flightNumber\":\"8724\",\"airline\":{\"iataCode\":\"EZY\",\"@type\":\"Airline\"},"
    "\"arrivalAirport\":{\"iataCode\":\"LGW\",\"@type\":\"Airport\"},\"departureAirport\":"
    "{\"@type\":\"Airport\",\"iataCode\":\"MRS\"},\"departureDay\":\"2018-04-09\","
    "\"@type\":\"Flight\"},\"reservationStatus\":\"http://schema.org/ReservationConfirmed\"}";

/* What the bench works on. */
struct bench {
    struct arena arena;
    struct buffer scratch;
    struct slice sorted, unsorted;
    struct slice record, ours, theirs, disputed, patch;
    struct record stamped; /* of whose fields ten have changed */
    struct field_change change;
    struct change changes[BATCH];
    struct record *audited;
};

typedef void bench_step(struct bench *bench);

static void check(bool holds) {
    if (!holds)
        abort();
}

static void step_normalize_sorted(struct bench *bench) {
    struct slice document;
    for (int i = 0; i < BATCH; i++)
        check(document_normalize(bench->sorted, &bench->arena, NULL, &document) == SYNC_OK);
}

static void step_normalize_unsorted(struct bench *bench) {
    struct slice document;
    for (int i = 0; i < BATCH; i++)
        check(document_normalize(bench->unsorted, &bench->arena, NULL, &document) == SYNC_OK);
}

static void step_json(struct bench *bench) {
    for (int i = 0; i < BATCH; i++) {
        buffer_clear(&bench->scratch);
        document_append_json(bench->sorted, &bench->scratch);
    }
}

static void step_sha256(struct bench *bench) {
    uint8_t digest[SHA256_SIZE];
    for (int i = 0; i < BATCH; i++)
        sha256_of(bench->sorted, digest);
}

static void step_checksum(struct bench *bench) {
    struct record_key key = {DATA_TYPE_BOOKING, SLICE("b1")};
    struct checksum element;
    for (int i = 0; i < BATCH; i++)
        check(checksum_element(&key, bench->sorted, &bench->scratch, &element) == SYNC_OK);
}

static void step_payload_hash(struct bench *bench) {
    for (int i = 0; i < BATCH; i++)
        change_payload_hash(&bench->changes[i], bench->changes[i].payload_hash);
}

static void random_fill(void *context, uint8_t *bytes, size_t size) {
    (void)context;
    memset(bytes, 7, size);
}

static void step_batch(struct bench *bench) {
    const struct random_source random = {random_fill, NULL};
    struct change_batch batch = {
        .user = SLICE("user"), .device = SLICE("phone"), .changes = bench->changes, .count = BATCH};
    struct batch_context context = {.now_us = 1764000000000000,
                                    .random = &random,
                                    .policies = policy_set_default(),
                                    .strategy = STRATEGY_MERGE};
    struct touched want;
    struct write_set set;
    struct change_result *results;
    struct user_view view = {.head = {.revision = 1}};
    check(change_batch_touch(&batch, &bench->arena, &want) == SYNC_OK);
    view.records = arena_zalloc(&bench->arena, BATCH, sizeof *view.records);
    view.changes = arena_zalloc(&bench->arena, BATCH, sizeof *view.changes);
    view.rows = arena_zalloc(&bench->arena, want.row_count, sizeof *view.rows);
    check(view.records && view.changes && view.rows);
    check(change_batch_apply(&view, &batch, &context, &bench->arena, &set, &results) == SYNC_OK);
    check(set.head.record_count == BATCH);
}

/* Makes a record of 20 fields, about 1 kB; `changed` of them, from the field `first` on, are new.
 */
static struct slice make_record(unsigned first, unsigned changed, char mark, struct arena *arena) {
    enum { FIELDS = 20, RECORD_JSON_MAX = 2048 };
    struct buffer json;
    buffer_init(&json, RECORD_JSON_MAX);
    for (unsigned i = 0; i < FIELDS; i++)
        buffer_append_format(&json, "%s\"field%02u\":\"%c value of about forty bytes %u\"",
                             i > 0 ? "," : "{", i, i >= first && i < first + changed ? mark : '-',
                             i);
    buffer_append(&json, SLICE("}"));
    char *text = arena_copy_text(arena, buffer_slice(&json));
    check(text);
    buffer_done(&json);
    return json_document(text, arena);
}

/* What the edits of a record change. */
struct edits {
    const char *gate, *departure, *notes, *seat;
};

static const struct edits FIRST = {"A12", "2026-05-02T09:31:00+02:00",
                                   "window seat, please, and no dairy; the blue bag is carry-on",
                                   "21A"};

/* A flight's booking as schema.org has it: 20 fields, about 1 kB. */
static struct slice make_booking(const struct edits *edits, struct arena *arena) {
    char *text = arena_format(
        arena,
        "{\"@context\":\"http://"
        "schema.org\",\"@type\":\"FlightReservation\",\"airplaneSeat\":\"%s\","
        "\"modifiedTime\":\"2026-04-01T12:00:00Z\",\"notes\":\"%s\",\"passengerSequenceNumber\":"
        "106,"
        "\"reservationFor\":{\"@type\":\"Flight\",\"airline\":{\"iataCode\":\"LX\",\"name\":"
        "\"Swiss "
        "International Air Lines\"},\"arrivalAirport\":{\"iataCode\":\"LHR\"},\"arrivalTime\":"
        "\"2026-05-02T10:25:00+01:00\",\"departureAirport\":{\"iataCode\":\"ZRH\"},"
        "\"departureGate\":"
        "\"%s\",\"departureTime\":\"%s\",\"flightNumber\":\"332\"},\"reservationNumber\":"
        "\"XKCD42\","
        "\"reservationStatus\":\"http://schema.org/ReservationConfirmed\",\"reservedTicket\":"
        "{\"ticketNumber\":\"724-1234567890\",\"ticketToken\":\"aztecCode:M1DOE/JOHN            "
        "EXKCD42 "
        "ZRHLHRLX 0332 122Y021A0106 "
        "100\"},\"totalPrice\":189.5,\"underName\":{\"familyName\":\"DOE\","
        "\"givenName\":\"JOHN\"}}",
        edits->seat, edits->notes, edits->gate, edits->departure);
    check(text);
    return json_document(text, arena);
}

static void merge_records(struct bench *bench, struct slice ours, struct slice theirs) {
    struct merge_input input = {.type = DATA_TYPE_BOOKING,
                                .base = bench->record,
                                .ours = ours,
                                .theirs = theirs,
                                .ours_us = 1000,
                                .theirs_us = 2000};
    struct merge_result result;
    for (int i = 0; i < BATCH; i++)
        check(conflict_merge(&input, policy_set_default(), STRATEGY_MERGE, &bench->arena,
                             &result) == SYNC_OK);
}

static void step_merge(struct bench *bench) {
    merge_records(bench, bench->ours, bench->theirs);
}

static void step_merge_disputed(struct bench *bench) {
    merge_records(bench, bench->ours, bench->disputed);
}

static void step_apply(struct bench *bench) {
    struct slice document;
    for (int i = 0; i < BATCH; i++)
        check(document_merge_patch(bench->record, bench->patch, &bench->arena, &document) ==
              SYNC_OK);
}

static void step_stamps(struct bench *bench) {
    struct slice stamps;
    for (int i = 0; i < BATCH; i++)
        check(field_stamps_after(&bench->change, &bench->arena, &stamps) == SYNC_OK);
}

static void step_stamps_patch(struct bench *bench) {
    struct slice patch;
    bool is_found;
    for (int i = 0; i < BATCH; i++)
        check(field_stamps_patch(&bench->stamped, 4, &bench->arena, &patch, &is_found) == SYNC_OK &&
              is_found);
}

/* Changes the record's fields two by two, the first ten of them, and then the first two again. */
static void make_stamped(struct bench *bench, struct arena *kept) {
    bench->stamped = (struct record){.version = 1, .data = make_record(0, 0, 0, kept)};
    for (unsigned i = 0; i < 6; i++) {
        struct slice stamps;
        struct slice document = make_record(i % 5 * 2, 2, 'v', kept);
        bench->change = (struct field_change){
            .before = &bench->stamped, .document = document, .version = i + 2};
        check(delta_between(document, bench->stamped.data, kept, &bench->change.undo) == SYNC_OK);
        check(field_stamps_after(&bench->change, kept, &stamps) == SYNC_OK);
        if (i < 5)
            bench->stamped = (struct record){.version = i + 2, .data = document, .stamps = stamps};
    }
}

static void step_record_checksum(struct bench *bench) {
    struct record_key key = {DATA_TYPE_BOOKING, SLICE("b1")};
    struct checksum element;
    for (int i = 0; i < BATCH; i++)
        check(checksum_element(&key, bench->record, &bench->scratch, &element) == SYNC_OK);
}

static void step_record_sha256(struct bench *bench) {
    uint8_t digest[SHA256_SIZE];
    for (int i = 0; i < BATCH; i++)
        sha256_of(bench->record, digest);
}

static void step_record_copy(struct bench *bench) {
    struct slice copy;
    for (int i = 0; i < BATCH; i++)
        check(arena_copy(&bench->arena, bench->record, &copy));
}

/* Records in the order of their ids, as a scan of the store gives them. */
static void audit_make(struct bench *bench, struct arena *kept) {
    bench->audited = arena_zalloc(kept, AUDIT_RECORDS, sizeof *bench->audited);
    check(bench->audited);
    for (unsigned i = 0; i < AUDIT_RECORDS; i++) {
        struct record *record = &bench->audited[i];
        record->key = (struct record_key){DATA_TYPE_BOOKING,
                                          slice_text(arena_format(kept, "booking-%08u", i))};
        record->version = i + 1;
        record->data = bench->record;
        check(checksum_element(&record->key, record->data, &bench->scratch, &record->element) ==
              SYNC_OK);
    }
}

static void step_audit(struct bench *bench) {
    struct audit_want want = {
        .parts_max = AUDIT_PARTS, .records_max = AUDIT_RECORDS, .bytes_max = AUDIT_BYTES_MAX};
    struct audit audit;
    check(audit_init(&audit, &want, &bench->arena) == SYNC_OK);
    for (unsigned i = 0; i < AUDIT_RECORDS; i++)
        check(audit_add(&audit, &bench->audited[i]));
    check(audit_end(&audit) == SYNC_OK && audit.count > AUDIT_PARTS / 2 - 1);
}

static int compare_numbers(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Measures a step that does something `count` times. */
static void measure_of(struct bench *bench, const char *name, bench_step *step, unsigned count,
                       const char *what) {
    const struct clock *clock = clock_system();
    double rounds[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        arena_reset(&bench->arena);
        uint64_t begin_us = clock_monotonic_us(clock);
        for (int j = 0; j < 10; j++) {
            arena_reset(&bench->arena);
            step(bench);
        }
        rounds[i] = (double)(clock_monotonic_us(clock) - begin_us) * 1000 / (10 * count);
    }
    qsort(rounds, ROUNDS, sizeof *rounds, compare_numbers);
    printf("%-20s %8.0f ns per %s\n", name, rounds[ROUNDS / 2], what);
}

static void measure(struct bench *bench, const char *name, bench_step *step) {
    measure_of(bench, name, step, BATCH, "change");
}

/* Two changed fields on each side: of different fields, and of the same. */
static void measure_records(struct bench *bench, struct arena *kept) {
    struct edits ours = FIRST, theirs = FIRST, disputed = FIRST;
    ours.gate = "B44";
    ours.departure = "2026-05-02T09:55:00+02:00";
    theirs.seat = "14C";
    theirs.notes = "aisle seat, please, and no dairy; the blue bag is carry-on, the red one is not";
    disputed.gate = "C07";
    disputed.departure = "2026-05-02T10:10:00+02:00";
    bench->record = make_booking(&FIRST, kept);
    bench->ours = make_booking(&ours, kept);
    bench->theirs = make_booking(&theirs, kept);
    bench->disputed = make_booking(&disputed, kept);
    bench->patch = json_document(
        "{\"airplaneSeat\":\"14C\",\"reservationFor\":{\"departureGate\":\"B44\"}}", kept);
    audit_make(bench, kept);
    printf("record of %zu bytes, 20 fields, 2 changed on each side\n", bench->record.size);
    measure(bench, "merge", step_merge);
    measure(bench, "merge of disputes", step_merge_disputed);
    measure(bench, "apply", step_apply);
    make_stamped(bench, kept);
    measure(bench, "field stamps", step_stamps);
    measure(bench, "patch by stamps", step_stamps_patch);
    measure(bench, "checksum", step_record_checksum);
    measure(bench, "SHA-256 alone", step_record_sha256);
    measure(bench, "copy alone", step_record_copy);
    measure_of(bench, "audit", step_audit, AUDIT_RECORDS, "record");
}

int main(void) {
    static struct bench bench;
    struct arena kept;
    arena_init(&kept, (size_t)1 << 30);
    arena_init(&bench.arena, (size_t)1 << 30);
    buffer_init(&bench.scratch, 1 << 20);
    bench.sorted = json_document(SORTED, &kept);
    bench.unsorted = json_struct(UNSORTED, &kept);
    for (int i = 0; i < BATCH; i++) {
        bench.changes[i] =
            (struct change){.id = slice_text(arena_format(&kept, "change-%08d", i)),
                            .kind = CHANGE_CREATE,
                            .type = DATA_TYPE_BOOKING,
                            .data_id = slice_text(arena_format(&kept, "booking-%08d", i)),
                            .device_us = 1764000000000000 - i,
                            .data = bench.sorted};
        change_payload_hash(&bench.changes[i], bench.changes[i].payload_hash);
    }
    printf("document of %zu bytes\n", bench.sorted.size);
    measure(&bench, "normalize sorted", step_normalize_sorted);
    measure(&bench, "normalize unsorted", step_normalize_unsorted);
    measure(&bench, "canonical JSON", step_json);
    measure(&bench, "SHA-256", step_sha256);
    measure(&bench, "checksum element", step_checksum);
    measure(&bench, "payload hash", step_payload_hash);
    measure(&bench, "change batch", step_batch);
    measure_records(&bench, &kept);
    buffer_done(&bench.scratch);
    arena_done(&bench.arena);
    arena_done(&kept);
    return 0;
}
