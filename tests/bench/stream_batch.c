#include "tests/bench/stream_batch.h"

#include <assert.h>

#include "base/clock.h"
#include "tests/service/core/json_document.h"

enum { ID_DIGITS = 16, ID_SIZE = ID_DIGITS + 3, BATCH_BYTES_MAX = 64 << 20 };

static const char booking[] =
    "{\"@type\":\"FlightReservation\",\"reservationNumber\":\"RXJ34P\",\"status\":\"confirmed\","
    "\"airplaneSeat\":\"14C\",\"underName\":{\"givenName\":\"Chloé\",\"familyName\":\"Yılmaz\"},"
    "\"reservationFor\":{\"flightNumber\":\"1907\",\"departureAirport\":\"PRG\","
    "\"arrivalAirport\":\"LIS\",\"departureTime\":\"2027-05-14T09:35:00+02:00\"},"
    "\"barcode\":\"5f3c0a8d91b27e640c77d2a9be41f3085f3c0a8d91b27e640c77d2a9be41f308\","
    "\"price\":{\"amount\":1204.75,\"currency\":\"EUR\"}}";

static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void id_stamp(char *id, uint64_t value) {
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < ID_DIGITS; i++, value >>= 4)
        id[2 + i] = digits[value & 15];
}

/* An id of `letter`, a dash and digits. */
static char *id_make(struct arena *arena, char letter) {
    char *id = arena_zalloc(arena, ID_SIZE, 1);
    if (!id)
        return NULL;
    id[0] = letter;
    id[1] = '-';
    return id;
}

static bool change_init(struct stream_batch *batch, Travelsense__Sync__V1__Change *change,
                        struct slice data) {
    travelsense__sync__v1__change__init(change);
    change->id = id_make(&batch->arena, 'c');
    change->data_id = id_make(&batch->arena, 'b');
    change->type = TRAVELSENSE__SYNC__V1__CHANGE_TYPE__CHANGE_TYPE_CREATE;
    change->data_type = TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_BOOKING;
    change->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
    change->data = (ProtobufCBinaryData){data.size, (uint8_t *)data.data};
    change->timestamp = &batch->time;
    return change->id && change->data_id;
}

enum sync_status stream_batch_init(struct stream_batch *batch, size_t count, char *device,
                                   uint64_t seed) {
    assert(count > 0 && seed != 0);
    *batch = (struct stream_batch){.random = seed, .count = count};
    arena_init(&batch->arena, BATCH_BYTES_MAX);
    travelsense__sync__v1__sync_request__init(&batch->message);
    travelsense__sync__v1__sync_batch__init(&batch->batch);
    travelsense__sync__v1__upload_changes_request__init(&batch->upload);
    google__protobuf__timestamp__init(&batch->time);
    batch->time.seconds = (int64_t)(clock_now_us(clock_system()) / 1000000);
    struct slice data = json_struct(booking, &batch->arena);
    Travelsense__Sync__V1__Change **list = arena_zalloc(&batch->arena, count, sizeof *list);
    batch->changes = arena_zalloc(&batch->arena, count, sizeof *batch->changes);
    if (!list || !batch->changes)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        list[i] = &batch->changes[i];
        if (!change_init(batch, list[i], data))
            return SYNC_ERR_NO_MEMORY;
    }
    batch->batch.changes = batch->upload.changes = list;
    batch->batch.n_changes = batch->upload.n_changes = count;
    batch->upload.device_id = device;
    batch->message.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_BATCH;
    batch->message.batch = &batch->batch;
    return SYNC_OK;
}

void stream_batch_stamp(struct stream_batch *batch, int64_t number) {
    for (size_t i = 0; i < batch->count; i++) {
        id_stamp(batch->changes[i].id, next_random(&batch->random));
        id_stamp(batch->changes[i].data_id, next_random(&batch->random));
    }
    batch->batch.batch_id = number;
}

void stream_batch_done(struct stream_batch *batch) {
    arena_done(&batch->arena);
}
