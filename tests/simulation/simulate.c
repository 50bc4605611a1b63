/* simulate: runs seeds of the simulation; behind tools/simulate. */
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "tests/simulation/simulation.h"

enum { STEPS_DEFAULT = 600, STEPS_MAX = 20000, FOLDER_MAX = 256, SHRINK_RUNS_MAX = 4000 };

/* How many counts a report ends with. */
enum {
    SIM_COUNTS =
        (sizeof(struct sim_report) - offsetof(struct sim_report, changes)) / sizeof(uint64_t)
};

/* What was asked for. */
struct command {
    uint64_t from, to; /* seeds, both included */
    double hours;
    uint32_t steps;
    const char *rocks;      /* a folder for RocksDB; NULL: in memory */
    bool is_quick, verbose; /* no story; counts of what was met */
    struct state_set *states;
    struct sim_report sum;
};

static const char USAGE[] =
    "usage: tools/simulate [--seed N | --seeds FROM..TO | --hours H] [--steps M]\n"
    "                      [--rocks FOLDER] [--regressions FILE] [--quick] [--verbose]\n";

/* ---- One seed */

static void run(const struct command *command, uint64_t seed, const bool *left_out, FILE *story,
                struct sim_report *ret_report) {
    char folder[FOLDER_MAX];
    struct sim_options options = {.seed = seed,
                                  .steps = command->steps,
                                  .left_out = left_out,
                                  .states = left_out || story ? NULL : command->states,
                                  .story = story};
    static unsigned runs;
    if (command->rocks) {
        snprintf(folder, sizeof folder, "%s/%u", command->rocks, runs++);
        options.rocks_folder = folder;
    }
    simulation_run(&options, ret_report);
}

/* Whether two violations are of one kind: the same but for numbers. */
static bool is_same(const char *a, const char *b) {
    for (;; a++, b++) {
        while (*a >= '0' && *a <= '9')
            a++;
        while (*b >= '0' && *b <= '9')
            b++;
        if (*a != *b || *a == '\0')
            return *a == *b;
    }
}

/* Leaves out what the violation does not need: by halves first, then by less. */
static uint32_t shrink(const struct command *command, uint64_t seed, const char *violation,
                       bool *left_out) {
    struct sim_report report;
    uint32_t runs = 0, kept = command->steps;
    for (uint32_t size = command->steps / 2; size > 0 && runs < SHRINK_RUNS_MAX; size /= 2) {
        for (uint32_t at = 0; at < command->steps && runs < SHRINK_RUNS_MAX; at += size) {
            uint32_t end = at + size < command->steps ? at + size : command->steps, taken = 0;
            bool before[STEPS_MAX];
            memcpy(before, left_out, command->steps * sizeof *left_out);
            for (uint32_t i = at; i < end; i++) {
                taken += !left_out[i];
                left_out[i] = true;
            }
            if (taken == 0)
                continue;
            runs++;
            run(command, seed, left_out, NULL, &report);
            if (report.is_violated && is_same(report.violation, violation))
                kept -= taken;
            else
                memcpy(left_out, before, command->steps * sizeof *left_out);
        }
    }
    return kept;
}

/* Tells a violation: the shortest story that still shows one. */
static void tell(const struct command *command, uint64_t seed, const struct sim_report *found) {
    static bool left_out[STEPS_MAX];
    struct sim_report report;
    printf("seed %" PRIu64 " at step %u: %s\n", seed, found->step, found->violation);
    if (command->is_quick)
        return;
    memset(left_out, 0, sizeof left_out);
    uint32_t kept = shrink(command, seed, found->violation, left_out);
    printf("its story, in %u of %u steps:\n", kept, command->steps);
    run(command, seed, left_out, stdout, &report);
    printf("  %5u  %s\n", report.step, report.violation);
    fflush(stdout);
}

static bool seed_holds(struct command *command, uint64_t seed) {
    struct sim_report report;
    run(command, seed, NULL, NULL, &report);
    if (report.is_violated)
        tell(command, seed, &report);
    const uint64_t *from = &report.changes;
    for (size_t i = 0; i < SIM_COUNTS; i++)
        (&command->sum.changes)[i] += from[i];
    return !report.is_violated;
}

