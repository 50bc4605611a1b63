/* Interceptors: what every call passes before its message is read: method, deadline, token, role
 * and rate. The content type is not among the metadata that the library hands on, so it cannot be
 * checked here; the gateway sends none but its own. */
#include "service/rpc/call_private.h"

enum {
    DEADLINE_UNARY_MAX_S = 300, /* of a call whose client names none, or a longer one */
    DEADLINE_STREAM_MAX_S = 3600,
    TRACEPARENT_SIZE = 55,
    TRACE_ID_AT = 3,
    TRACE_ID_SIZE = 32,
    FAULTS_DIGITS_MAX = 9,
};

/* The value of a metadata key, or the empty slice. Keys are in lower case. */
static struct slice metadata_find(const struct rpc_call *call, struct slice key) {
    for (size_t i = 0; i < call->metadata.count; i++) {
        const grpc_metadata *entry = &call->metadata.metadata[i];
        if (slice_equal(slice_of_grpc(&entry->key), key))
            return slice_of_grpc(&entry->value);
    }
    return SLICE_EMPTY;
}

/* Takes what the logs name a call by. */
static void ids_read(struct rpc_call *call) {
    struct slice id = metadata_find(call, SLICE("x-request-id"));
    call->request_id = slice_first(id, id.size < CALL_ID_MAX ? id.size : CALL_ID_MAX);
    struct slice parent = metadata_find(call, SLICE("traceparent"));
    if (parent.size >= TRACEPARENT_SIZE && parent.data[TRACE_ID_AT + TRACE_ID_SIZE] == '-')
        call->trace_id = slice_of(parent.data + TRACE_ID_AT, TRACE_ID_SIZE);
}

/* Takes what the gateway says of the JSON that the message was made of, and whether the client
 * takes large details. A number that is none counts as no faults. */
static void form_read(struct rpc_call *call) {
    struct slice faults = metadata_find(call, SLICE("json-faults"));
    call->takes_details =
        slice_equal(metadata_find(call, SLICE("accept-status-details")), SLICE("message"));
    if (faults.size > FAULTS_DIGITS_MAX)
        return;
    size_t count = 0;
    for (size_t i = 0; i < faults.size; i++) {
        if (faults.data[i] < '0' || faults.data[i] > '9')
            return;
        count = count * 10 + (faults.data[i] - '0');
    }
    call->faults = count;
}

/* Sets the call's deadline, which for a long-lived one is the client's alone; false when it has
 * passed already. */
static bool deadline_read(struct rpc_call *call) {
    const struct rpc_method *method = method_entry_method(call->entry);
    enum rpc_shape shape = method->shape;
    gpr_timespec now = gpr_now(GPR_CLOCK_REALTIME);
    gpr_timespec most = gpr_time_from_seconds(
        shape == RPC_UNARY ? DEADLINE_UNARY_MAX_S : DEADLINE_STREAM_MAX_S, GPR_TIMESPAN);
    gpr_timespec deadline =
        gpr_time_min(gpr_convert_clock_type(call->details.deadline, GPR_CLOCK_REALTIME),
                     gpr_time_add(now, most));
    if (gpr_time_cmp(deadline, now) <= 0)
        return false;
    if (method->policy
            ->is_long_lived) { /* the library ends the call when the client's has passed */
        call->deadline_us = UINT64_MAX;
        return true;
    }
    call->deadline_us =
        call->started_us + (uint64_t)gpr_timespec_to_micros(gpr_time_sub(deadline, now));
    if (shape > RPC_SERVER_STREAM)
        call->deadline_us = UINT64_MAX; /* a conversation lasts as long as both sides want */
    return true;
}

/* What a limit is called towards the caller. */
static const char *limit_name(enum limit_kind kind) {
    static const char *const names[LIMIT_KINDS] = {
        [LIMIT_CALLS] = "calls",
        [LIMIT_CHANGES] = "changes",
        [LIMIT_SYNCS] = "synchronizations",
        [LIMIT_BUNDLES] = "bundles",
    };
    return names[kind];
}

/* Takes one from the user's bucket; a call that gets none has ended. */
static bool limit_pass(struct rpc_call *call, enum limit_kind kind) {
    struct limit_decision decision =
        limiter_take(rpc_call_service(call)->limiter, slice_text(call->identity.user), kind, 1,
                     (uint64_t)call->received_us);
    if (!decision.allowed)
        rpc_call_fail_limit(call, limit_name(kind), &decision);
    return decision.allowed;
}

/* Token, role and rate. Other services are trusted with their own rate: they act for many users. */
static bool caller_pass(struct rpc_call *call, const struct rpc_policy *policy) {
    struct sync_error error;
    if (token_verify(rpc_call_service(call)->tokens, metadata_find(call, SLICE("authorization")),
                     &error, &call->identity) != SYNC_OK) {
        rpc_call_fail(call, &error);
        return false;
    }
    if (call->identity.is_service)
        return true;
    if (policy->service_only) {
        rpc_call_fail_with(call, SYNC_ERR_DENIED, "ROLE_REQUIRED",
                           "The method is for tokens with the role \"service\".");
        return false;
    }
    return limit_pass(call, LIMIT_CALLS) &&
           (policy->limit == LIMIT_CALLS || limit_pass(call, policy->limit));
}

bool interceptor_pass(struct rpc_call *call) {
    struct slice path = slice_of_grpc(&call->details.method);
    call->entry = method_table_find(call->queue->server->methods, path);
    method_entry_started(call->entry);
    ids_read(call);
    form_read(call);
    const struct rpc_method *method = method_entry_method(call->entry);
    if (!method) {
        rpc_call_fail_with(call, SYNC_ERR_UNIMPLEMENTED, "METHOD_UNKNOWN",
                           "There is no method %.*s.", (int)(path.size < 150 ? path.size : 150),
                           (const char *)path.data);
        return false;
    }
    if (!deadline_read(call)) {
        rpc_call_fail_with(call, SYNC_ERR_DEADLINE, "DEADLINE_EXPIRED",
                           "The deadline had passed when the call arrived.");
        return false;
    }
    if (!method->policy->is_public && !caller_pass(call, method->policy))
        return false;
    if (!method->handle) {
        rpc_call_fail_with(call, SYNC_ERR_UNIMPLEMENTED, "METHOD_NOT_OFFERED",
                           "The method %s is not offered yet.", method->path);
        return false;
    }
    return true;
}
