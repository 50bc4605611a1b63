/* Upstream fixture: services that are scripted frame by frame, the gateway's way to them, and a
 * caller. Time passes only as a test says. Every function ends the test where something goes
 * wrong. */
#ifndef TESTS_GATEWAY_UPSTREAM_FIXTURE_H
#define TESTS_GATEWAY_UPSTREAM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/grpc_status.h"
#include "gateway/upstream.h"
#include "tests/gateway/scripted_peer.h"

enum { SERVICES_MAX = 3 };

/* What a service says to health checks. */
enum service_health { HEALTH_SERVING, HEALTH_NOT_SERVING, HEALTH_UNIMPLEMENTED, HEALTH_SILENT };

/* A service: it notes what it gets and is told what to answer. Health checks it answers by itself
 * and does not note otherwise. */
struct service {
    struct scripted_peer peer;
    struct address address;
    int32_t stream_id; /* of the last call */
    int calls;
    struct buffer request;
    char path[128], timeout[32], authorization[64];
    uint32_t reset_code;
    bool request_ended, reset, details_accepted;
    enum service_health health;
    int checks, pings;
    int32_t check_id;
};

/* What a call was told. */
struct caller {
    struct upstream_call call;
    struct arena arena;
    int begun, messages;
    struct buffer last;
    bool done, cancel_on_message;
    struct upstream_result result;
};

extern struct service services[SERVICES_MAX];
extern struct service *const service; /* the first */
extern struct loop *loop;
extern struct upstream *upstream;
extern struct upstream_policy policy; /* may be changed before upstream_open_all */
extern struct gateway_metrics *metrics;
extern uint64_t time_us;

/* Sets up one service with one session, accepted; teardown gives all back. */
int setup(void **state);
int teardown(void **state);

/* Sets up without an upstream; the test opens it with upstream_open_all. */
int setup_closed(void **state);

/* Opens the upstream to the first `count` services, `sessions` to each, which wait to be accepted.
 */
void upstream_open_all(unsigned count);

/* Opens the upstream to this list. */
void upstream_open_list(const char *targets);

/* The service takes the connection that waits. */
void service_accept(struct service *one);

/* Answers the last call of a service: data, then grpc-status `code`, then headers if not NULL. */
void service_end(struct service *one, struct slice data, const char *code,
                 const nghttp2_nv *headers, size_t count);

/* Answers well. */
void service_answer(struct service *one, struct slice data);

/* Fails the last call with a status and nothing else. */
void service_fail(struct service *one, const char *code);

/* Refuses the last call with RST_STREAM. */
void service_refuse(struct service *one, uint32_t error_code);

/* The series of a service's backend. */
struct backend_series series_of(const struct service *one);

/* Lets both sides do what there is to do. */
void both_turn(void);

/* Lets so much time pass, in steps that no timer is late by. */
void time_pass(uint64_t us);

extern const char request_bytes[8];
#define REQUEST slice_of(request_bytes, sizeof request_bytes)

/* A call that is as most are, not started. */
void caller_init(struct caller *caller, struct slice request);
void caller_free(struct caller *caller);

/* Starts the call, and lets its request arrive. */
void caller_start(struct caller *caller);

/* Both. */
void caller_call(struct caller *caller);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_CLOSED(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown)

#endif