/* ---- Many */

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int finish(struct command *command, uint64_t seeds, uint64_t violations) {
    const struct sim_report *sum = &command->sum;
    if (command->verbose)
        printf("%" PRIu64 " changes (%" PRIu64 " merged, %" PRIu64 " conflicts), %" PRIu64
               " streams, %" PRIu64 " pulls, %" PRIu64 " downloads, %" PRIu64 " resyncs, %" PRIu64
               " audits, %" PRIu64 " repairs, %" PRIu64 " crashes, %" PRIu64
               " heads moved, %" PRIu64 " answers lost\n",
               sum->changes, sum->merged, sum->conflicts, sum->streams, sum->pulls, sum->downloads,
               sum->resyncs, sum->audits, sum->repairs, sum->crashes, sum->moved, sum->lost);
    printf("%" PRIu64 " seeds, %" PRIu64 " violations, %" PRIu64 " states\n", seeds, violations,
           state_set_count(command->states));
    return violations > 0;
}

static int run_all(struct command *command) {
    uint64_t seeds = 0, violations = 0;
    double end = seconds_now() + command->hours * 3600;
    for (uint64_t seed = command->from;
         command->hours > 0 ? seconds_now() < end : seed <= command->to; seed++) {
        seeds++;
        violations += !seed_holds(command, seed);
        if (violations > 0 && command->is_quick)
            break;
    }
    return finish(command, seeds, violations);
}

/* Runs the seeds of a file: a line has a seed, its steps, and what it once showed. */
static int run_file(struct command *command, const char *path) {
    FILE *file = fopen(path, "r");
    char line[1024];
    uint64_t seeds = 0, violations = 0, seed;
    if (!file) {
        fprintf(stderr, "simulate: %s cannot be read\n", path);
        return 2;
    }
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#' || sscanf(line, "%" SCNu64 " %" SCNu32, &seed, &command->steps) != 2)
            continue;
        if (command->steps > STEPS_MAX)
            command->steps = STEPS_MAX;
        seeds++;
        violations += !seed_holds(command, seed);
    }
    fclose(file);
    return finish(command, seeds, violations);
}

static int usage(void) {
    fputs(USAGE, stderr);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option OPTIONS[] = {
        {"seed", required_argument, NULL, 's'},  {"seeds", required_argument, NULL, 'r'},
        {"hours", required_argument, NULL, 'h'}, {"steps", required_argument, NULL, 'm'},
        {"rocks", required_argument, NULL, 'k'}, {"regressions", required_argument, NULL, 'f'},
        {"quick", no_argument, NULL, 'q'},       {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, '?'},        {NULL, 0, NULL, 0}};
    struct command command = {.from = 1, .to = 500, .steps = STEPS_DEFAULT};
    const char *file = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) >= 0) {
        bool is_sound = true;
        if (option == 's')
            is_sound = sscanf(optarg, "%" SCNu64, &command.from) == 1;
        if (option == 's')
            command.to = command.from;
        else if (option == 'r')
            is_sound = sscanf(optarg, "%" SCNu64 "..%" SCNu64, &command.from, &command.to) == 2;
        else if (option == 'h')
            is_sound = sscanf(optarg, "%lf", &command.hours) == 1 && command.hours > 0;
        else if (option == 'm')
            is_sound = sscanf(optarg, "%" SCNu32, &command.steps) == 1 && command.steps > 0 &&
                       command.steps <= STEPS_MAX;
        else if (option == 'k')
            command.rocks = optarg;
        else if (option == 'f')
            file = optarg;
        else if (option == 'q')
            command.is_quick = true;
        else if (option == 'v')
            command.verbose = true;
        else
            is_sound = false;
        if (!is_sound)
            return usage();
    }
    if (optind < argc)
        return usage();
    command.states = state_set_open();
    if (!command.states)
        return 1;
    int status = file ? run_file(&command, file) : run_all(&command);
    state_set_close(command.states);
    return status;
}
