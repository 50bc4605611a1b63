/* Load client: the clients of a run, all in one thread over one epoll; each sends its next request
 * when it has the answer to the last (a closed loop). */
#ifndef TESTS_BENCH_LOAD_CLIENT_H
#define TESTS_BENCH_LOAD_CLIENT_H

#include <stdint.h>

#include "base/status.h"
#include "tests/bench/load_options.h"
#include "tests/bench/load_process.h"

/* What a run measured, from the end of its warm-up to its end. */
struct load_result {
    double seconds;
    uint64_t requests, items; /* items: changes applied, or records pulled */
    uint64_t sent_bytes, received_bytes;
    double request_item_bytes; /* upload: bytes of body for each change */
    /* Of each request that was under way in that time, ascending: also of those whose answer came
     * after its end and which `requests` does not count, or a stall would not show. Released by
     * load_result_done. */
    uint32_t *latencies_us;
    uint64_t latency_count;
    double load_cpu_seconds;
    struct load_process before[LOAD_PIDS_MAX], after[LOAD_PIDS_MAX];
};

/* Runs the load. Any answer but the expected one ends it: SYNC_ERR_INVALID, and the error shows the
 * answer; SYNC_ERR_IO when a connection breaks, SYNC_ERR_DEADLINE when no answer comes for a
 * minute. */
enum sync_status load_run(const struct load_options *options, struct sync_error *error,
                          struct load_result *ret_result);

/* Releases the latencies. */
void load_result_done(struct load_result *result);

#endif
