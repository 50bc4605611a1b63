/* Upstream board: what the threads tell each other of backends, each of which has its own breaker
 * for them. Any thread. */
#ifndef GATEWAY_UPSTREAM_BOARD_H
#define GATEWAY_UPSTREAM_BOARD_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/address.h"

enum { UPSTREAM_NOTICES_MAX = 64 };

/* Failures in a row of calls to one backend, by whichever thread. */
typedef atomic_uint upstream_notice;

/* In the process's memory, and in that of nobody else. */
struct upstream_board {
    pthread_mutex_t lock; /* of addresses and count */
    struct address addresses[UPSTREAM_NOTICES_MAX];
    unsigned long count; /* of those that ever were */
    upstream_notice notices[UPSTREAM_NOTICES_MAX];
};

/* Prepares an empty board. */
void upstream_board_init(struct upstream_board *board);

/* Ends it. */
void upstream_board_done(struct upstream_board *board);

/* The notice of a backend, which lives as long as the board. Beyond the bound new backends share
 * those of the oldest. */
upstream_notice *upstream_board_notice(struct upstream_board *board, const struct address *backend);

#endif
