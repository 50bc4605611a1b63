#include <string.h>

#include "tests/client/generated/service_calls.h"

static bool a_unary_call_is_answered(const struct calls *calls) {
    PB(GetSyncConfigRequest) request = PB_INIT(GET_SYNC_CONFIG_REQUEST);
    PB(GetSyncConfigResponse) *response = NULL;
    struct stub_status status = {0};
    EXPECT(sync_service_get_sync_config(calls->traveller, &request, NULL, &status, &response) ==
           STUB_OK);
    EXPECT(status.code == STUB_OK);
    EXPECT(strcmp(response->config->user_id, calls->user) == 0);
    sync_service_get_sync_config_free(response);
    stub_status_done(&status);
    return true;
}

static bool a_record_comes_back_as_it_was_put(const struct calls *calls) {
    PB(RecordKey) key = PB_INIT(RECORD_KEY);
    PB(RecordKey) *keys[] = {&key};
    PB(GetRecordsRequest) request = PB_INIT(GET_RECORDS_REQUEST);
    PB(GetRecordsResponse) *response = NULL;
    EXPECT(calls_put(calls, "trip", "Oslo ☃", NULL));
    key.data_type = TRIP;
    key.data_id = "trip";
    request.user_id = (char *)calls->user;
    request.n_keys = 1;
    request.keys = keys;
    EXPECT(record_service_get_records(calls->service, &request, NULL, NULL, &response) == STUB_OK);
    EXPECT(response->n_records == 1);
    EXPECT(response->records[0]->data->n_fields == 1);
    EXPECT(strcmp(response->records[0]->data->fields[0]->key, "name") == 0);
    EXPECT(strcmp(response->records[0]->data->fields[0]->value->string_value, "Oslo ☃") == 0);
    record_service_get_records_free(response);
    return true;
}

static bool a_refusal_has_its_reason(const struct calls *calls) {
    PB(GetSyncOperationRequest) request = PB_INIT(GET_SYNC_OPERATION_REQUEST);
    PB(GetSyncOperationResponse) *response = NULL;
    struct stub_status status = {0};
    request.sync_id = "0190a000-0000-7000-8000-000000000000";
    EXPECT(sync_service_get_sync_operation(calls->traveller, &request, NULL, &status, &response) ==
           STUB_NOT_FOUND);
    EXPECT(!response);
    EXPECT(*status.message);
    EXPECT(status.reason && *status.reason);
    EXPECT(status.domain && *status.domain);
    stub_status_done(&status);
    return true;
}

static bool faults_of_form_are_told_by_field(const struct calls *calls) {
    PB(Change) change = PB_INIT(CHANGE);
    PB(Change) *changes[] = {&change};
    PB(UploadChangesRequest) request = PB_INIT(UPLOAD_CHANGES_REQUEST);
    struct stub_status status = {0};
    change.id = "one";
    request.device_id = "generated";
    request.n_changes = 1;
    request.changes = changes;
    EXPECT(sync_service_upload_changes(calls->traveller, &request, NULL, &status, NULL) ==
           STUB_INVALID_ARGUMENT);
    EXPECT(status.violation_count > 0);
    EXPECT(strncmp(status.violations[0].field, "changes[0].", strlen("changes[0].")) == 0);
    EXPECT(*status.violations[0].description);
    stub_status_done(&status);
    return true;
}

static bool without_a_token_nobody_is_served(const struct calls *calls) {
    PB(GetSyncConfigRequest) request = PB_INIT(GET_SYNC_CONFIG_REQUEST);
    PB(GetSyncConfigResponse) *response = NULL;
    EXPECT(sync_service_get_sync_config(calls->nobody, &request, NULL, NULL, &response) ==
           STUB_UNAUTHENTICATED);
    EXPECT(!response);
    return true;
}

static bool a_traveller_is_no_service(const struct calls *calls) {
    PB(ListRecordsRequest) request = PB_INIT(LIST_RECORDS_REQUEST);
    request.user_id = (char *)calls->user;
    EXPECT(record_service_list_records(calls->traveller, &request, NULL, NULL, NULL) ==
           STUB_PERMISSION_DENIED);
    return true;
}

static bool a_compressed_call_is_refused(const struct calls *calls) {
    PB(GetSyncConfigRequest) request = PB_INIT(GET_SYNC_CONFIG_REQUEST);
    struct stub_options options = {.timeout_ms = 20000, .compression = STUB_COMPRESSION_GZIP};
    EXPECT(sync_service_get_sync_config(calls->traveller, &request, &options, NULL, NULL) ==
           STUB_UNIMPLEMENTED);
    options.compression = STUB_COMPRESSION_NONE;
    EXPECT(sync_service_get_sync_config(calls->traveller, &request, &options, NULL, NULL) ==
           STUB_OK);
    return true;
}

const struct calls_case unary_cases[] = {
    {"a_unary_call_is_answered", a_unary_call_is_answered},
    {"a_record_comes_back_as_it_was_put", a_record_comes_back_as_it_was_put},
    {"a_refusal_has_its_reason", a_refusal_has_its_reason},
    {"faults_of_form_are_told_by_field", faults_of_form_are_told_by_field},
    {"without_a_token_nobody_is_served", without_a_token_nobody_is_served},
    {"a_traveller_is_no_service", a_traveller_is_no_service},
    {"a_compressed_call_is_refused", a_compressed_call_is_refused},
    {NULL, NULL},
};
