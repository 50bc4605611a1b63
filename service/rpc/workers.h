/* Workers: what runs beside the calls: the job queue with the handler of synchronizations, and
 * retention. */
#ifndef SERVICE_RPC_WORKERS_H
#define SERVICE_RPC_WORKERS_H

#include "service/rpc/service.h"

struct workers;

/* Starts them: sets service->sync_metrics and service->jobs, whose earlier jobs go on at once. Call
 * it before the first RPC; everything else in `service` is set by then. */
enum sync_status workers_open(struct service *service, struct workers **ret_workers);

/* Lets running jobs end, stops, and clears what workers_open set in the service; after the last
 * RPC. Returns NULL. */
struct workers *workers_close(struct workers *workers);

#endif
