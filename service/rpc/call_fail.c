/* Failures: what a caller is told, with details, and what only the log is told. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "service/rpc/call_private.h"
#include "service/rpc/error_details.h"

enum { RETRY_AFTER_MS = 1000 };

/* Tells the log in full what the caller is told without detail. */
static void fail_log(struct rpc_call *call, const struct sync_error *error) {
    const struct rpc_method *method = method_entry_method(call->entry);
    log_line(rpc_call_service(call)->log, LOG_ERROR, "call failed",
             LOG_TEXT("method", method ? method->path : ""), LOG_TEXT("user", call->identity.user),
             LOG_TEXT("status", sync_status_name(error->status)), LOG_TEXT("reason", error->reason),
             LOG_TEXT("field", error->field), LOG_TEXT("error", error->message),
             LOG_SLICE("request_id", call->request_id), LOG_SLICE("trace_id", call->trace_id));
}

/* The error that stands for one of ours. */
static void fail_neutral(enum rpc_code code, struct sync_error *ret_error) {
    bool passing = code == RPC_UNAVAILABLE;
    sync_error_set(ret_error, ret_error->status, passing ? "UNAVAILABLE" : "INTERNAL", NULL,
                   passing ? "The service cannot answer at the moment; try again later."
                           : "The service failed; the fault is not in the request.");
}

/* Names who has used up what `message` says. */
static void fail_quota(const struct rpc_call *call, struct error_details *details,
                       struct slice message) {
    char user[sizeof "user:" + USER_ID_MAX];
    snprintf(user, sizeof user, "user:%s", call->identity.user);
    error_details_add_quota(details, slice_text(user), message);
}

/* Writes the sentence for `total` violations, naming the first. A fault of the whole request has no
 * field. */
static struct slice fields_message(size_t total, struct slice field, struct slice description,
                                   char *text, size_t text_size) {
    const char *colon = field.size > 0 ? ": " : "";
    int length;
    if (total == 1)
        length = snprintf(text, text_size, "%.*s%s%.*s", (int)field.size, (const char *)field.data,
                          colon, (int)description.size, (const char *)description.data);
    else
        length =
            snprintf(text, text_size, "The request has %zu faults; the first%s%.*s: %.*s", total,
                     field.size > 0 ? " is in " : "", (int)field.size, (const char *)field.data,
                     (int)description.size, (const char *)description.data);
    size_t size = (size_t)length < text_size ? (size_t)length : text_size - 1;
    return slice_cut_utf8(slice_of(text, size), size);
}

void rpc_call_fail(struct rpc_call *call, const struct sync_error *error) {
    rpc_call_fail_later(call, error, RETRY_AFTER_MS);
}

void rpc_call_fail_later(struct rpc_call *call, const struct sync_error *error,
                         uint64_t retry_after_ms) {
    assert(error->status != SYNC_OK);
    enum rpc_code code = sync_status_to_grpc(error->status);
    struct sync_error told = *error;
    if (sync_status_is_internal(error->status)) {
        fail_log(call, error);
        fail_neutral(code, &told);
    }
    struct slice description = slice_text(told.message), field = slice_text(told.field);
    char text[SYNC_ERROR_MESSAGE_MAX];
    struct slice message = fields_message(1, field, description, text, sizeof text);
    struct error_details details;
    error_details_init(&details, code, message);
    if (told.reason[0])
        error_details_add_info(&details, told.reason, NULL, 0);
    if (field.size > 0 && code == RPC_INVALID_ARGUMENT)
        error_details_add_fields(&details,
                                 &(struct rpc_violation){.field = field,
                                                         .description = description,
                                                         .reason = told.reason},
                                 1);
    if (code == RPC_FAILED_PRECONDITION)
        error_details_add_precondition(&details, told.reason, field, description);
    if (code == RPC_RESOURCE_EXHAUSTED)
        fail_quota(call, &details, message);
    if (code == RPC_UNAVAILABLE || code == RPC_ABORTED || code == RPC_RESOURCE_EXHAUSTED)
        error_details_add_retry(&details, retry_after_ms);
    call_finish(call, code, message, error_details_bytes(&details));
    error_details_done(&details);
}

