/* Load options: what the load generator is told on its command line. */
#ifndef TESTS_BENCH_LOAD_OPTIONS_H
#define TESTS_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { LOAD_CLIENTS_MAX = 1024, LOAD_CHANGES_MAX = 1000, LOAD_PIDS_MAX = 8 };

/* What the clients do. */
enum load_mode { LOAD_UPLOAD, LOAD_PULL, LOAD_POST };

/* Texts borrow from argv. */
struct load_options {
    enum load_mode mode;
    const char *host;
    uint16_t port;
    unsigned clients;
    const char *tokens_path;     /* upload, pull: one token a line, one line a client */
    const char *device;          /* client i is the device "<device>-<i>" */
    unsigned changes;            /* upload: in each request */
    const char *body_path;       /* post: the body of every request, one line */
    const char *targets_path;    /* pull, post: one request target a line, one line a client */
    const char *accept;          /* pull: Accept, or NULL */
    const char *accept_encoding; /* pull: Accept-Encoding */
    const char *count;           /* pull, post: a text that stands `expect` times in each body */
    unsigned expect;             /* pull, post: records in each answer */
    unsigned warm_ms, measure_ms;
    uint64_t requests_max; /* a bound on the measured requests */
    uint64_t each;         /* if not 0: so many requests a client and no warm-up */
    int pids[LOAD_PIDS_MAX];
    unsigned pid_count;
};

/* Reads the command line. On a fault prints one line on stderr and returns false. */
bool load_options_read(int argc, char **argv, struct load_options *ret_options);

#endif
