#include "gateway/upstream_board.h"

#include <string.h>

void upstream_board_init(struct upstream_board *board) {
    memset(board, 0, sizeof(*board));
    pthread_mutex_init(&board->lock, NULL);
}

void upstream_board_done(struct upstream_board *board) {
    pthread_mutex_destroy(&board->lock);
}

upstream_notice *upstream_board_notice(struct upstream_board *board,
                                       const struct address *backend) {
    size_t index = 0;
    pthread_mutex_lock(&board->lock);
    size_t known = board->count < UPSTREAM_NOTICES_MAX ? board->count : UPSTREAM_NOTICES_MAX;
    while (index < known && !address_equal(&board->addresses[index], backend))
        index++;
    if (index == known) {
        index = board->count++ % UPSTREAM_NOTICES_MAX;
        board->addresses[index] = *backend;
    }
    pthread_mutex_unlock(&board->lock);
    return &board->notices[index];
}
