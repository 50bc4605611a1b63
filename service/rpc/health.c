#include "service/rpc/health.h"

#include "base/limits.h"
#include "grpc/health/v1/health.pb-c.h"
#include "service/rpc/service.h"

/* What stands for the data on the disk: not serving when some cannot be read, though all others are
 * served. */
static const char store_name[] = "store";

static bool service_is_known(const char *name) {
    static const char *const names[] = {"", "travelsense.sync.v1.SyncService",
                                        "travelsense.sync.v1.RecordService", store_name};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool store_is_whole(struct store *store) {
    struct store_stats stats;
    return store_stats(store, &stats) == SYNC_OK && stats.damaged_reads == 0;
}

void health_check_handle(struct rpc_call *call) {
    const struct service *service = rpc_call_service(call);
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const void *)rpc_call_unpack(call, &grpc__health__v1__health_check_request__descriptor);
    if (!request)
        return;
    if (!service_is_known(request->service)) {
        rpc_call_fail_with(call, SYNC_ERR_NOT_FOUND, "SERVICE_UNKNOWN",
                           "There is no service of that name.");
        return;
    }
    bool serves =
        !atomic_load(&service->health->is_draining) && store_health(service->store) == SYNC_OK;
    if (serves && strcmp(request->service, store_name) == 0)
        serves = store_is_whole(service->store);
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = serves ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                           : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    rpc_call_reply(call, &answer.base);
}
