/* Callbacks on a loop that this thread runs. */
#include <string.h>

#include "tests/client/generated/service_calls.h"

enum { CALLS = 50 };

/* What the callbacks have seen. */
struct seen {
    const struct calls *calls;
    struct stub_loop *loop;
    struct record_service_watch_records_stream *stream;
    unsigned well, ended, records;
    enum stub_code code;
};

/* Runs the loop until so many calls have ended. */
static bool run_until(struct seen *seen, unsigned ended) {
    for (int i = 0; i < 100000 && seen->ended < ended; i++)
        stub_loop_run_once(seen->loop, 1000);
    return seen->ended >= ended;
}

static void on_config(void *context, PB(GetSyncConfigResponse) *response,
                      const struct stub_status *status) {
    struct seen *seen = context;
    seen->ended++;
    seen->code = status->code;
    if (response && strcmp(response->config->user_id, seen->calls->user) == 0)
        seen->well++;
    sync_service_get_sync_config_free(response);
}

static bool many_unary_calls_are_answered_on_a_loop(const struct calls *calls) {
    PB(GetSyncConfigRequest) request = PB_INIT(GET_SYNC_CONFIG_REQUEST);
    struct seen seen = {.calls = calls};
    EXPECT(stub_loop_open(&seen.loop) == STUB_OK);
    for (unsigned i = 0; i < CALLS; i++)
        sync_service_get_sync_config_start(calls->traveller, &request, NULL, seen.loop, on_config,
                                           &seen, NULL);
    EXPECT(run_until(&seen, CALLS));
    EXPECT(seen.well == CALLS);
    seen.loop = stub_loop_close(seen.loop);
    return !seen.loop;
}

static bool a_refusal_comes_through_the_loop(const struct calls *calls) {
    PB(GetSyncConfigRequest) request = PB_INIT(GET_SYNC_CONFIG_REQUEST);
    struct seen seen = {.calls = calls};
    struct stub_call *call = NULL;
    EXPECT(stub_loop_open(&seen.loop) == STUB_OK);
    sync_service_get_sync_config_start(calls->nobody, &request, NULL, seen.loop, on_config, &seen,
                                       &call);
    EXPECT(run_until(&seen, 1));
    EXPECT(seen.code == STUB_UNAUTHENTICATED);
    EXPECT(seen.well == 0);
    call = stub_call_close(call);
    seen.loop = stub_loop_close(seen.loop);
    return !seen.loop && !call;
}

static void on_finished(void *context, const struct stub_status *status) {
    struct seen *seen = context;
    seen->code = status->code;
    seen->ended++;
}

static void on_records(void *context, PB(WatchRecordsResponse) *message) {
    struct seen *seen = context;
    if (!message) {
        record_service_watch_records_finish_start(seen->stream, on_finished, seen);
        return;
    }
    seen->records += (unsigned)message->n_records;
    record_service_watch_records_free(message);
    if (seen->records > 0)
        record_service_watch_records_cancel(seen->stream);
    record_service_watch_records_receive_start(seen->stream, on_records, seen);
}

static bool a_watch_runs_on_a_loop(const struct calls *calls) {
    struct seen seen = {.calls = calls};
    char cursor[128];
    EXPECT(calls_put(calls, "first", "Oslo", cursor));
    PB(WatchRecordsRequest) request = PB_INIT(WATCH_RECORDS_REQUEST);
    request.user_id = (char *)calls->user;
    request.cursor = cursor;
    EXPECT(stub_loop_open(&seen.loop) == STUB_OK);
    EXPECT(record_service_watch_records_open(calls->service, &request, NULL, seen.loop,
                                             &seen.stream) == STUB_OK);
    record_service_watch_records_receive_start(seen.stream, on_records, &seen);
    EXPECT(calls_put(calls, "second", "Bergen", NULL));
    EXPECT(run_until(&seen, 1));
    EXPECT(seen.records == 1);
    EXPECT(seen.code == STUB_CANCELLED);
    seen.stream = record_service_watch_records_close(seen.stream);
    seen.loop = stub_loop_close(seen.loop);
    return !seen.loop && !seen.stream;
}

const struct calls_case loop_cases[] = {
    {"many_unary_calls_are_answered_on_a_loop", many_unary_calls_are_answered_on_a_loop},
    {"a_refusal_comes_through_the_loop", a_refusal_comes_through_the_loop},
    {"a_watch_runs_on_a_loop", a_watch_runs_on_a_loop},
    {NULL, NULL},
};
