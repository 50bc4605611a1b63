/* conflict_load: the conflict workload; behind tools/load conflicts. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "tests/simulation/traveller.h"

static const char USAGE[] =
    "usage: tools/load conflicts [--seed N] [--travellers N] [--json FILE]\n";

static const char *const TYPES[] = {"", "update-update", "update-delete", "delete-update"};
static const char *const SETTLEMENTS[] = {"automatic", "waiting"};

/* Called for every kind of conflict that was met. */
typedef void count_visit(FILE *out, const char *type, const char *policy, const char *outcome,
                         uint64_t count, bool is_first);

static void counts_visit(const struct conflict_count *count, count_visit *visit, FILE *out) {
    bool is_first = true;
    for (size_t type = CONFLICT_UPDATE_UPDATE; type <= CONFLICT_DELETE_UPDATE; type++)
        for (size_t policy = 0; policy < POLICY_KINDS; policy++)
            for (size_t outcome = 0; outcome < SETTLEMENT_KINDS; outcome++) {
                if (count->by[type][policy][outcome] == 0)
                    continue;
                visit(out, TYPES[type], conflict_count_policy(policy), SETTLEMENTS[outcome],
                      count->by[type][policy][outcome], is_first);
                is_first = false;
            }
}

static void line_print(FILE *out, const char *type, const char *policy, const char *outcome,
                       uint64_t count, bool is_first) {
    if (is_first)
        fprintf(out, "%-15s %-15s %-10s %10s\n", "conflict", "policy", "settled", "count");
    fprintf(out, "%-15s %-15s %-10s %10" PRIu64 "\n", type, policy, outcome, count);
}

static void item_print(FILE *out, const char *type, const char *policy, const char *outcome,
                       uint64_t count, bool is_first) {
    fprintf(out,
            "%s\n    {\"type\": \"%s\", \"policy\": \"%s\", \"outcome\": \"%s\", \"count\": "
            "%" PRIu64 "}",
            is_first ? "" : ",", type, policy, outcome, count);
}

static double percent_of(const struct conflict_count *count) {
    return count->conflicts ? 100.0 * (double)count->automatic / (double)count->conflicts : 100;
}

static bool json_write(const char *path, uint64_t seed, uint64_t travellers,
                       const struct traveller_sum *sum) {
    FILE *out = fopen(path, "w");
    if (!out)
        return false;
    fprintf(out,
            "{\n  \"seed\": %" PRIu64 ",\n  \"travellers\": %" PRIu64 ",\n  \"edits\": %" PRIu64
            ",\n  \"puts\": %" PRIu64 ",\n  \"uploads\": %" PRIu64 ",\n  \"deletes\": %" PRIu64
            ",\n  \"recreates\": %" PRIu64 ",\n",
            seed, travellers, sum->edits, sum->puts, sum->uploads, sum->deletes, sum->recreates);
    fprintf(out,
            "  \"trueConflicts\": %" PRIu64 ",\n  \"automatic\": %" PRIu64
            ",\n  \"recorded\": %" PRIu64 ",\n  \"joined\": %" PRIu64 ",\n  \"lost\": %" PRIu64
            ",\n  \"percent\": %.2f,\n  \"conflicts\": [",
            sum->conflicts.conflicts, sum->conflicts.automatic, sum->conflicts.recorded,
            sum->conflicts.joined, sum->conflicts.lost, percent_of(&sum->conflicts));
    counts_visit(&sum->conflicts, item_print, out);
    fprintf(out,
            "\n  ],\n  \"decisions\": {\"seen\": %" PRIu64 ", \"undone\": %" PRIu64
            ", \"builtOn\": %" PRIu64 ", \"faults\": %" PRIu64 "}\n}\n",
            sum->settlements.seen, sum->settlements.undone, sum->settlements.built_on,
            sum->settlements.faults);
    return fclose(out) == 0;
}

/* What becomes of what lost: all of it must be seen, and can be taken back. */
static void settlements_print(const struct traveller_sum *sum) {
    const struct settlement_count *count = &sum->settlements;
    printf("%" PRIu64 " of the automatic are kept with both sides, %" PRIu64
           " are lists that have all of both, %" PRIu64 " have lost something unseen\n",
           sum->conflicts.recorded, sum->conflicts.joined, sum->conflicts.lost);
    printf("%" PRIu64 " changes were decided so and show both sides; %" PRIu64
           " were taken back in a trial, %" PRIu64
           " had more of the device's built on them, %" PRIu64 " failed\n",
           count->seen, count->undone, count->built_on, count->faults);
}

/* The share of each policy, of all true conflicts and of what it settles itself. */
static void shares_print(const struct conflict_count *count) {
    printf("%-15s %10s %8s %10s\n", "policy", "conflicts", "share", "automatic");
    for (size_t policy = 0; policy < POLICY_KINDS; policy++) {
        uint64_t all = 0, automatic = 0;
        for (size_t type = CONFLICT_UPDATE_UPDATE; type <= CONFLICT_DELETE_UPDATE; type++) {
            automatic += count->by[type][policy][SETTLED_AUTOMATIC];
            all += count->by[type][policy][SETTLED_AUTOMATIC] +
                   count->by[type][policy][SETTLED_WAITING];
        }
        if (all > 0)
            printf("%-15s %10" PRIu64 " %7.2f%% %9.2f%%\n", conflict_count_policy(policy), all,
                   100.0 * (double)all / (double)count->conflicts,
                   100.0 * (double)automatic / (double)all);
    }
}

static int usage(void) {
    fputs(USAGE, stderr);
    return 2;
}

int main(int argc, char **argv) {
    static const struct option OPTIONS[] = {{"seed", required_argument, NULL, 's'},
                                            {"travellers", required_argument, NULL, 't'},
                                            {"json", required_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    static struct traveller_sum sum;
    uint64_t seed = 1, travellers = 1000;
    const char *json = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) >= 0) {
        if (option == 'j')
            json = optarg;
        else if ((option != 's' && option != 't') ||
                 sscanf(optarg, "%" SCNu64, option == 's' ? &seed : &travellers) != 1)
            return usage();
    }
    if (optind < argc || travellers == 0)
        return usage();
    for (uint64_t i = 0; i < travellers; i++)
        if (!traveller_live(seed, i, &sum)) {
            fputs("conflict_load: no memory\n", stderr);
            return 1;
        }
    printf("%" PRIu64 " travellers: %" PRIu64 " edits in %" PRIu64 " uploads, %" PRIu64
           " writes of services, %" PRIu64 " deletions, %" PRIu64 " records made anew\n",
           travellers, sum.edits, sum.uploads, sum.puts, sum.deletes, sum.recreates);
    printf("%" PRIu64 " changes waited behind a conflict, %" PRIu64 " were rejected\n", sum.blocked,
           sum.rejected);
    counts_visit(&sum.conflicts, line_print, stdout);
    shares_print(&sum.conflicts);
    if (json && !json_write(json, seed, travellers, &sum)) {
        fprintf(stderr, "conflict_load: %s cannot be written\n", json);
        return 1;
    }
    settlements_print(&sum);
    printf("%" PRIu64 " true conflicts, %" PRIu64 " automatic (%.2f%%)\n", sum.conflicts.conflicts,
           sum.conflicts.automatic, percent_of(&sum.conflicts));
    return sum.conflicts.lost + sum.settlements.faults > 0;
}
