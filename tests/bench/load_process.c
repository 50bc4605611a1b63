#include "tests/bench/load_process.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROC_TEXT_MAX = 1024 };

/* The beginning of /proc/PID/NAME as text. */
static bool read_text(int pid, const char *name, char text[PROC_TEXT_MAX]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    size_t size = fread(text, 1, PROC_TEXT_MAX - 1, file);
    fclose(file);
    text[size] = '\0';
    return size > 0;
}

bool load_process_read(int pid, struct load_process *ret_use) {
    char stat[PROC_TEXT_MAX], statm[PROC_TEXT_MAX];
    if (!read_text(pid, "stat", stat) || !read_text(pid, "statm", statm))
        return false;
    /* The name, in parentheses, may hold anything. */
    const char *rest = strrchr(stat, ')');
    unsigned long user, kernel, resident;
    if (!rest ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) !=
            2 ||
        sscanf(statm, "%*u %lu", &resident) != 1)
        return false;
    *ret_use = (struct load_process){
        .cpu_seconds = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK),
        .resident_bytes = (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE),
    };
    return true;
}

double load_process_own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
