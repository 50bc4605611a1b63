#include "tests/bench/load_request.h"

#include <assert.h>

#include "base/clock.h"
#include "base/memory.h"

enum { STAMP_DIGITS = 16, STAMPS_PER_CHANGE = 4, REQUEST_BYTES_MAX = 16 << 20 };

static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static const char *pick(uint64_t *random, const char *const *words, size_t count) {
    return words[next_random(random) % count];
}

#define PICK(random, words) pick(random, words, sizeof(words) / sizeof *(words))

/* Room for digits that each request has anew; their place is counted from the body's start. */
static void append_stamp(struct load_request *request, struct buffer *body) {
    request->stamps[request->stamp_count++] = body->size;
    buffer_append(body, SLICE("0000000000000000"));
}

/* A booking as travel services write it: nested, some names beyond ASCII, numbers beside texts. Its
 * barcode differs in every request, so that no compression finds one record in another. */
static void append_booking(struct load_request *request, struct buffer *body) {
    uint64_t *random = &request->random;
    static const char *const given[] = {"Anna", "José", "Mehmet", "Chloé", "Ivo", "Ngozi"};
    static const char *const family[] = {"Kovářová", "Núñez", "Yılmaz", "Dubois", "Okafor"};
    static const char *const airports[] = {"PRG", "LIS", "IST", "CDG", "LOS", "NRT", "EZE"};
    static const char *const states[] = {"confirmed", "pending", "cancelled"};
    static const char *const currencies[] = {"EUR", "CZK", "TRY", "JPY"};
    unsigned long long number = next_random(random);
    unsigned day = 1 + (unsigned)(number >> 8) % 28, hour = (unsigned)(number >> 16) % 20;
    unsigned minute = (unsigned)(number >> 24) % 60;
    buffer_append_format(body,
                         "{\"@type\":\"FlightReservation\",\"reservationNumber\":\"%06llX\","
                         "\"status\":\"%s\",\"airplaneSeat\":\"%u%c\",",
                         number >> 40, PICK(random, states), 1 + (unsigned)number % 40,
                         (char)('A' + (number >> 32) % 6));
    buffer_append_format(body, "\"underName\":{\"givenName\":\"%s\",\"familyName\":\"%s\"},",
                         PICK(random, given), PICK(random, family));
    buffer_append_format(body,
                         "\"reservationFor\":{\"flightNumber\":\"%llu\","
                         "\"departureAirport\":\"%s\",\"arrivalAirport\":\"%s\","
                         "\"departureTime\":\"2027-05-%02uT%02u:%02u:00+02:00\"},",
                         number % 9000, PICK(random, airports), PICK(random, airports), day, hour,
                         minute);
    buffer_append(body, SLICE("\"barcode\":\""));
    append_stamp(request, body);
    append_stamp(request, body);
    buffer_append_format(body, "\",\"price\":{\"amount\":%llu.%u5,\"currency\":\"%s\"}}",
                         (number >> 20) % 2000, (unsigned)number % 10, PICK(random, currencies));
}

static void append_change(struct load_request *request, struct buffer *body, const char *time) {
    buffer_append(body, SLICE("{\"id\":\"c-"));
    append_stamp(request, body);
    buffer_append(body, SLICE("\",\"type\":\"create\",\"dataType\":\"booking\",\"dataId\":\"b-"));
    append_stamp(request, body);
    buffer_append(body, SLICE("\",\"data\":"));
    append_booking(request, body);
    buffer_append_format(body, ",\"timestamp\":\"%s\"}", time);
}

static void append_body(struct load_request *request, struct buffer *body, const char *device,
                        unsigned changes) {
    char time[TIME_TEXT_MAX];
    time_format((int64_t)(clock_now_us(clock_system()) / 1000 * 1000), time);
    buffer_append(body, SLICE("{\"changes\":["));
    for (unsigned i = 0; i < changes; i++) {
        if (i > 0)
            buffer_append_byte(body, ',');
        append_change(request, body, time);
    }
    buffer_append_format(body, "],\"deviceId\":\"%s\"}", device);
}

enum sync_status load_request_upload(struct load_request *request, const struct load_caller *caller,
                                     unsigned changes, uint64_t seed) {
    assert(changes > 0 && seed != 0);
    *request = (struct load_request){.random = seed};
    buffer_init(&request->bytes, REQUEST_BYTES_MAX);
    request->stamps = memory_zalloc((size_t)changes * STAMPS_PER_CHANGE, sizeof *request->stamps);
    if (!request->stamps)
        return SYNC_ERR_NO_MEMORY;
    struct buffer body;
    buffer_init(&body, REQUEST_BYTES_MAX);
    append_body(request, &body, caller->device, changes);
    buffer_append_format(&request->bytes,
                         "POST /api/offline/changes HTTP/1.1\r\nHost: %s\r\n"
                         "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                         "Accept-Encoding: identity\r\nContent-Length: %zu\r\n\r\n",
                         caller->host, caller->token, body.size);
    for (size_t i = 0; i < request->stamp_count; i++)
        request->stamps[i] += request->bytes.size;
    request->body_bytes = body.size;
    buffer_append(&request->bytes, buffer_slice(&body));
    bool failed = body.failed;
    buffer_done(&body);
    return failed ? SYNC_ERR_NO_MEMORY : buffer_status(&request->bytes);
}

enum sync_status load_request_get(struct load_request *request, const struct load_caller *caller,
                                  const char *target, const char *accept, const char *encoding) {
    *request = (struct load_request){0};
    buffer_init(&request->bytes, REQUEST_BYTES_MAX);
    buffer_append_format(&request->bytes,
                         "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                         "Accept-Encoding: %s\r\n",
                         target, caller->host, caller->token, encoding);
    if (accept)
        buffer_append_format(&request->bytes, "Accept: %s\r\n", accept);
    buffer_append(&request->bytes, SLICE("\r\n"));
    return buffer_status(&request->bytes);
}

enum sync_status load_request_post(struct load_request *request, const struct load_caller *caller,
                                   const char *target, struct slice body) {
    *request = (struct load_request){.body_bytes = body.size};
    buffer_init(&request->bytes, REQUEST_BYTES_MAX);
    buffer_append_format(&request->bytes,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                         "Content-Length: %zu\r\n\r\n",
                         target, caller->host, body.size);
    buffer_append(&request->bytes, body);
    return buffer_status(&request->bytes);
}

void load_request_stamp(struct load_request *request) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < request->stamp_count; i++) {
        uint64_t value = next_random(&request->random);
        uint8_t *at = request->bytes.data + request->stamps[i];
        for (unsigned digit = 0; digit < STAMP_DIGITS; digit++, value >>= 4)
            at[digit] = (uint8_t)digits[value & 15];
    }
}

void load_request_done(struct load_request *request) {
    memory_free(request->stamps);
    buffer_done(&request->bytes);
}
