#include "tests/gateway/upstream_fixture.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { TURNS = 50, STEP_US = 32000 };

struct service services[SERVICES_MAX];
struct service *const service = &services[0];
struct loop *loop;
struct upstream *upstream;
struct upstream_policy policy;
struct gateway_metrics *metrics;
uint64_t time_us;

static struct resolver *resolver;
static uint8_t scratch[64 << 10];

const char request_bytes[8] = {0, 0, 0, 0, 3, 'a', 'b', 'c'};

static uint64_t time_now(void *context) {
    (void)context;
    return time_us;
}

static const struct clock test_clock = {time_now, time_now, NULL};

static int service_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                          size_t name_size, const uint8_t *value, size_t size, uint8_t flags,
                          void *context) {
    (void)session, (void)flags;
    struct service *one = context;
    struct slice key = slice_of(name, name_size), text = slice_of(value, size);
    if (slice_equal(key, SLICE(":path"))) {
        if (slice_equal(text, SLICE("/grpc.health.v1.Health/Check"))) {
            one->check_id = frame->hd.stream_id;
            one->checks++;
            return 0;
        }
        one->stream_id = frame->hd.stream_id;
        one->calls++;
        snprintf(one->path, sizeof one->path, "%.*s", (int)size, (const char *)value);
    }
    if (frame->hd.stream_id == one->check_id)
        return 0;
    if (slice_equal(key, SLICE("grpc-timeout")))
        snprintf(one->timeout, sizeof one->timeout, "%.*s", (int)size, (const char *)value);
    if (slice_equal(key, SLICE("accept-status-details")))
        one->details_accepted = slice_equal(text, SLICE("message"));
    if (slice_equal(key, SLICE("authorization")))
        snprintf(one->authorization, sizeof one->authorization, "%.*s", (int)size,
                 (const char *)value);
    return 0;
}

static int service_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                        const uint8_t *data, size_t size, void *context) {
    (void)session, (void)flags;
    struct service *one = context;
    if (stream_id != one->check_id)
        buffer_append(&one->request, slice_of(data, size));
    return 0;
}

static void service_answer_check(struct service *one) {
    const nghttp2_nv none[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                               nv("grpc-status", "12")};
    const nghttp2_nv some[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    if (one->health == HEALTH_UNIMPLEMENTED) {
        nghttp2_submit_response(one->peer.session, one->check_id, none, 3, NULL);
    } else if (one->health != HEALTH_SILENT) {
        bool serving = one->health == HEALTH_SERVING;
        one->peer.data = serving ? SLICE("\0\0\0\0\2\x08\1") : SLICE("\0\0\0\0\2\x08\2");
        one->peer.trailers[0] = nv("grpc-status", "0");
        one->peer.trailer_count = 1;
        scripted_peer_answer(&one->peer, one->peer.session, one->check_id, some, 2);
    }
}

static int service_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    (void)session;
    struct service *one = context;
    if (frame->hd.stream_id != 0 && frame->hd.stream_id == one->check_id) {
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
            service_answer_check(one);
    } else if (frame->hd.type == NGHTTP2_PING) {
        one->pings++;
    } else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        one->reset = true;
        one->reset_code = frame->rst_stream.error_code;
    } else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        one->request_ended = true;
    }
    return 0;
}

void service_accept(struct service *one) {
    static const struct scripted_events events = {
        .header = service_header, .data = service_data, .frame = service_frame};
    scripted_peer_accept(&one->peer, &events, one);
}

void service_end(struct service *one, struct slice data, const char *code,
                 const nghttp2_nv *headers, size_t count) {
    struct scripted_peer *peer = &one->peer;
    peer->data = data;
    peer->trailers[0] = nv("grpc-status", code);
    peer->trailer_count = 1;
    scripted_peer_answer(peer, peer->session, one->stream_id, headers, count);
}

void service_answer(struct service *one, struct slice data) {
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc")};
    service_end(one, data, "0", headers, 2);
}

void service_fail(struct service *one, const char *code) {
    const nghttp2_nv headers[] = {nv(":status", "200"), nv("content-type", "application/grpc"),
                                  nv("grpc-status", code)};
    nghttp2_submit_response(one->peer.session, one->stream_id, headers, 3, NULL);
}

void service_refuse(struct service *one, uint32_t error_code) {
    nghttp2_submit_rst_stream(one->peer.session, NGHTTP2_FLAG_NONE, one->stream_id, error_code);
}

static void caller_message(struct upstream_call *call, struct slice message) {
    struct caller *caller = (struct caller *)call;
    caller->messages++;
    buffer_clear(&caller->last);
    buffer_append(&caller->last, message);
    if (caller->cancel_on_message)
        upstream_call_cancel(call);
}

