#include "service/rpc/health.h"

#include "base/limits.h"
#include "grpc/health/v1/health.pb-c.h"
#include "service/rpc/service.h"

#define STATE(NAME) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##NAME

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

int health_state(const struct service *service, const char *name) {
    if (!service_is_known(name))
        return STATE(SERVICE_UNKNOWN);
    bool serves =
        !atomic_load(&service->health->is_draining) && store_health(service->store) == SYNC_OK;
    if (serves && strcmp(name, store_name) == 0)
        serves = store_is_whole(service->store);
    return serves ? STATE(SERVING) : STATE(NOT_SERVING);
}

void health_check_handle(struct rpc_call *call) {
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const void *)rpc_call_unpack(call, &grpc__health__v1__health_check_request__descriptor);
    if (!request)
        return;
    int state = health_state(rpc_call_service(call), request->service);
    if (state == STATE(SERVICE_UNKNOWN)) {
        rpc_call_fail_with(call, SYNC_ERR_NOT_FOUND, "SERVICE_UNKNOWN",
                           "There is no service of that name.");
        return;
    }
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state;
    rpc_call_reply(call, &answer.base);
}
