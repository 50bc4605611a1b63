/* Service fixture: a service without a server, on an embedded store of its own, with a clock that
 * stands still. For tests of what works behind the calls. */
#ifndef TESTS_SERVICE_RPC_SERVICE_FIXTURE_H
#define TESTS_SERVICE_RPC_SERVICE_FIXTURE_H

#include <stdatomic.h>

#include "service/core/change_batch.h"
#include "service/rpc/service.h"

struct service_fixture {
    char path[512];
    struct service service;
    struct clock clock;
    _Atomic uint64_t now_us;
    struct arena arena; /* of the test */
    unsigned changes;   /* made, for their ids */
};

/* cmocka setup and teardown: *state is the fixture. */
int service_fixture_setup(void **state);
int service_fixture_teardown(void **state);

/* Commits one change of the user's as an upload would; fails the test unless it is applied. `json`
 * is NULL for a deletion. */
void service_fixture_change(struct service_fixture *fixture, const char *user,
                            enum change_kind kind, const char *data_id, const char *json);

/* The user's head; fails the test when it cannot be read. */
struct user_head service_fixture_head(struct service_fixture *fixture, const char *user);

/* The rows of a table whose keys begin so, counted. */
size_t service_fixture_count(struct service_fixture *fixture, enum table table,
                             struct slice prefix);

#endif
