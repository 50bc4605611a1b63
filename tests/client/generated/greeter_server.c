#include "tests/client/generated/greeter_server.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "greeter.grpc-server.h"
#include "service/rpc/server.h"
#include "service/rpc/service.h"

enum { WORKERS = 2, QUEUE_MAX = 64, GRACE_MS = 5000, NAMES_MAX = 4096 };

struct greeter {
    struct service service; /* first: found from it */
    struct rpc_server *server;
    char folder[64], socket[96], target[128];
    atomic_uint begun, ended;
};

static void must(bool holds) {
    if (!holds)
        abort();
}

static struct greeter *greeter_of(struct rpc_call *call) {
    return (struct greeter *)rpc_call_service(call);
}

/* Says hello to the names, for the call's life; NULL: the call has failed. */
static Greeter__V1__GreetResponse *greeting(struct rpc_call *call, const char *names) {
    if (strcmp(names, "nobody") == 0) {
        rpc_call_fail_with(call, SYNC_ERR_INVALID, "NOBODY", "There is nobody to greet.");
        return NULL;
    }
    Greeter__V1__GreetResponse *response = arena_alloc(rpc_call_arena(call), sizeof *response);
    must(response);
    greeter__v1__greet_response__init(response);
    response->text = arena_format(rpc_call_arena(call), "Hello %s", names);
    must(response->text);
    return response;
}

static void greet_handle(struct rpc_call *call) {
    const Greeter__V1__GreetRequest *request = greeter_service_greet_unpack(call);
    const Greeter__V1__GreetResponse *response = request ? greeting(call, request->name) : NULL;
    if (response)
        greeter_service_greet_reply(call, response);
}

/* ---- GreetOften */

struct often {
    const Greeter__V1__GreetResponse *response;
    unsigned count;
};

static void often_written(struct rpc_call *call, void *context, bool ok) {
    struct often *often = context;
    if (ok && often->count++ < GREETER_OFTEN)
        greeter_service_greet_often_write(call, often->response, often_written, often);
    else
        rpc_stream_end(call);
}

static void often_handle(struct rpc_call *call) {
    const Greeter__V1__GreetRequest *request = greeter_service_greet_often_unpack(call);
    struct often *often = arena_zalloc(rpc_call_arena(call), 1, sizeof *often);
    must(often);
    often->response = request ? greeting(call, request->name) : NULL;
    if (often->response)
        often_written(call, often, true);
}

/* ---- GreetTogether */

struct together {
    char names[NAMES_MAX];
    size_t size;
};

/* All names have come, or the client has left. */
static void together_end(struct rpc_call *call, const struct together *together) {
    atomic_fetch_add(&greeter_of(call)->ended, 1);
    if (rpc_call_is_cancelled(call))
        rpc_call_fail_with(call, SYNC_ERR_CANCELLED, "CANCELLED", "The client has left.");
    else
        greeter_service_greet_together_reply(call, greeting(call, together->names));
}

static void together_received(struct rpc_call *call, void *context, bool ok) {
    struct together *together = context;
    if (!ok) {
        together_end(call, together);
        return;
    }
    const Greeter__V1__GreetRequest *request = greeter_service_greet_together_unpack(call);
    if (!request || (strcmp(request->name, "nobody") == 0 && !greeting(call, request->name)))
        return;
    size_t left = sizeof together->names - together->size;
    int size = snprintf(together->names + together->size, left, "%s%s",
                        together->size > 0 ? ", " : "", request->name);
    must(size >= 0 && (size_t)size < left);
    together->size += (size_t)size;
    rpc_stream_read(call, together_received, together);
}

static void together_handle(struct rpc_call *call) {
    struct together *together = arena_zalloc(rpc_call_arena(call), 1, sizeof *together);
    must(together);
    atomic_fetch_add(&greeter_of(call)->begun, 1);
    rpc_stream_read(call, together_received, together);
}

/* ---- GreetEach */

static void each_received(struct rpc_call *call, void *context, bool ok);

static void each_written(struct rpc_call *call, void *context, bool ok) {
    if (ok)
        rpc_stream_read(call, each_received, context);
    else
        rpc_stream_end(call);
}

static void each_received(struct rpc_call *call, void *context, bool ok) {
    if (!ok) {
        rpc_stream_end(call);
        return;
    }
    const Greeter__V1__GreetRequest *request = greeter_service_greet_each_unpack(call);
    const Greeter__V1__GreetResponse *response = request ? greeting(call, request->name) : NULL;
    if (response)
        greeter_service_greet_each_write(call, response, each_written, context);
}

static void each_handle(struct rpc_call *call) {
    rpc_stream_read(call, each_received, NULL);
}

/* ---- The server */

static const struct rpc_policy anybody = {.is_public = true};

static const struct greeter_service_server handlers = {
    .greet = {greet_handle, &anybody},
    .greet_often = {often_handle, &anybody},
    .greet_together = {together_handle, &anybody},
    .greet_each = {each_handle, &anybody},
    .greet_formally = {greet_handle, &anybody}, /* of the same messages */
};

struct greeter *greeter_open(void) {
    static struct rpc_method methods[GREETER_SERVICE_METHOD_COUNT];
    struct greeter *greeter = memory_zalloc(1, sizeof *greeter);
    must(greeter);
    struct service *service = &greeter->service;
    const char *base = getenv("TEST_TMPDIR");
    snprintf(greeter->folder, sizeof greeter->folder, "%s/greetXXXXXX",
             base && strlen(base) < 40 ? base : "/tmp");
    must(mkdtemp(greeter->folder));
    snprintf(greeter->socket, sizeof greeter->socket, "%s/s", greeter->folder);
    snprintf(greeter->target, sizeof greeter->target, "unix:%s", greeter->socket);
    service->clock = clock_system();
    service->random = random_system();
    service->metrics = metrics_open();
    must(service->metrics);
    must(work_pool_open("test", WORKERS, QUEUE_MAX, &service->pool) == SYNC_OK);
    greeter_service_methods(&handlers, methods);
    struct sync_error error;
    must(rpc_server_open(&(struct rpc_server_options){.service = service,
                                                      .methods = methods,
                                                      .method_count = GREETER_SERVICE_METHOD_COUNT,
                                                      .threads = 2,
                                                      .unix_path = greeter->socket},
                         &error, &greeter->server) == SYNC_OK);
    return greeter;
}

struct greeter *greeter_close(struct greeter *greeter) {
    must(rpc_server_drain(greeter->server, GRACE_MS));
    rpc_server_close(greeter->server);
    work_pool_close(greeter->service.pool);
    metrics_close(greeter->service.metrics);
    rmdir(greeter->folder);
    memory_free(greeter);
    return NULL;
}

const char *greeter_target(const struct greeter *greeter) {
    return greeter->target;
}

unsigned greeter_begun(struct greeter *greeter) {
    return atomic_load(&greeter->begun);
}

unsigned greeter_ended(struct greeter *greeter) {
    return atomic_load(&greeter->ended);
}
