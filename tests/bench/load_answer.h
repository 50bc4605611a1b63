/* Load answer: reads one HTTP/1.1 answer at a time from bytes as they come, with Content-Length or
 * chunked. It knows what the gateway writes, no more: no interim answers, no compression.
 *
 * Belongs to one thread. */
#ifndef TESTS_BENCH_LOAD_ANSWER_H
#define TESTS_BENCH_LOAD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

enum { LOAD_ANSWER_LINE_MAX = 64 << 10, LOAD_ANSWER_BODY_MAX = 256 << 20 };

/* Where an answer stands. */
enum load_answer_state {
    ANSWER_STATUS_LINE, /* next: HEADERS, BROKEN */
    ANSWER_HEADERS,     /* next: BODY, CHUNK_SIZE, DONE, BROKEN */
    ANSWER_BODY,        /* next: DONE */
    ANSWER_CHUNK_SIZE,  /* next: CHUNK_DATA, TRAILER, BROKEN */
    ANSWER_CHUNK_DATA,  /* next: CHUNK_END */
    ANSWER_CHUNK_END,   /* next: CHUNK_SIZE, BROKEN */
    ANSWER_TRAILER,     /* next: DONE */
    ANSWER_DONE,        /* the whole answer is there */
    ANSWER_BROKEN,      /* not HTTP as we know it, or no memory */
};

/* In the caller's memory; `state`, `status` and `body` are for reading. */
struct load_answer {
    enum load_answer_state state;
    unsigned status;
    struct buffer body;
    struct buffer line; /* one that has not ended yet */
    size_t left;        /* of the body, or of the chunk */
    bool chunked;
};

/* Prepares for a first answer; takes no memory. */
void load_answer_init(struct load_answer *answer);

/* Releases the body. */
void load_answer_done(struct load_answer *answer);

/* Prepares for the next answer; keeps the memory. */
void load_answer_next(struct load_answer *answer);

/* Reads `bytes`. Ends at ANSWER_DONE or ANSWER_BROKEN; returns how many bytes it took. */
size_t load_answer_feed(struct load_answer *answer, struct slice bytes);

/* How often `text`, which is not empty, stands in the body. */
size_t load_answer_count(const struct load_answer *answer, struct slice text);

#endif
