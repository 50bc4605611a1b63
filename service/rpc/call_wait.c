/* Waiting: calls whose request has yet to come whole. A client that stops in the middle of it keeps
 * what came in memory, so it gets a time. Each queue keeps its own, on its own thread, in the order
 * in which they arrived. */
#include <assert.h>

#include "service/rpc/call_private.h"

void call_wait(struct rpc_call *call) {
    struct rpc_queue *queue = call->queue;
    assert(!call->wait_link);
    call->wait_link = queue->waiting_end ? &queue->waiting_end->wait_next : &queue->waiting;
    call->wait_before = queue->waiting_end;
    *call->wait_link = call;
    queue->waiting_end = call;
}

void call_unwait(struct rpc_call *call) {
    struct rpc_queue *queue = call->queue;
    if (!call->wait_link)
        return;
    *call->wait_link = call->wait_next;
    if (call->wait_next) {
        call->wait_next->wait_link = call->wait_link;
        call->wait_next->wait_before = call->wait_before;
    } else {
        queue->waiting_end = call->wait_before;
    }
    call->wait_link = NULL;
    call->wait_next = call->wait_before = NULL;
}

void call_wait_look(struct rpc_queue *queue) {
    struct rpc_server *server = queue->server;
    uint64_t now_us = clock_monotonic_us(server->service->clock);
    while (queue->waiting && now_us - queue->waiting->started_us >= server->request_timeout_us) {
        struct rpc_call *call = queue->waiting;
        struct sync_error error;
        call_unwait(call);
        call->is_late = true;
        sync_error_set(&error, SYNC_ERR_DEADLINE, "REQUEST_LATE", NULL,
                       "the request's message did not come in time");
        rpc_call_cut_with(call, &error);
    }
}
