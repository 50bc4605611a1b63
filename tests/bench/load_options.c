#include "tests/bench/load_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: load --mode upload|pull|post --port PORT [--host ADDRESS] [--clients N]\n"
    "            [--warm-ms N] [--measure-ms N] [--requests N] [--each N] [--pids PID,PID]\n"
    "  upload:   --tokens FILE [--device NAME] [--changes N]\n"
    "  post:     --targets FILE --body FILE [--count TEXT --expect RECORDS]\n"
    "  pull:     --tokens FILE --targets FILE --expect RECORDS [--count TEXT] [--accept TYPE] "
    "[--encoding "
    "LIST]\n";

static const struct option long_options[] = {
    {"mode", required_argument, NULL, 'm'},
    {"host", required_argument, NULL, 'h'},
    {"port", required_argument, NULL, 'p'},
    {"clients", required_argument, NULL, 'c'},
    {"tokens", required_argument, NULL, 't'},
    {"device", required_argument, NULL, 'd'},
    {"changes", required_argument, NULL, 'n'},
    {"targets", required_argument, NULL, 'g'},
    {"accept", required_argument, NULL, 'a'},
    {"encoding", required_argument, NULL, 'e'},
    {"count", required_argument, NULL, 'o'},
    {"expect", required_argument, NULL, 'x'},
    {"warm-ms", required_argument, NULL, 'w'},
    {"measure-ms", required_argument, NULL, 's'},
    {"requests", required_argument, NULL, 'r'},
    {"each", required_argument, NULL, 'i'},
    {"pids", required_argument, NULL, 'P'},
    {"body", required_argument, NULL, 'b'},
    {0},
};

static bool read_number(const char *text, uint64_t max, uint64_t *ret_number) {
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number > max)
        return false;
    *ret_number = number;
    return true;
}

static bool read_unsigned(const char *text, unsigned max, unsigned *ret_number) {
    uint64_t number;
    if (!read_number(text, max, &number))
        return false;
    *ret_number = (unsigned)number;
    return true;
}

static bool read_port(const char *text, uint16_t *ret_port) {
    unsigned port;
    if (!read_unsigned(text, UINT16_MAX, &port) || port == 0)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

static bool read_mode(const char *text, enum load_mode *ret_mode) {
    if (strcmp(text, "upload") == 0)
        *ret_mode = LOAD_UPLOAD;
    else if (strcmp(text, "pull") == 0)
        *ret_mode = LOAD_PULL;
    else if (strcmp(text, "post") == 0)
        *ret_mode = LOAD_POST;
    else
        return false;
    return true;
}

static bool read_pids(const char *text, struct load_options *options) {
    for (const char *at = text; at; at = strchr(at, ',')) {
        at += *at == ',';
        char *end;
        long pid = strtol(at, &end, 10);
        if (options->pid_count == LOAD_PIDS_MAX || pid <= 0 || pid > INT32_MAX ||
            (*end != ',' && *end != '\0'))
            return false;
        options->pids[options->pid_count++] = (int)pid;
    }
    return true;
}

static bool read_text(const char *text, const char **ret_text) {
    *ret_text = text;
    return true;
}

static bool read_option(int option, const char *text, struct load_options *options) {
    switch (option) {
    case 'm':
        return read_mode(text, &options->mode);
    case 'h':
        return read_text(text, &options->host);
    case 'p':
        return read_port(text, &options->port);
    case 'c':
        return read_unsigned(text, LOAD_CLIENTS_MAX, &options->clients);
    case 't':
        return read_text(text, &options->tokens_path);
    case 'd':
        return read_text(text, &options->device);
    case 'n':
        return read_unsigned(text, LOAD_CHANGES_MAX, &options->changes);
    case 'b':
        return read_text(text, &options->body_path);
    case 'g':
        return read_text(text, &options->targets_path);
    case 'a':
        return read_text(text, &options->accept);
    case 'e':
        return read_text(text, &options->accept_encoding);
    case 'o':
        return read_text(text, &options->count);
    case 'x':
        return read_unsigned(text, UINT32_MAX, &options->expect);
    case 'w':
        return read_unsigned(text, UINT32_MAX, &options->warm_ms);
    case 's':
        return read_unsigned(text, UINT32_MAX, &options->measure_ms);
    case 'r':
        return read_number(text, 1u << 28, &options->requests_max);
    case 'i':
        return read_number(text, 1u << 20, &options->each);
    case 'P':
        return read_pids(text, options);
    default:
        return false;
    }
}

/* Whether the files that the mode reads are named. */
static bool has_files(const struct load_options *options) {
    switch (options->mode) {
    case LOAD_UPLOAD:
        return options->tokens_path;
    case LOAD_PULL:
        return options->tokens_path && options->targets_path;
    case LOAD_POST:
        return options->body_path && options->targets_path;
    }
    return false;
}

bool load_options_read(int argc, char **argv, struct load_options *ret_options) {
    struct load_options options = {
        .host = "127.0.0.1",
        .clients = 16,
        .device = "bench",
        .changes = 100,
        .accept_encoding = "identity",
        .warm_ms = 2000,
        .measure_ms = 10000,
        .requests_max = 4 << 20,
    };
    for (int option; (option = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        if (option == '?' || !read_option(option, optarg, &options)) {
            fprintf(stderr, "load: bad option or value\n%s", usage);
            return false;
        }
    }
    if (optind < argc || options.port == 0 || options.clients == 0 || options.changes == 0 ||
        options.requests_max == 0 || !has_files(&options)) {
        fprintf(stderr, "load: something is missing\n%s", usage);
        return false;
    }
    *ret_options = options;
    return true;
}
