/* Faults of a request on their way through the gateway, against a service that answers as each case
 * says, also in ways that no service should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/wire.h"
#include "gateway/exchange.h"
#include "sync_descriptor.h"
#include "tests/gateway/scripted_peer.h"

enum { TURNS = 200 };

/* What the service got last, and what it answers. */
struct service {
    struct scripted_peer peer;
    char faults[32], accepts[32];
    char client[64], certificate[64]; /* whom the request is from */
    bool details_come;                /* status-details: message */
    struct slice data;                /* of the answer, with its prefix */
    const char *details;              /* grpc-status-details-bin, or NULL */
    const char *code;
};

static struct service service;
static struct gateway gateway;
static struct worker worker;
static uint8_t scratch[64 << 10];
static int answers, broken;

static int service_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                          void *context) {
    (void)session, (void)frame, (void)flags, (void)context;
    struct slice key = slice_of(name, name_size);
    if (slice_equal(key, SLICE("json-faults")))
        snprintf(service.faults, sizeof service.faults, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("accept-status-details")))
        snprintf(service.accepts, sizeof service.accepts, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("x-forwarded-for")))
        snprintf(service.client, sizeof service.client, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("x-forwarded-client-cert")))
        snprintf(service.certificate, sizeof service.certificate, "%.*s", (int)size,
                 (const char *)value);
    return 0;
}

static int service_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    (void)context;
    if (frame->hd.type != NGHTTP2_DATA || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        return 0;
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("status-details", "message")};
    struct scripted_peer *peer = &service.peer;
    peer->data = service.data;
    peer->trailers[0] = nv("grpc-status", service.code);
    peer->trailers[1] = nv("grpc-message", "the%20service");
    peer->trailers[2] = nv("grpc-status-details-bin", service.details);
    peer->trailer_count = service.details[0] ? 3 : 2;
    scripted_peer_answer(peer, session, frame->hd.stream_id, headers, service.details_come ? 3 : 2);
    return 0;
}

static void both_turn(void) {
    for (int i = 0; i < TURNS; i++) {
        assert_int_equal(loop_turn(worker.loop, 0), SYNC_OK);
        scripted_peer_turn(&service.peer);
    }
}

static int setup(void **state) {
    (void)state;
    struct sync_error error;
    struct address address;
    char list[ADDRESS_TEXT_MAX];
    gateway = (struct gateway){.clock = clock_system(),
                               .random = random_system(),
                               .upstream_policy = {.sessions = 1,
                                                   .connect_timeout_us = 5000000,
                                                   .health_fall = 1,
                                                   .health_rise = 1},
                               .limits = {.call_timeout_us = 5000000,
                                          .stream_timeout_us = 5000000,
                                          .buffered_bytes_max = 64 << 20}};
    answers = broken = 0;
    worker = (struct worker){.gateway = &gateway};
    random_pool_init(&worker.random, gateway.random);
    service = (struct service){.details = "", .code = "0"};
    scripted_peer_listen(&service.peer, &address);
    address_format(&address, list);
    const struct resolver_options targets = {.targets = list};
    assert_int_equal(resolver_open(&targets, &error, &gateway.resolver), SYNC_OK);
    gateway.metrics = gateway_metrics_open();
    assert_non_null(gateway.metrics);
    const struct api_options api = {.embedded = slice_of(sync_descriptor, sync_descriptor_size),
                                    .version = "1",
                                    .domain = "test",
                                    .metrics = gateway.metrics};
    assert_int_equal(api_open(&api, &error, &worker.api), SYNC_OK);
    worker.compressor = compressor_open();
    assert_non_null(worker.compressor);
    assert_int_equal(loop_open(gateway.clock, &worker.loop), SYNC_OK);
    const struct upstream_options options = {.loop = worker.loop,
                                             .resolver = gateway.resolver,
                                             .policy = &gateway.upstream_policy,
                                             .scratch = scratch,
                                             .scratch_size = sizeof scratch};
    assert_int_equal(upstream_open(&options, &worker.upstream), SYNC_OK);
    static const struct scripted_events events = {.header = service_header, .frame = service_frame};
    scripted_peer_accept(&service.peer, &events, NULL);
    both_turn();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    exchange_spares_free(&worker);
    upstream_close(worker.upstream);
    loop_turn(worker.loop, 0);
    loop_close(worker.loop);
    compressor_close(worker.compressor);
    api_release(worker.api);
    gateway_metrics_close(gateway.metrics);
    resolver_close(gateway.resolver);
    scripted_peer_close(&service.peer);
    return 0;
}