static void caller_done(struct upstream_call *call, const struct upstream_result *result) {
    struct caller *caller = (struct caller *)call;
    assert_false(caller->done);
    caller->done = true;
    caller->result = *result;
}

static void caller_begun(struct upstream_call *call) {
    ((struct caller *)call)->begun++;
}

void caller_init(struct caller *caller, struct slice request) {
    static const struct upstream_call_events events = {
        .begun = caller_begun, .message = caller_message, .done = caller_done};
    static const struct transcode_header metadata[] = {
        {{(const uint8_t *)"authorization", 13}, {(const uint8_t *)"Bearer x", 8}}};
    memset(caller, 0, sizeof *caller);
    arena_init(&caller->arena, 1 << 20);
    buffer_init(&caller->last, 8 << 20);
    caller->call = (struct upstream_call){.events = &events,
                                          .arena = &caller->arena,
                                          .path = SLICE("/p.S/M"),
                                          .request = request,
                                          .timeout_us = 5000000,
                                          .metadata = metadata,
                                          .metadata_count = 1,
                                          .response_max = 4 << 20,
                                          .takes_details = true};
}

void caller_free(struct caller *caller) {
    buffer_done(&caller->last);
    arena_done(&caller->arena);
}

void both_turn(void) {
    for (int i = 0; i < TURNS; i++) {
        assert_int_equal(loop_turn(loop, 0), SYNC_OK);
        for (int j = 0; j < SERVICES_MAX; j++) {
            if (services[j].peer.session)
                scripted_peer_turn(&services[j].peer);
        }
    }
}

struct backend_series series_of(const struct service *one) {
    char name[ADDRESS_TEXT_MAX];
    struct backend_series series;
    address_format(&one->address, name);
    gateway_metrics_backend(metrics, name, &series);
    return series;
}

void time_pass(uint64_t us) {
    for (uint64_t passed = 0; passed < us; passed += STEP_US) {
        time_us += STEP_US;
        both_turn();
    }
}

void caller_start(struct caller *caller) {
    assert_int_equal(upstream_start(upstream, &caller->call), SYNC_OK);
    both_turn();
}

void caller_call(struct caller *caller) {
    caller_init(caller, REQUEST);
    caller_start(caller);
}

int setup_closed(void **state) {
    (void)state;
    time_us = 1000000000;
    memset(services, 0, sizeof services);
    for (int i = 0; i < SERVICES_MAX; i++) {
        buffer_init(&services[i].request, 8 << 20);
        scripted_peer_listen(&services[i].peer, &services[i].address);
    }
    policy = (struct upstream_policy){.sessions = 1,
                                      .connect_timeout_us = 1000000,
                                      .health_timeout_us = 1000000,
                                      .health_fall = 2,
                                      .health_rise = 2,
                                      .silence_max_us = 10000000,
                                      .breaker = {.failures_max = 5,
                                                  .failures_percent = 50,
                                                  .window_calls_min = 20,
                                                  .window_us = 10000000,
                                                  .open_us = 2000000,
                                                  .open_max_us = 60000000}};
    assert_int_equal(loop_open(&test_clock, &loop), SYNC_OK);
    metrics = gateway_metrics_open();
    assert_non_null(metrics);
    return 0;
}

void upstream_open_list(const char *targets) {
    struct sync_error error;
    const struct resolver_options resolver_options = {.targets = targets, .only_local = true};
    assert_int_equal(resolver_open(&resolver_options, &error, &resolver), SYNC_OK);
    const struct upstream_options options = {.loop = loop,
                                             .resolver = resolver,
                                             .policy = &policy,
                                             .scratch = scratch,
                                             .scratch_size = sizeof scratch,
                                             .metrics = metrics};
    assert_int_equal(upstream_open(&options, &upstream), SYNC_OK);
}

void upstream_open_all(unsigned count) {
    char list[SERVICES_MAX * ADDRESS_TEXT_MAX] = "";
    for (unsigned i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&services[i].address, text);
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", text);
    }
    upstream_open_list(list);
}

int setup(void **state) {
    setup_closed(state);
    upstream_open_all(1);
    service_accept(service);
    both_turn();
    return 0;
}

int teardown(void **state) {
    (void)state;
    upstream = upstream_close(upstream);
    loop_turn(loop, 0);
    loop = loop_close(loop);
    resolver = resolver_close(resolver);
    metrics = gateway_metrics_close(metrics);
    for (int i = 0; i < SERVICES_MAX; i++) {
        scripted_peer_close(&services[i].peer);
        buffer_done(&services[i].request);
    }
    return 0;
}
