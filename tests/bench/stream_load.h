/* Stream load: many devices on live streams, in one thread over one loop, and what each mode does
 * with them. */
#ifndef TESTS_BENCH_STREAM_LOAD_H
#define TESTS_BENCH_STREAM_LOAD_H

#include "tests/bench/load_lines.h"
#include "tests/bench/load_process.h"
#include "tests/bench/stream_member.h"
#include "tests/bench/stream_options.h"

enum { STREAM_LATENCIES_MAX = 1 << 20 };

/* A run. In the caller's memory, zeroed. */
struct stream_load {
    const struct stream_options *options;
    struct stub_loop *loop;
    struct stub_channel *channels[STREAM_CHANNELS_MAX];
    struct load_lines tokens;
    struct stream_member *members;
    unsigned opened, live, ended;
    unsigned refused, away; /* refusals so far; streams that wait for their slot */
    double open_seconds;
    /* what is measured */
    bool is_measuring;
    uint64_t changes; /* settled while measuring */
    uint32_t *latencies_us;
    size_t latency_count;
    double seconds;
    struct load_process empty[STREAM_PIDS_MAX], before[STREAM_PIDS_MAX], after[STREAM_PIDS_MAX];
};

/* Monotonic microseconds. */
uint64_t stream_now_us(void);

/* Opens channels and, but for unary clients, streams until all are live. On failure prints one line
 * on stderr. */
bool stream_load_open(struct stream_load *load);

/* Runs the loop until `until_us`; false when a stream has ended by itself, which is told. */
bool stream_load_run(struct stream_load *load, uint64_t until_us);

/* Marks the begin and the end of what is measured. */
bool stream_load_begin(struct stream_load *load);
bool stream_load_finish(struct stream_load *load);

/* The modes; each fills in what was measured. */
bool stream_load_idle(struct stream_load *load);
bool stream_load_latency(struct stream_load *load);
bool stream_load_upload(struct stream_load *load);
bool stream_load_unary(struct stream_load *load);

/* Closes everything. */
void stream_load_close(struct stream_load *load);

#endif
