#include "base/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Sets a series without labels, registering its family when it is new. */
static void process_set(struct metrics *metrics, enum metric_kind kind, const char *name,
                        const char *help, double value) {
    struct metric_options options = {.kind = kind, .name = name, .help = help};
    metric_set(metric_series(metric_family_add(metrics, &options), NULL), value);
}

static double process_cpu_seconds(void) {
    struct rusage usage = {.ru_maxrss = 0};
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double process_resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static double process_open_fds(void) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory)
        return 0;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count - 1; /* the directory itself was one */
}

static double process_fds_max(void) {
    struct rlimit limit = {.rlim_cur = 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}

/* Unix time of the process's start: now, less the time since boot, plus the kernel's start time,
 * the 22nd field of stat (the 20th after the name, which may hold spaces). */
static double process_start_seconds(void) {
    char text[1024];
    unsigned long long ticks = 0;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file)
        fclose(file);
    text[size] = '\0';
    const char *after_name = strrchr(text, ')');
    if (!after_name || sscanf(after_name + 1,
                              "%*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                              "%*s %*s %*s %llu",
                              &ticks) != 1)
        return 0;
    struct timespec now, since_boot;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &since_boot);
    double booted =
        (double)(now.tv_sec - since_boot.tv_sec) + (double)(now.tv_nsec - since_boot.tv_nsec) / 1e9;
    return booted + (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void process_refresh(void *context) {
    struct metrics *metrics = context;
    process_set(metrics, METRIC_COUNTER, "process_cpu_seconds_total",
                "User and system CPU time spent, in seconds.", process_cpu_seconds());
    process_set(metrics, METRIC_GAUGE, "process_resident_memory_bytes",
                "Resident memory, in bytes.", process_resident_bytes());
    process_set(metrics, METRIC_GAUGE, "process_open_fds", "Open file descriptors.",
                process_open_fds());
    process_set(metrics, METRIC_GAUGE, "process_max_fds", "File descriptors allowed.",
                process_fds_max());
}

void metrics_add_process(struct metrics *metrics) {
    process_set(metrics, METRIC_GAUGE, "process_start_time_seconds",
                "Start of the process, in seconds since 1970.", process_start_seconds());
    process_refresh(metrics);
    metrics_on_render(metrics, process_refresh, metrics);
}
