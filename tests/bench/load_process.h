/* Load process: what a process has used so far, from /proc. */
#ifndef TESTS_BENCH_LOAD_PROCESS_H
#define TESTS_BENCH_LOAD_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* CPU time of all threads, user and system, and what is resident now. */
struct load_process {
    double cpu_seconds;
    uint64_t resident_bytes;
};

/* Reads what the process `pid` has used. False when there is no such process. */
bool load_process_read(int pid, struct load_process *ret_use);

/* CPU seconds of this process so far. */
double load_process_own_cpu(void);

#endif
