#include "gateway/worker.h"

#include <assert.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "gateway/connection.h"
#include "gateway/exchange.h"
#include "gateway/listener.h"
#include "gateway/offload.h"

enum { WORKER_WAIT_MAX_MS = 1000, WORKER_LAST_TURNS = 3 };

/* What others need not see. */
struct worker_private {
    struct worker worker;
    struct loop_source wake; /* an eventfd: drain, or an API to adopt */
    atomic_bool drain;
    _Atomic(struct api *) next_api; /* held; NULL: none */
    struct loop_timer drain_end;
    pthread_t thread;
    bool started;
};

static struct worker_private *private_of(struct worker *worker) {
    return (struct worker_private *)((char *)worker - offsetof(struct worker_private, worker));
}

struct slice worker_date(struct worker *worker) {
    uint64_t now_s = loop_wall_us(worker->loop) / 1000000;
    if (now_s != worker->date_s || worker->date[0] == '\0') {
        time_t seconds = (time_t)now_s;
        struct tm parts;
        gmtime_r(&seconds, &parts);
        strftime(worker->date, sizeof(worker->date), "%a, %d %b %Y %H:%M:%S GMT", &parts);
        worker->date_s = now_s;
    }
    return slice_text(worker->date);
}

static void worker_close_connections(struct worker *worker) {
    while (worker->connections)
        connection_close(worker->connections);
}

static void worker_drain_ended(struct loop_timer *timer) {
    struct worker_private *self =
        (struct worker_private *)((char *)timer - offsetof(struct worker_private, drain_end));
    worker_close_connections(&self->worker);
}

/* Runs in the worker's thread, once. */
static void worker_begin_drain(struct worker *worker) {
    if (worker->draining)
        return;
    worker->draining = true;
    worker->http = listener_close(worker->http);
    worker->grpc = listener_close(worker->grpc);
    worker->https = listener_close(worker->https);
    for (struct connection *connection = worker->connections; connection;
         connection = connection->next)
        connection_drain(connection);
    loop_timer_set(worker->loop, &private_of(worker)->drain_end,
                   worker->gateway->limits.drain_timeout_us);
}

static void worker_woken(struct loop_source *source, uint32_t events) {
    (void)events;
    struct worker_private *self =
        (struct worker_private *)((char *)source - offsetof(struct worker_private, wake));
    uint64_t count;
    (void)!read(source->fd, &count, sizeof(count));
    struct api *api = atomic_exchange(&self->next_api, NULL);
    if (api) {
        api_release(self->worker.api);
        self->worker.api = api;
    }
    if (atomic_load(&self->drain))
        worker_begin_drain(&self->worker);
}

static enum sync_status worker_setup(struct worker_private *self, int *http_fd, int *grpc_fd,
                                     int *https_fd) {
    struct worker *worker = &self->worker;
    struct gateway *gateway = worker->gateway;
    enum sync_status status = loop_open(gateway->clock, &worker->loop);
    if (status != SYNC_OK)
        return status;
    loop_share_served(worker->loop, &gateway->served_us);
    worker->compressor = compressor_open();
    worker->scratch = memory_alloc(WORKER_SCRATCH_SIZE);
    worker->upstream_scratch = memory_alloc(WORKER_SCRATCH_SIZE);
    if (!worker->compressor || !worker->scratch || !worker->upstream_scratch)
        return SYNC_ERR_NO_MEMORY;
    self->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    self->wake.ready = worker_woken;
    self->drain_end.fire = worker_drain_ended;
    if (self->wake.fd < 0)
        return SYNC_ERR_IO;
    status = loop_source_add(worker->loop, &self->wake, EPOLLIN);
    if (status == SYNC_OK && gateway->pool)
        status = offload_open(worker->loop, gateway->pool, &worker->offload);
    int fd = *http_fd;
    *http_fd = -1;
    if (status == SYNC_OK && fd >= 0)
        status = listener_open(worker, fd, NULL, &worker->http);
    if (status == SYNC_OK && *grpc_fd >= 0) {
        fd = *grpc_fd;
        *grpc_fd = -1;
        status = listener_open(worker, fd, NULL, &worker->grpc);
    }
    if (status == SYNC_OK && *https_fd >= 0) {
        fd = *https_fd;
        *https_fd = -1;
        status = listener_open(worker, fd, gateway->tls, &worker->https);
    }
    if (status != SYNC_OK)
        return status;
    return upstream_open(&(struct upstream_options){.loop = worker->loop,
                                                    .resolver = gateway->resolver,
                                                    .board = &gateway->upstream_board,
                                                    .policy = &gateway->upstream_policy,
                                                    .tls = gateway->upstream_tls,
                                                    .scratch = worker->upstream_scratch,
                                                    .scratch_size = WORKER_SCRATCH_SIZE,
                                                    .log = gateway->log,
                                                    .metrics = gateway->metrics},
                         &worker->upstream);
}

