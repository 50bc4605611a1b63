#include "service/rpc/health.h"

#include "base/limits.h"
#include "grpc/health/v1/health.pb-c.h"
#include "service/rpc/service.h"

static bool service_is_known(const char *name) {
    static const char *const names[] = {"", "travelsense.sync.v1.SyncService",
                                        "travelsense.sync.v1.RecordService"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
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
    Grpc__Health__V1__HealthCheckResponse answer = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    answer.status = serves ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                           : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    rpc_call_reply(call, &answer.base);
}