static void on_answered(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
    answers++;
}

static void on_more(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
}

static void on_broken(struct exchange *exchange, void *context) {
    (void)exchange, (void)context;
    broken++;
}

/* Uploads this body; the status of the answer must be `status`, and its body have the text. */
static void expect(const char *json, int status, const char *text) {
    static const struct exchange_sink sink = {on_answered, on_more, on_broken, NULL};
    static const struct peer peer = {.ip = {{[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}},
                                     .identity = {(const uint8_t *)"Hash=07", 7}};
    static struct transcode_header headers[] = {
        {{(const uint8_t *)"authorization", 13}, {(const uint8_t *)"Bearer token", 12}},
        {{(const uint8_t *)"x-forwarded-for", 15}, {(const uint8_t *)"203.0.113.9", 11}},
        {{(const uint8_t *)"x-forwarded-client-cert", 23}, {(const uint8_t *)"Hash=00", 7}},
    };
    struct exchange *exchange = exchange_open(&worker, &sink, NULL, &peer);
    assert_non_null(exchange);
    exchange_begin(exchange, &(struct exchange_head){.method = SLICE("POST"),
                                                     .path = SLICE("/api/offline/changes"),
                                                     .headers = headers,
                                                     .header_count = 3,
                                                     .has_body = true,
                                                     .content_length = UINT64_MAX});
    exchange_body(exchange, slice_text(json));
    exchange_end(exchange);
    both_turn();
    assert_int_equal(answers, 1);
    assert_int_equal(broken, 0);
    struct slice body = exchange_ready(exchange);
    if (exchange_answer(exchange)->status != status || !body.data ||
        !memmem(body.data, body.size, text, strlen(text)))
        fail_msg("%d %.*s", exchange_answer(exchange)->status, (int)body.size,
                 (const char *)body.data);
    exchange_take(exchange, body.size);
    assert_true(exchange_is_over(exchange));
    exchange_close(exchange);
}

/* Makes the service fail with details as a message. */
static void service_fails_with(struct buffer *message, struct slice details) {
    uint8_t prefix[GRPC_PREFIX_SIZE];
    buffer_init(message, 8 << 20);
    grpc_prefix_put(prefix, details.size);
    buffer_append(message, slice_of(prefix, sizeof prefix));
    buffer_append(message, details);
    service.details_come = true;
    service.data = buffer_slice(message);
    service.code = "3";
}

/* A google.rpc.Status with one violation. */
static void append_status(struct buffer *out, const char *field) {
    size_t any = wire_begin(out, 3);
    wire_write_bytes(out, 1, SLICE("type.googleapis.com/google.rpc.BadRequest"));
    size_t value = wire_begin(out, 2), violation = wire_begin(out, 1);
    wire_write_bytes(out, 1, slice_text(field));
    wire_write_bytes(out, 2, SLICE("is wrong"));
    wire_end(out, violation);
    wire_end(out, value);
    wire_end(out, any);
}

#define TWO_FAULTS                                                                                 \
    "{\"deviceId\":\"d\",\"changes\":[{\"id\":\"1\",\"type\":\"x\",\"dataType\":\"trip\","         \
    "\"timestamp\":\"never\"}]}"
#define SOUND                                                                                      \
    "{\"deviceId\":\"d\",\"changes\":[{\"id\":\"1\",\"type\":\"delete\",\"dataType\":\"trip\","    \
    "\"timestamp\":\"2026-05-01\"}]}"
#define FIELD(path) "\"field\":\"" path "\""

static void the_service_is_told_their_number_and_its_own_come_beside(void **state) {
    (void)state;
    struct buffer details, message;
    buffer_init(&details, 4096);
    append_status(&details, "changes[0].dataId");
    service_fails_with(&message, buffer_slice(&details));
    expect(TWO_FAULTS, 400,
           "The request has 3 faults; the first is in changes[0].dataId: is wrong");
    assert_string_equal(service.faults, "2");
    assert_string_equal(service.accepts, "message");
    buffer_done(&details);
    buffer_done(&message);
}

static void details_of_a_sound_request_are_told_as_they_are(void **state) {
    (void)state;
    struct buffer details, message;
    buffer_init(&details, 4096);
    append_status(&details, "changes[0].dataId");
    service_fails_with(&message, buffer_slice(&details));
    expect(SOUND, 400, FIELD("changes[0].dataId"));
    assert_string_equal(service.faults, "");
    buffer_done(&details);
    buffer_done(&message);
}

static void corrupt_details_leave_the_gateways_own_faults(void **state) {
    (void)state;
    struct buffer message;
    service_fails_with(&message, SLICE("\x1a\xff\xff\xff\xff\x0f no status at all"));
    expect(TWO_FAULTS, 400, "The request has 2 faults; the first is in changes[0].timestamp");
    buffer_done(&message);
}

static void corrupt_details_of_a_sound_request_are_dropped(void **state) {
    (void)state;
    struct buffer message;
    service_fails_with(&message, SLICE("\x1a\xff\xff\xff\xff\x0f no status at all"));
    expect(SOUND, 400, "\"message\":\"the service\",\"details\":[]");
    buffer_done(&message);
}

static void details_cut_short_or_packed_fail_the_call(void **state) {
    (void)state;
    service.details_come = true;
    service.code = "3";
    service.data = SLICE("\1\0\0\0\1x"); /* flagged as compressed, which nobody offered */
    expect(TWO_FAULTS, 429, "larger than the gateway takes");
}

static void corrupt_details_in_the_trailers_are_dropped(void **state) {
    (void)state;
    service.code = "3";
    service.details = "no*base64";
    expect(TWO_FAULTS, 400, FIELD("changes[0].type"));
}

static void other_errors_are_told_without_the_faults(void **state) {
    (void)state;
    service.code = "16";
    expect(TWO_FAULTS, 401, "\"message\":\"the service\",\"details\":[]");
    assert_string_equal(service.faults, "2");
}

static void a_service_that_takes_a_request_with_faults_has_failed(void **state) {
    (void)state;
    service.data = SLICE("\0\0\0\0\0");
    expect(TWO_FAULTS, 500, "internal error");
}

static void a_sound_request_is_answered(void **state) {
    (void)state;
    service.data = SLICE("\0\0\0\0\0");
    expect(SOUND, 202, "{");
}

static void the_service_is_told_who_the_client_is_whatever_it_says(void **state) {
    (void)state;
    service.data = SLICE("\0\0\0\0\0");
    expect(SOUND, 202, "{");
    assert_string_equal(service.client, "192.0.2.1");
    assert_string_equal(service.certificate, "Hash=07");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_service_is_told_their_number_and_its_own_come_beside),
        TEST(details_of_a_sound_request_are_told_as_they_are),
        TEST(corrupt_details_leave_the_gateways_own_faults),
        TEST(corrupt_details_of_a_sound_request_are_dropped),
        TEST(details_cut_short_or_packed_fail_the_call),
        TEST(corrupt_details_in_the_trailers_are_dropped),
        TEST(other_errors_are_told_without_the_faults),
        TEST(a_service_that_takes_a_request_with_faults_has_failed),
        TEST(a_sound_request_is_answered),
        TEST(the_service_is_told_who_the_client_is_whatever_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
