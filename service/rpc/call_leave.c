/* Telling handlers of streams that their client has left or that the service drains. */
#include <assert.h>

#include "service/rpc/call_private.h"

void rpc_call_watch_leave(struct rpc_call *call, rpc_left *left, void *context) {
    struct rpc_server *server = call->queue->server;
    assert(left);
    pthread_mutex_lock(&server->lock);
    server->streams += !call->is_stream;
    pthread_mutex_unlock(&server->lock);
    call->is_stream = true;
    pthread_mutex_lock(&server->leave_lock);
    assert(!call->left);
    call->left = left;
    call->left_context = context;
    call->leave_next = server->leaving;
    call->leave_link = &server->leaving;
    if (call->leave_next)
        call->leave_next->leave_link = &call->leave_next;
    server->leaving = call;
    if (server->is_leaving)
        left(call, context, RPC_LEAVE_DRAIN);
    if (call->has_left)
        left(call, context, RPC_LEAVE_CLIENT);
    pthread_mutex_unlock(&server->leave_lock);
}

void rpc_call_unwatch_leave(struct rpc_call *call) {
    struct rpc_server *server = call->queue->server;
    pthread_mutex_lock(&server->leave_lock);
    assert(call->left);
    *call->leave_link = call->leave_next;
    if (call->leave_next)
        call->leave_next->leave_link = call->leave_link;
    call->left = NULL;
    pthread_mutex_unlock(&server->leave_lock);
}

void call_tell_drain(struct rpc_server *server) {
    pthread_mutex_lock(&server->leave_lock);
    server->is_leaving = true;
    for (struct rpc_call *call = server->leaving; call; call = call->leave_next)
        call->left(call, call->left_context, RPC_LEAVE_DRAIN);
    pthread_mutex_unlock(&server->leave_lock);
}

void call_tell_left(struct rpc_call *call) {
    struct rpc_server *server = call->queue->server;
    atomic_store_explicit(&call->is_cancelled, true, memory_order_relaxed);
    pthread_mutex_lock(&server->leave_lock);
    call->has_left = true;
    if (call->left)
        call->left(call, call->left_context, RPC_LEAVE_CLIENT);
    pthread_mutex_unlock(&server->leave_lock);
}
