#include "tests/bench/stream_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: stream_load --mode idle|latency|upload|unary --target TARGET --tokens FILE\n"
    "                   [--members N] [--devices N] [--channels N] [--changes N] [--rate N]\n"
    "                   [--seconds N] [--settle N] [--pids PID,PID] [--herd]\n";

static const struct option long_options[] = {
    {"mode", required_argument, NULL, 'm'},
    {"target", required_argument, NULL, 't'},
    {"tokens", required_argument, NULL, 'k'},
    {"members", required_argument, NULL, 'n'},
    {"devices", required_argument, NULL, 'd'},
    {"channels", required_argument, NULL, 'c'},
    {"changes", required_argument, NULL, 'b'},
    {"rate", required_argument, NULL, 'r'},
    {"seconds", required_argument, NULL, 's'},
    {"settle", required_argument, NULL, 'e'},
    {"pids", required_argument, NULL, 'p'},
    {"herd", no_argument, NULL, 'h'},
    {0},
};

static bool read_number(const char *text, unsigned least, unsigned most, unsigned *ret_number) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || number < least || number > most)
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static bool read_mode(const char *text, enum stream_mode *ret_mode) {
    static const char *const names[] = {"idle", "latency", "upload", "unary"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_mode = (enum stream_mode)i;
            return true;
        }
    }
    return false;
}

static bool read_pids(const char *text, struct stream_options *options) {
    for (const char *at = text; at; at = strchr(at, ',')) {
        at += *at == ',';
        char *end;
        long pid = strtol(at, &end, 10);
        if (options->pid_count == STREAM_PIDS_MAX || pid <= 0 || pid > INT32_MAX ||
            (*end != ',' && *end != '\0'))
            return false;
        options->pids[options->pid_count++] = (int)pid;
    }
    return true;
}

static bool read_option(int option, const char *text, struct stream_options *options) {
    switch (option) {
    case 'm':
        return read_mode(text, &options->mode);
    case 't':
        options->target = text;
        return true;
    case 'k':
        options->tokens_path = text;
        return true;
    case 'n':
        return read_number(text, 1, STREAM_MEMBERS_MAX, &options->members);
    case 'd':
        return read_number(text, 1, 2, &options->devices);
    case 'c':
        return read_number(text, 1, STREAM_CHANNELS_MAX, &options->channels);
    case 'b':
        return read_number(text, 1, STREAM_BATCH_MAX, &options->changes);
    case 'r':
        return read_number(text, 0, 1000000, &options->rate);
    case 's':
        return read_number(text, 1, 3600, &options->seconds);
    case 'e':
        return read_number(text, 0, 600, &options->settle_seconds);
    case 'h':
        options->is_herd = true;
        return true;
    case 'p':
        return read_pids(text, options);
    default:
        return false;
    }
}

bool stream_options_read(int argc, char **argv, struct stream_options *ret_options) {
    struct stream_options options = {
        .members = 100,
        .devices = 2,
        .channels = 8,
        .changes = 100,
        .seconds = 10,
        .settle_seconds = 2,
    };
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == '?' || !read_option(option, optarg, &options)) {
            fprintf(stderr, "stream_load: an option is wrong\n%s", usage);
            return false;
        }
    }
    if (!options.target || !options.tokens_path || optind != argc) {
        fputs(usage, stderr);
        return false;
    }
    *ret_options = options;
    return true;
}
