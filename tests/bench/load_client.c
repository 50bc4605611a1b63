#include "tests/bench/load_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/memory.h"
#include "tests/bench/load_answer.h"
#include "tests/bench/load_lines.h"
#include "tests/bench/load_request.h"

enum { EVENTS_MAX = 64, RECEIVE_BYTES = 256 << 10, STALL_MS = 60000 };

/* One client: a connection, its request and the answer so far. */
struct load_client {
    int fd;
    bool busy;   /* an answer is awaited */
    bool writes; /* epoll tells when more can be sent */
    size_t sent;
    uint64_t begun_us, request_count;
    struct load_request request;
    struct load_answer answer;
};

enum load_phase {
    PHASE_WARM,    /* next: MEASURE */
    PHASE_MEASURE, /* next: DRAIN */
    PHASE_DRAIN,   /* no new requests; ends when no client is busy */
};

struct load_run {
    const struct load_options *options;
    struct sync_error *error;
    struct load_client *clients;
    unsigned opened, busy;
    int poll;
    enum load_phase phase;
    uint64_t phase_end_us, measure_begun_us;
    struct load_result result;
    uint8_t *received;
};

static uint64_t now_us(void) {
    return clock_monotonic_us(clock_system());
}

static enum sync_status fail_io(struct load_run *run, const char *what) {
    return sync_error_set(run->error, SYNC_ERR_IO, "IO", NULL, "%s: %s", what, strerror(errno));
}

static enum sync_status fail_memory(struct load_run *run) {
    return sync_error_set(run->error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
}

static enum sync_status fail_answer(struct load_run *run, const struct load_client *client) {
    struct slice body = buffer_slice(&client->answer.body);
    /* Behind many good outcomes the one that tells is the error. */
    const uint8_t *told = body.size > 0 ? memmem(body.data, body.size, "\"error\"", 7) : NULL;
    if (told)
        body = slice_after(body, (size_t)(told - body.data));
    int shown = body.size < 200 ? (int)body.size : 200;
    return sync_error_set(run->error, SYNC_ERR_INVALID, "ANSWER", NULL, "answer %u: %.*s",
                          client->answer.status, shown, (const char *)body.data);
}

/* ---- opening ---- */

static enum sync_status client_connect(struct load_run *run, struct load_client *client) {
    client->fd = -1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(run->options->port)};
    if (inet_pton(AF_INET, run->options->host, &address.sin_addr) != 1) {
        errno = EINVAL;
        return fail_io(run, run->options->host);
    }
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return fail_io(run, "cannot connect");
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(client->fd, F_SETFL, O_NONBLOCK) != 0)
        return fail_io(run, "cannot prepare a socket");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(run->poll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        return fail_io(run, "epoll_ctl");
    return SYNC_OK;
}

/* What a client's request is made of; NULL where the mode has no such thing. */
struct load_texts {
    const char *token, *target, *body;
};

static bool texts_suffice(enum load_mode mode, const struct load_texts *texts) {
    return (mode == LOAD_POST || texts->token) && (mode == LOAD_UPLOAD || texts->target) &&
           (mode != LOAD_POST || texts->body);
}

static enum sync_status client_build(struct load_run *run, struct load_client *client,
                                     const struct load_texts *texts) {
    const struct load_options *options = run->options;
    char host[80], device[160];
    snprintf(host, sizeof host, "%s:%u", options->host, options->port);
    snprintf(device, sizeof device, "%s-%u", options->device, run->opened);
    struct load_caller caller = {.host = host, .token = texts->token, .device = device};
    uint64_t seed;
    random_system()->fill(random_system()->context, (uint8_t *)&seed, sizeof seed);
    enum sync_status status = SYNC_ERR_INVALID;
    switch (options->mode) {
    case LOAD_UPLOAD:
        status = load_request_upload(&client->request, &caller, options->changes, seed | 1);
        break;
    case LOAD_PULL:
        status = load_request_get(&client->request, &caller, texts->target, options->accept,
                                  options->accept_encoding);
        break;
    case LOAD_POST:
        status =
            load_request_post(&client->request, &caller, texts->target, slice_text(texts->body));
        break;
    }
    return status == SYNC_OK ? SYNC_OK : fail_memory(run);
}

static enum sync_status clients_open(struct load_run *run) {
    const struct load_options *options = run->options;
    struct load_lines tokens = {0}, targets = {0}, bodies = {0};
    enum sync_status status = SYNC_OK;
    if (options->mode == LOAD_POST)
        status = load_lines_read(&bodies, options->body_path, run->error);
    else
        status = load_lines_read(&tokens, options->tokens_path, run->error);
    if (status == SYNC_OK && options->mode != LOAD_UPLOAD)
        status = load_lines_read(&targets, options->targets_path, run->error);
    const char *body = load_lines_next(&bodies);
    for (unsigned i = 0; status == SYNC_OK && i < options->clients; i++) {
        struct load_texts texts = {load_lines_next(&tokens), load_lines_next(&targets), body};
        struct load_client *client = &run->clients[i];
        if (!texts_suffice(options->mode, &texts)) {
            status = sync_error_set(run->error, SYNC_ERR_INVALID, "LINES", NULL,
                                    "fewer tokens or targets than clients, or no body");
            break;
        }
        status = client_connect(run, client);
        load_answer_init(&client->answer);
        if (status == SYNC_OK)
            status = client_build(run, client, &texts);
        run->opened++;
    }
    load_lines_done(&tokens);
    load_lines_done(&targets);
    load_lines_done(&bodies);
    return status;
}