enum sync_status worker_open(struct gateway *gateway, int http_fd, int grpc_fd, int https_fd,
                             struct worker **ret_worker) {
    struct worker_private *self = memory_zalloc(1, sizeof(*self));
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    if (self) {
        self->wake.fd = -1;
        self->worker.gateway = gateway;
        random_pool_init(&self->worker.random, gateway->random);
        self->worker.handshakes_tail = &self->worker.handshakes;
        status = worker_setup(self, &http_fd, &grpc_fd, &https_fd);
        self->worker.api = api_hold(gateway->api);
    }
    if (status == SYNC_OK) {
        *ret_worker = &self->worker;
        return SYNC_OK;
    }
    if (http_fd >= 0)
        close(http_fd);
    if (grpc_fd >= 0)
        close(grpc_fd);
    if (https_fd >= 0)
        close(https_fd);
    if (self)
        worker_close(&self->worker);
    return status;
}

static void *worker_run(void *context) {
    struct worker *worker = context;
    while (!worker->draining || worker->connections) {
        if (loop_turn(worker->loop, WORKER_WAIT_MAX_MS) != SYNC_OK) {
            log_line(worker->gateway->log, LOG_ERROR, "the event loop failed",
                     LOG_INT("draining", worker->draining));
            abort();
        }
    }
    return NULL;
}

enum sync_status worker_start(struct worker *worker) {
    struct worker_private *self = private_of(worker);
    if (pthread_create(&self->thread, NULL, worker_run, worker) != 0)
        return SYNC_ERR_IO;
    pthread_setname_np(self->thread, "gateway-loop");
    self->started = true;
    return SYNC_OK;
}

static void worker_wake(struct worker_private *self) {
    uint64_t one = 1;
    (void)!write(self->wake.fd, &one, sizeof(one));
}

void worker_adopt(struct worker *worker, struct api *api) {
    struct worker_private *self = private_of(worker);
    api_release(atomic_exchange(&self->next_api, api_hold(api)));
    worker_wake(self);
}

void worker_drain(struct worker *worker) {
    atomic_store(&private_of(worker)->drain, true);
    worker_wake(private_of(worker));
}

void worker_join(struct worker *worker) {
    struct worker_private *self = private_of(worker);
    if (self->started)
        pthread_join(self->thread, NULL);
    self->started = false;
}

struct worker *worker_close(struct worker *worker) {
    if (!worker)
        return NULL;
    struct worker_private *self = private_of(worker);
    assert(!self->started);
    worker->http = listener_close(worker->http);
    worker->grpc = listener_close(worker->grpc);
    worker->https = listener_close(worker->https);
    worker_close_connections(worker);
    loop_timer_clear(&self->drain_end);
    /* Sessions that drain end by themselves once their calls are gone. */
    for (int i = 0; worker->loop && i < WORKER_LAST_TURNS; i++)
        (void)loop_turn(worker->loop, 0);
    worker->upstream = upstream_close(worker->upstream);
    worker->offload = offload_close(worker->offload);
    exchange_spares_free(worker);
    if (worker->loop && self->wake.watched)
        loop_source_remove(worker->loop, &self->wake);
    if (self->wake.fd >= 0)
        close(self->wake.fd);
    worker->loop = loop_close(worker->loop);
    worker->api = api_release(worker->api);
    api_release(atomic_exchange(&self->next_api, NULL));
    worker->compressor = compressor_close(worker->compressor);
    memory_free(worker->scratch);
    memory_free(worker->upstream_scratch);
    memory_free(self);
    return NULL;
}
