/* Stream options: what stream_load is told on its command line. */
#ifndef TESTS_BENCH_STREAM_OPTIONS_H
#define TESTS_BENCH_STREAM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    STREAM_MEMBERS_MAX = 50000,
    STREAM_CHANNELS_MAX = 128,
    STREAM_PIDS_MAX = 8,
    STREAM_BATCH_MAX = 1000,
};

enum stream_mode {
    STREAM_IDLE,    /* open streams and leave them alone */
    STREAM_LATENCY, /* a change on one device, its arrival on the user's other one */
    STREAM_UPLOAD,  /* batches on streams, up to four in flight on each */
    STREAM_UNARY,   /* batches by UploadChanges, one in flight from each client */
};

/* Texts borrow from argv. */
struct stream_options {
    enum stream_mode mode;
    const char *target;
    const char *tokens_path; /* a line a user */
    unsigned members;        /* devices with a stream, or clients */
    unsigned devices;        /* of a user */
    unsigned channels;       /* connections */
    unsigned changes;        /* of a batch: uploads */
    unsigned rate;           /* latency: changes a second by other users, beside it */
    unsigned seconds, settle_seconds;
    bool is_herd; /* all open at once */
    int pids[STREAM_PIDS_MAX];
    unsigned pid_count;
};

/* Reads the command line. On a fault prints one line on stderr and returns false. */
bool stream_options_read(int argc, char **argv, struct stream_options *ret_options);

#endif