/* ---- sending ---- */

/* Asks epoll to tell, or no more, when the socket takes more. */
static enum sync_status client_watch(struct load_run *run, struct load_client *client,
                                     bool writes) {
    if (client->writes == writes)
        return SYNC_OK;
    client->writes = writes;
    struct epoll_event event = {.events = EPOLLIN | (writes ? EPOLLOUT : 0), .data.ptr = client};
    if (epoll_ctl(run->poll, EPOLL_CTL_MOD, client->fd, &event) != 0)
        return fail_io(run, "epoll_ctl");
    return SYNC_OK;
}

static enum sync_status client_send(struct load_run *run, struct load_client *client) {
    const struct buffer *bytes = &client->request.bytes;
    while (client->sent < bytes->size) {
        ssize_t size =
            send(client->fd, bytes->data + client->sent, bytes->size - client->sent, MSG_NOSIGNAL);
        if (size < 0 && errno == EAGAIN)
            return client_watch(run, client, true);
        if (size < 0)
            return fail_io(run, "cannot send");
        client->sent += (size_t)size;
    }
    return client_watch(run, client, false);
}

/* Begins the next request, unless the client or the run has had its last. */
static enum sync_status client_begin(struct load_run *run, struct load_client *client) {
    const struct load_options *options = run->options;
    if (run->phase == PHASE_DRAIN || (options->each && client->request_count == options->each))
        return SYNC_OK;
    load_request_stamp(&client->request);
    load_answer_next(&client->answer);
    client->sent = 0;
    client->request_count++;
    client->busy = true;
    run->busy++;
    client->begun_us = now_us();
    return client_send(run, client);
}

/* ---- answers ---- */

static bool answer_is_expected(const struct load_options *options,
                               const struct load_answer *answer) {
    if (options->mode == LOAD_UPLOAD)
        return answer->status == 202 &&
               load_answer_count(answer, SLICE("\"outcome\":\"applied\"")) == options->changes;
    return answer->status == 200 &&
           (!options->count ||
            load_answer_count(answer, slice_text(options->count)) == options->expect);
}

static enum sync_status client_answered(struct load_run *run, struct load_client *client) {
    uint64_t took_us = now_us() - client->begun_us;
    const struct load_options *options = run->options;
    struct load_result *result = &run->result;
    client->busy = false;
    run->busy--;
    if (!answer_is_expected(options, &client->answer))
        return fail_answer(run, client);
    if (run->phase != PHASE_WARM)
        result->latencies_us[result->latency_count++] =
            took_us < UINT32_MAX ? (uint32_t)took_us : UINT32_MAX;
    if (run->phase == PHASE_MEASURE) {
        result->requests++;
        result->items += options->mode == LOAD_UPLOAD ? options->changes : options->expect;
        result->sent_bytes += client->request.bytes.size;
        result->received_bytes += client->answer.body.size;
        if (result->requests == options->requests_max)
            run->phase_end_us = 0;
    }
    return client_begin(run, client);
}

static enum sync_status client_receive(struct load_run *run, struct load_client *client) {
    ssize_t size = recv(client->fd, run->received, RECEIVE_BYTES, 0);
    if (size < 0 && errno == EAGAIN)
        return SYNC_OK;
    if (size < 0)
        return fail_io(run, "cannot receive");
    struct slice bytes = slice_of(run->received, (size_t)size);
    if (!client->busy || size == 0)
        return sync_error_set(run->error, SYNC_ERR_IO, "CLOSED", NULL, "the gateway %s",
                              size == 0 ? "closed a connection" : "answered unasked");
    size_t taken = load_answer_feed(&client->answer, bytes);
    if (client->answer.state == ANSWER_BROKEN || taken < bytes.size)
        return sync_error_set(run->error, SYNC_ERR_INVALID, "HTTP", NULL,
                              "the gateway's answer is not HTTP/1.1 as known here");
    return client->answer.state == ANSWER_DONE ? client_answered(run, client) : SYNC_OK;
}

/* ---- the run ---- */

static enum sync_status read_processes(struct load_run *run, struct load_process *ret_uses) {
    for (unsigned i = 0; i < run->options->pid_count; i++) {
        if (!load_process_read(run->options->pids[i], &ret_uses[i]))
            return sync_error_set(run->error, SYNC_ERR_NOT_FOUND, "PROCESS", NULL,
                                  "there is no process %d", run->options->pids[i]);
    }
    return SYNC_OK;
}

