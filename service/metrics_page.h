/* Metrics page: GET /metrics over HTTP/1.1 for a scraper on this machine. One thread, one request a
 * connection. */
#ifndef SERVICE_METRICS_PAGE_H
#define SERVICE_METRICS_PAGE_H

#include "base/metrics.h"

struct metrics_page;

/* Listens at HOST:PORT (port 0: any) and starts the thread; `metrics` outlives the page. `error`
 * holds one line for the operator. */
enum sync_status metrics_page_open(const char *address, struct metrics *metrics,
                                   struct sync_error *error, struct metrics_page **ret_page);

/* The port that is bound. */
int metrics_page_port(const struct metrics_page *page);

/* Stops; returns NULL. */
struct metrics_page *metrics_page_close(struct metrics_page *page);

#endif