void rpc_call_fail_with(struct rpc_call *call, enum sync_status status, const char *reason,
                        const char *format, ...) {
    char text[SYNC_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct sync_error error;
    sync_error_set(&error, status, reason, NULL, "%s", text);
    rpc_call_fail(call, &error);
}

/* Tells the violations, and how many more than those told there are; returns that. */
static size_t fields_tell(struct error_details *details, const struct rpc_violation *violations,
                          size_t count, size_t omitted) {
    char number[24];
    omitted += count - error_details_add_fields(details, violations, count);
    snprintf(number, sizeof number, "%zu", omitted);
    error_details_add_info(details, "INVALID_FIELDS", &(struct error_pair){"omitted", number},
                           omitted > 0 ? 1 : 0);
    return omitted;
}

/* Ends the call with details as a message; false when that cannot be, or gains nothing. */
static bool fields_finish_large(struct rpc_call *call, struct slice message,
                                const struct rpc_violation *violations, size_t count,
                                size_t omitted) {
    struct error_details details;
    error_details_init_large(&details, RPC_INVALID_ARGUMENT, message);
    fields_tell(&details, violations, count, omitted);
    struct slice bytes = error_details_bytes(&details);
    bool ends = bytes.size > 0 && call_finish_large(call, RPC_INVALID_ARGUMENT, message, bytes);
    error_details_done(&details);
    return ends;
}

void rpc_call_fail_fields(struct rpc_call *call, const struct rpc_violation *violations,
                          size_t count, size_t omitted) {
    size_t total = count + omitted;
    assert(total > 0 || call->faults > 0);
    char text[SYNC_ERROR_MESSAGE_MAX];
    struct slice message = SLICE("The request was made of JSON with faults.");
    if (total > 0)
        message =
            fields_message(total, count > 0 ? violations[0].field : SLICE_EMPTY,
                           count > 0 ? violations[0].description : SLICE_EMPTY, text, sizeof text);
    struct error_details details;
    error_details_init(&details, RPC_INVALID_ARGUMENT, message);
    bool tells_all = fields_tell(&details, violations, count, omitted) == omitted;
    if (tells_all || !call->takes_details ||
        !fields_finish_large(call, message, violations, count, omitted))
        call_finish(call, RPC_INVALID_ARGUMENT, message, error_details_bytes(&details));
    error_details_done(&details);
}

/* Adds the RateLimit headers. */
static void limit_headers(struct error_details *details, const struct limit_decision *decision) {
    char limit[24], remaining[24], reset[24];
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)decision->limit);
    snprintf(remaining, sizeof remaining, "%llu", (unsigned long long)decision->remaining);
    snprintf(reset, sizeof reset, "%llu", (unsigned long long)(decision->reset_ms + 999) / 1000);
    const struct error_pair headers[] = {
        {"ratelimit-limit", limit}, {"ratelimit-remaining", remaining}, {"ratelimit-reset", reset}};
    error_details_add_head(details, headers, sizeof headers / sizeof headers[0]);
}

void rpc_call_fail_limit(struct rpc_call *call, const char *subject,
                         const struct limit_decision *decision) {
    char text[SYNC_ERROR_MESSAGE_MAX];
    int length = snprintf(
        text, sizeof text, "The limit of %llu %s%s is reached; try again in %llu seconds.",
        (unsigned long long)decision->limit, subject, decision->quota ? " a day" : " at once",
        (unsigned long long)(decision->retry_after_ms + 999) / 1000);
    struct slice message =
        slice_of(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    struct error_details details;
    error_details_init(&details, RPC_RESOURCE_EXHAUSTED, message);
    error_details_add_info(&details, decision->quota ? "QUOTA_EXCEEDED" : "RATE_LIMITED",
                           &(struct error_pair){"limit", subject}, 1);
    error_details_add_retry(&details, decision->retry_after_ms);
    fail_quota(call, &details, message);
    limit_headers(&details, decision);
    call_finish(call, RPC_RESOURCE_EXHAUSTED, message, error_details_bytes(&details));
    error_details_done(&details);
}