static enum sync_status measure_begin(struct load_run *run) {
    run->phase = PHASE_MEASURE;
    run->measure_begun_us = now_us();
    run->phase_end_us = run->options->each
                            ? UINT64_MAX
                            : run->measure_begun_us + (uint64_t)run->options->measure_ms * 1000;
    run->result.load_cpu_seconds = load_process_own_cpu();
    return read_processes(run, run->result.before);
}

static enum sync_status measure_end(struct load_run *run) {
    struct load_result *result = &run->result;
    run->phase = PHASE_DRAIN;
    run->phase_end_us = UINT64_MAX;
    result->seconds = (double)(now_us() - run->measure_begun_us) / 1e6;
    result->load_cpu_seconds = load_process_own_cpu() - result->load_cpu_seconds;
    return read_processes(run, result->after);
}

static enum sync_status phase_advance(struct load_run *run) {
    bool over = now_us() >= run->phase_end_us || (run->options->each && run->busy == 0);
    if (!over || run->phase == PHASE_DRAIN)
        return SYNC_OK;
    return run->phase == PHASE_WARM ? measure_begin(run) : measure_end(run);
}

/* Waits for what comes first: events, the phase's end, or a stall. */
static enum sync_status wait_events(struct load_run *run, struct epoll_event *events,
                                    int *ret_count) {
    uint64_t now = now_us(), timeout_ms = STALL_MS;
    bool phase_ends = false;
    if (run->phase_end_us <= now + STALL_MS * 1000ull) {
        phase_ends = true;
        timeout_ms = run->phase_end_us > now ? (run->phase_end_us - now) / 1000 + 1 : 0;
    }
    int count = epoll_wait(run->poll, events, EVENTS_MAX, (int)timeout_ms);
    if (count < 0 && errno != EINTR)
        return fail_io(run, "epoll_wait");
    if (count == 0 && !phase_ends)
        return sync_error_set(run->error, SYNC_ERR_DEADLINE, "STALL", NULL,
                              "no answer for %d seconds", STALL_MS / 1000);
    *ret_count = count < 0 ? 0 : count;
    return SYNC_OK;
}

static enum sync_status serve_events(struct load_run *run) {
    struct epoll_event events[EVENTS_MAX];
    int count = 0;
    enum sync_status status = wait_events(run, events, &count);
    for (int i = 0; status == SYNC_OK && i < count; i++) {
        struct load_client *client = events[i].data.ptr;
        if (events[i].events & EPOLLOUT)
            status = client_send(run, client);
        if (status == SYNC_OK && events[i].events & ~(uint32_t)EPOLLOUT)
            status = client_receive(run, client);
    }
    return status;
}

static enum sync_status run_phases(struct load_run *run) {
    enum sync_status status = SYNC_OK;
    run->phase_end_us = run->options->each ? 0 : now_us() + run->options->warm_ms * 1000ull;
    if (run->options->each)
        status = measure_begin(run);
    for (unsigned i = 0; status == SYNC_OK && i < run->options->clients; i++)
        status = client_begin(run, &run->clients[i]);
    while (status == SYNC_OK && (run->phase != PHASE_DRAIN || run->busy > 0)) {
        status = serve_events(run);
        if (status == SYNC_OK)
            status = phase_advance(run);
    }
    return status;
}

static int compare_latencies(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void run_close(struct load_run *run) {
    for (unsigned i = 0; i < run->opened; i++) {
        struct load_client *client = &run->clients[i];
        if (client->fd >= 0)
            close(client->fd);
        load_request_done(&client->request);
        load_answer_done(&client->answer);
    }
    if (run->poll >= 0)
        close(run->poll);
    memory_free(run->clients);
    memory_free(run->received);
}

enum sync_status load_run(const struct load_options *options, struct sync_error *error,
                          struct load_result *ret_result) {
    assert(options && error);
    struct load_run run = {.options = options, .error = error};
    run.poll = epoll_create1(EPOLL_CLOEXEC);
    run.clients = memory_zalloc(options->clients, sizeof *run.clients);
    run.received = memory_alloc(RECEIVE_BYTES);
    run.result.latencies_us =
        memory_zalloc(options->requests_max + options->clients, sizeof(uint32_t));
    enum sync_status status = SYNC_OK;
    if (run.poll < 0)
        status = fail_io(&run, "epoll_create1");
    else if (!run.clients || !run.received || !run.result.latencies_us)
        status = fail_memory(&run);
    if (status == SYNC_OK)
        status = clients_open(&run);
    if (status == SYNC_OK)
        status = run_phases(&run);
    if (status == SYNC_OK) {
        qsort(run.result.latencies_us, run.result.latency_count, sizeof(uint32_t),
              compare_latencies);
        if (options->mode == LOAD_UPLOAD)
            run.result.request_item_bytes =
                (double)run.clients[0].request.body_bytes / options->changes;
        *ret_result = run.result;
    } else {
        load_result_done(&run.result);
    }
    run_close(&run);
    return status;
}

void load_result_done(struct load_result *result) {
    memory_free(result->latencies_us);
    result->latencies_us = NULL;
}
