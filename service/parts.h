/* Parts: everything the service is made of, opened in order and closed in the reverse. */
#ifndef SERVICE_PARTS_H
#define SERVICE_PARTS_H

#include "service/metrics_page.h"
#include "service/rpc/health.h"
#include "service/rpc/server.h"
#include "service/rpc/workers.h"
#include "service/settings.h"

/* In main's memory. */
struct parts {
    const struct settings *settings;
    struct health health;
    struct service service;
    struct log *audit_log;
    struct workers *workers;
    struct rpc_server *server;
    struct metrics_page *metrics_page;
};

/* Opens all; at the end calls are answered. On failure everything is closed again and `error` holds
 * one line for the operator. `settings` outlive the parts. */
enum sync_status parts_open(struct parts *parts, const struct settings *settings,
                            struct sync_error *error);

/* Takes no more calls and lets those under way end; false when some would not. */
bool parts_drain(struct parts *parts);

/* Closes all that is open; the calls are drained. */
void parts_close(struct parts *parts);

#endif
