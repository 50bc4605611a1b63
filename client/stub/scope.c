#include <assert.h>

#include "base/memory.h"
#include "client/stub/call_private.h"

enum stub_code stub_scope_open(struct stub_scope **ret_scope) {
    struct stub_scope *scope = memory_zalloc(1, sizeof *scope);
    if (!scope)
        return STUB_RESOURCE_EXHAUSTED;
    pthread_mutex_init(&scope->lock, NULL);
    *ret_scope = scope;
    return STUB_OK;
}

void scope_join(struct stub_scope *scope, struct stub_call *call) {
    if (!scope)
        return;
    pthread_mutex_lock(&scope->lock);
    call->scope = scope;
    call->next_in_scope = scope->calls;
    if (scope->calls)
        scope->calls->previous_in_scope = call;
    scope->calls = call;
    if (scope->is_cancelled)
        stub_call_cancel(call);
    pthread_mutex_unlock(&scope->lock);
}

void scope_leave(struct stub_call *call) {
    struct stub_scope *scope = call->scope;
    if (!scope)
        return;
    pthread_mutex_lock(&scope->lock);
    if (call->previous_in_scope)
        call->previous_in_scope->next_in_scope = call->next_in_scope;
    else
        scope->calls = call->next_in_scope;
    if (call->next_in_scope)
        call->next_in_scope->previous_in_scope = call->previous_in_scope;
    call->scope = NULL;
    pthread_mutex_unlock(&scope->lock);
}

void stub_scope_cancel(struct stub_scope *scope) {
    pthread_mutex_lock(&scope->lock);
    scope->is_cancelled = true;
    for (struct stub_call *call = scope->calls; call; call = call->next_in_scope)
        stub_call_cancel(call);
    pthread_mutex_unlock(&scope->lock);
}

struct stub_scope *stub_scope_close(struct stub_scope *scope) {
    if (!scope)
        return NULL;
    assert(!scope->calls);
    pthread_mutex_destroy(&scope->lock);
    memory_free(scope);
    return NULL;
}
