/* Worker fixture: a worker of the gateway on the scripted services of the upstream fixture, for
 * tests of what stands between clients and these. */
#ifndef TESTS_GATEWAY_WORKER_FIXTURE_H
#define TESTS_GATEWAY_WORKER_FIXTURE_H

#include "gateway/api.h"
#include "gateway/exchange.h"
#include "tests/gateway/upstream_fixture.h"

enum { SECOND_US = 1000000, WORKER_BUFFERED_MAX = 64 << 20 };

extern struct gateway gateway; /* its limits may be changed */
extern struct worker worker;
extern const struct peer worker_peer; /* 192.0.2.1, not trusted */

/* A client of an exchange, and what it was told. */
struct http_client {
    struct exchange *exchange;
    int answers, broken;
    size_t sent, taken; /* of the body */
};

extern struct http_client http_client;

/* Sets up both fixtures; the worker's API is that of tests/interop/streams.proto. */
int worker_setup(void **state);

/* Gives all back; ends the test where bytes are still counted as held. */
int worker_teardown(void **state);

/* The client's side of an exchange: POSTs to a path, sends some of the body, and its end. Where
 * `http_body_rush` sends, the service does nothing meanwhile. */
void http_begin(const char *path, const char *type);
void http_body(struct slice bytes);
void http_body_rush(struct slice bytes);
void http_body_end(void);

/* Takes all that is ready, so often until there is no more; appends it to `out`. */
void http_take(struct buffer *out);

#define TEST_WORKER(name) cmocka_unit_test_setup_teardown(name, worker_setup, worker_teardown)

#endif
