/* Fixture: a server on a Unix socket of its own folder with a few methods that need no store, and a
 * client to it. */
#ifndef TESTS_SERVICE_RPC_RPC_FIXTURE_H
#define TESTS_SERVICE_RPC_RPC_FIXTURE_H

#include "service/rpc/health.h"
#include "service/rpc/server.h"
#include "service/rpc/service.h"
#include "service/store/watch_table.h"
#include "tests/service/rpc/grpc_client.h"

enum {
    FIXTURE_TOKEN_MAX = 512,
    FIXTURE_WORKERS = 4,
    FIXTURE_ANSWERS_BYTES = 4 << 20,
    FIXTURE_REQUEST_TIMEOUT_MS = 2000,
    FIXTURE_CLOSE_GRACE_MS = 500,
};

/* The methods of the fixture, of the service "test.Echo". */
#define ECHO "/test.Echo/Echo"         /* answers the request's fields: a google.protobuf.Any */
#define COUNT "/test.Echo/Count"       /* streams one message per byte of the request */
#define FAIL "/test.Echo/Fail"         /* fails with the status whose number is the request */
#define FIELDS "/test.Echo/Fields"     /* fails with as many violations as the request says */
#define CHECK "/test.Echo/Check"       /* fails for the JSON's faults alone */
#define HOLD "/test.Echo/Hold"         /* answers when it notices that the client left */
#define WAIT "/test.Echo/Wait"         /* a stream that waits until it is told to leave */
#define FOLLOW "/test.Echo/Follow"     /* follows the fixture's count, by live_stream */
#define SERVICE_ONLY "/test.Echo/Only" /* for services */
#define LATER "/test.Echo/Later"       /* no handler */

struct rpc_fixture {
    char folder[64], socket[96], keys[96], target[128];
    struct store store;
    _Atomic int store_health;       /* an enum sync_status */
    _Atomic uint64_t damaged_reads; /* what its stats tell */
    atomic_uint health_looks;       /* how often its health was asked for */
    struct health health;
    struct service service;
    struct rpc_server *server;
    struct grpc_client *client;
    struct signer *signer;
    atomic_uint holding;         /* calls inside HOLD */
    atomic_bool lets_go;         /* set: HOLD does not wait for its client to leave */
    atomic_uint waiting;         /* streams inside WAIT */
    struct watch_table *watches; /* of the store */
    atomic_uint turns;           /* of FOLLOW's streams */
    _Atomic uint64_t count;      /* FOLLOW sends it, 8 bytes, when it has changed … */
    uint64_t count_end;          /* … until it is this */
    uint64_t step_us;            /* between its turns, without a change; 0: none */
};

/* Opens with limits of `burst` calls (0: none). */
void rpc_fixture_open(struct rpc_fixture *fixture, double burst);
void rpc_fixture_close(struct rpc_fixture *fixture);

/* Set-up and teardown of a cmocka test: a fixture without limits as its state. */
int rpc_fixture_up(void **state);
int rpc_fixture_down(void **state);

/* Whether the bytes hold the text. */
bool text_contains(struct slice bytes, const char *text);

/* Counts one up and tells the watchers of the user, as a commit that writes a head does. */
void rpc_fixture_count(struct rpc_fixture *fixture, struct slice user);

/* Writes "Bearer <token>" for a user, with a role when not NULL. */
void rpc_fixture_token(struct rpc_fixture *fixture, const char *user, const char *role,
                       char token[FIXTURE_TOKEN_MAX]);

#endif
