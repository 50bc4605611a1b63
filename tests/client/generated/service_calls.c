/* service_calls TARGET CASE USER TOKEN SERVICE_TOKEN: runs one case; "list" prints their names. */
#include "tests/client/generated/service_calls.h"

#include <stdio.h>
#include <string.h>

bool calls_failed(const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    return false;
}

bool calls_put(const struct calls *calls, const char *id, const char *name, char *ret_cursor) {
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Struct data = GOOGLE__PROTOBUF__STRUCT__INIT;
    PB(RecordPut) put = PB_INIT(RECORD_PUT);
    PB(RecordPut) *puts[] = {&put};
    PB(PutRecordsRequest) request = PB_INIT(PUT_RECORDS_REQUEST);
    PB(PutRecordsResponse) *response = NULL;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = (char *)name;
    entry.key = "name";
    entry.value = &value;
    data.n_fields = 1;
    data.fields = entries;
    put.data_type = TRIP;
    put.data_id = (char *)id;
    put.data = &data;
    request.user_id = (char *)calls->user;
    request.n_records = 1;
    request.records = puts;
    EXPECT(record_service_put_records(calls->service, &request, NULL, NULL, &response) == STUB_OK);
    EXPECT(response->n_records == 1);
    EXPECT(strcmp(response->records[0]->data_id, id) == 0);
    if (ret_cursor)
        snprintf(ret_cursor, 128, "%s", response->write_checkpoint);
    record_service_put_records_free(response);
    return true;
}

static const struct calls_case *const tables[] = {unary_cases, stream_cases, loop_cases, NULL};

static bool give_token(void *context, char *ret_token, size_t size) {
    return snprintf(ret_token, size, "%s", (const char *)context) < (int)size;
}

static struct stub_channel *open(const char *target, const char *token) {
    struct stub_channel *channel = NULL;
    struct stub_channel_options options = {
        .target = target, .token = token ? give_token : NULL, .token_context = (void *)token};
    return stub_channel_open(&options, NULL, &channel) == STUB_OK ? channel : NULL;
}

static int run(const struct calls_case *chosen, char **argv) {
    struct calls calls = {
        .user = argv[3],
        .traveller = open(argv[1], argv[4]),
        .service = open(argv[1], argv[5]),
        .nobody = open(argv[1], NULL),
    };
    bool went_well = calls.traveller && calls.service && calls.nobody && chosen->run(&calls);
    stub_channel_close(calls.traveller);
    stub_channel_close(calls.service);
    stub_channel_close(calls.nobody);
    return went_well ? 0 : 1;
}

int main(int argc, char **argv) {
    bool is_list = argc == 2 && strcmp(argv[1], "list") == 0;
    if (!is_list && argc != 6) {
        fputs("usage: service_calls TARGET CASE USER TOKEN SERVICE_TOKEN | list\n", stderr);
        return 2;
    }
    for (const struct calls_case *const *table = tables; *table; table++)
        for (const struct calls_case *each = *table; each->name; each++) {
            if (is_list)
                puts(each->name);
            else if (strcmp(each->name, argv[2]) == 0)
                return run(each, argv);
        }
    return is_list ? 0 : 2;
}
