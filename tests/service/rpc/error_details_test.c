#include "service/rpc/error_details.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/memory.h"
#include "google/rpc/error_details.pb-c.h"
#include "google/rpc/status.pb-c.h"
#include "travelsense/http/v1/annotations.pb-c.h"

static Google__Rpc__Status *unpack(const struct error_details *details) {
    struct slice bytes = error_details_bytes(details);
    Google__Rpc__Status *status = google__rpc__status__unpack(NULL, bytes.size, bytes.data);
    assert_non_null(status);
    return status;
}

static void details_read_back_as_they_were_written(void **state) {
    (void)state;
    struct error_details details;
    error_details_init(&details, RPC_RESOURCE_EXHAUSTED, SLICE("too much"));
    error_details_add_info(&details, "REASON", &(struct error_pair){"k", "v"}, 1);
    error_details_add_retry(&details, 1500);
    error_details_add_head(&details, &(struct error_pair){"ratelimit-limit", "5"}, 1);
    Google__Rpc__Status *status = unpack(&details);
    assert_int_equal(status->code, 8);
    assert_string_equal(status->message, "too much");
    assert_int_equal(status->n_details, 3);
    assert_string_equal(status->details[0]->type_url, "type.googleapis.com/google.rpc.ErrorInfo");
    Google__Rpc__ErrorInfo *info = google__rpc__error_info__unpack(
        NULL, status->details[0]->value.len, status->details[0]->value.data);
    assert_string_equal(info->reason, "REASON");
    assert_string_equal(info->domain, "sync.travelsense");
    assert_string_equal(info->metadata[0]->value, "v");
    google__rpc__error_info__free_unpacked(info, NULL);
    Google__Rpc__RetryInfo *retry = google__rpc__retry_info__unpack(
        NULL, status->details[1]->value.len, status->details[1]->value.data);
    assert_int_equal(retry->retry_delay->seconds, 1);
    assert_int_equal(retry->retry_delay->nanos, 500000000);
    google__rpc__retry_info__free_unpacked(retry, NULL);
    Travelsense__Http__V1__ResponseHead *head = travelsense__http__v1__response_head__unpack(
        NULL, status->details[2]->value.len, status->details[2]->value.data);
    assert_string_equal(head->headers[0]->name, "ratelimit-limit");
    assert_string_equal(head->headers[0]->value, "5");
    travelsense__http__v1__response_head__free_unpacked(head, NULL);
    google__rpc__status__free_unpacked(status, NULL);
    error_details_done(&details);
}

static void large_details_tell_what_trailers_cannot(void **state) {
    (void)state;
    enum { COUNT = 8000 };
    static struct rpc_violation violations[COUNT];
    static char fields[COUNT][48];
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(fields[i], sizeof fields[i], "changes[%zu].timestamp", i);
        violations[i] = (struct rpc_violation){slice_text(fields[i]), SLICE("is wrong"), "WHY"};
    }
    struct error_details details;
    error_details_init_large(&details, RPC_INVALID_ARGUMENT, SLICE("m"));
    assert_int_equal(error_details_add_fields(&details, violations, COUNT), COUNT);
    error_details_add_info(&details, "REASON", NULL, 0);
    Google__Rpc__Status *status = unpack(&details);
    assert_int_equal(status->n_details, 2);
    Google__Rpc__BadRequest *read = google__rpc__bad_request__unpack(
        NULL, status->details[0]->value.len, status->details[0]->value.data);
    assert_int_equal(read->n_field_violations, COUNT);
    assert_string_equal(read->field_violations[7999]->field, "changes[7999].timestamp");
    assert_string_equal(read->field_violations[7999]->reason, "WHY");
    google__rpc__bad_request__free_unpacked(read, NULL);
    google__rpc__status__free_unpacked(status, NULL);
    error_details_done(&details);
}

static void what_does_not_fit_is_left_out_whole(void **state) {
    (void)state;
    struct rpc_violation violations[200];
    for (size_t i = 0; i < 200; i++)
        violations[i] = (struct rpc_violation){SLICE("changes[0].data"),
                                               SLICE("a sentence of about forty characters here"),
                                               "REASON_OF_IT"};
    struct error_details details;
    error_details_init(&details, RPC_INVALID_ARGUMENT, SLICE("m"));
    size_t kept = error_details_add_fields(&details, violations, 200);
    assert_in_range(kept, 30, 199);
    error_details_add_info(&details, "REASON", NULL, 0); /* room is kept for it */
    assert_in_range(error_details_bytes(&details).size, 1, ERROR_DETAILS_MAX);
    Google__Rpc__Status *status = unpack(&details);
    assert_int_equal(status->n_details, 2);
    google__rpc__status__free_unpacked(status, NULL);
    error_details_done(&details);
}

static void without_memory_there_are_no_details(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 8; n++) {
        struct error_details details;
        memory_fail_after(n);
        error_details_init(&details, RPC_NOT_FOUND, SLICE("message"));
        error_details_add_info(&details, "REASON", NULL, 0);
        error_details_add_quota(&details, SLICE("user:a"), SLICE("d"));
        error_details_add_precondition(&details, "KIND", SLICE("s"), SLICE("d"));
        memory_fail_after(0);
        if (error_details_bytes(&details).size > 0)
            google__rpc__status__free_unpacked(unpack(&details), NULL);
        error_details_done(&details);
    }
}

static void every_status_has_its_code(void **state) {
    (void)state;
    static const struct {
        enum sync_status status;
        int code;
    } cases[] = {{SYNC_OK, 0},
                 {SYNC_ERR_INVALID, 3},
                 {SYNC_ERR_TOO_LARGE, 3},
                 {SYNC_ERR_NOT_FOUND, 5},
                 {SYNC_ERR_DENIED, 7},
                 {SYNC_ERR_UNAUTHENTICATED, 16},
                 {SYNC_ERR_EXHAUSTED, 8},
                 {SYNC_ERR_PRECONDITION, 9},
                 {SYNC_ERR_EXISTS, 6},
                 {SYNC_ERR_UNIMPLEMENTED, 12},
                 {SYNC_ERR_CANCELLED, 1},
                 {SYNC_ERR_DEADLINE, 4},
                 {SYNC_ERR_HEAD_MOVED, 10},
                 {SYNC_ERR_BUSY, 14},
                 {SYNC_ERR_UNAVAILABLE, 14},
                 {SYNC_ERR_NO_MEMORY, 14},
                 {SYNC_ERR_STORE_BROKEN, 14},
                 {SYNC_ERR_IO, 13},
                 {SYNC_ERR_CORRUPT, 13},
                 {SYNC_ERR_INTERNAL, 13},
                 {(enum sync_status) - 77, 13}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(sync_status_to_grpc(cases[i].status), cases[i].code);
    assert_string_equal(rpc_code_name(RPC_INVALID_ARGUMENT), "InvalidArgument");
    assert_string_equal(rpc_code_name((enum rpc_code)99), "Unknown");
    assert_true(sync_status_is_internal(SYNC_ERR_IO));
    assert_true(sync_status_is_internal(SYNC_ERR_STORE_BROKEN));
    assert_false(sync_status_is_internal(SYNC_ERR_BUSY));
    assert_false(sync_status_is_internal(SYNC_ERR_INVALID));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(details_read_back_as_they_were_written),
        cmocka_unit_test(large_details_tell_what_trailers_cannot),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(without_memory_there_are_no_details),
        cmocka_unit_test(every_status_has_its_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
