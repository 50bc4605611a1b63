#include <assert.h>

#include "base/memory.h"
#include "service/rpc/sync_stream_private.h"

static const double LIVE_BOUNDS[] = {0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5};

/* A family without labels. */
static struct metric *metric_of(struct metrics *metrics, enum metric_kind kind, const char *name,
                                const char *help) {
    static const char *const none[] = {NULL};
    return metric_series(
        metric_family_add(metrics, &(struct metric_options){.kind = kind,
                                                            .name = name,
                                                            .help = help,
                                                            .labels = none,
                                                            .bounds = LIVE_BOUNDS,
                                                            .bounds_count = sizeof LIVE_BOUNDS /
                                                                            sizeof LIVE_BOUNDS[0]}),
        none);
}

static void streams_measure(struct sync_streams *streams, struct metrics *metrics) {
    static const char *const labels[] = {"direction", NULL};
    static const char *const up = "received", *const down = "sent";
    if (!metrics)
        return;
    streams->open =
        metric_of(metrics, METRIC_GAUGE, "sync_streams_open", "Sync streams that are open.");
    streams->held =
        metric_of(metrics, METRIC_GAUGE, "sync_streams_held_bytes",
                  "Bytes of messages that Sync streams hold, of those that come and go.");
    streams->refused = metric_of(metrics, METRIC_COUNTER, "sync_streams_refused_total",
                                 "Sync streams told to come back later.");
    streams->live_seconds =
        metric_of(metrics, METRIC_HISTOGRAM, "sync_live_latency_seconds",
                  "Seconds from a commit until a live stream's message of it is taken.");
    struct metric_family *messages =
        metric_family_add(metrics, &(struct metric_options){.kind = METRIC_COUNTER,
                                                            .name = "sync_stream_messages_total",
                                                            .help = "Messages of Sync streams.",
                                                            .labels = labels});
    streams->received = metric_series(messages, &up);
    streams->sent = metric_series(messages, &down);
}

enum sync_status sync_streams_open(struct service *service,
                                   const struct sync_stream_options *options,
                                   struct sync_streams **ret_streams) {
    assert(service->store && service->timers && service->pool);
    struct sync_streams *streams = memory_zalloc(1, sizeof *streams);
    if (!streams)
        return SYNC_ERR_NO_MEMORY;
    streams->service = service;
    streams->send_timeout_us = options->send_timeout_us;
    streams->memory_max = options->memory_max;
    streams->registry = stream_registry_open();
    if (!streams->registry || admission_open(&options->admission, &streams->admission) != SYNC_OK) {
        sync_streams_close(streams);
        return SYNC_ERR_NO_MEMORY;
    }
    streams_measure(streams, service->metrics);
    *ret_streams = streams;
    return SYNC_OK;
}

struct sync_streams *sync_streams_close(struct sync_streams *streams) {
    if (!streams)
        return NULL;
    stream_registry_close(streams->registry);
    admission_close(streams->admission);
    memory_free(streams);
    return NULL;
}

void sync_streams_revoke(struct sync_streams *streams, struct slice user, struct slice device) {
    if (streams)
        stream_registry_revoke(streams->registry, user, device);
}
