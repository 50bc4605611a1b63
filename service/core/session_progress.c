#include "service/core/session_progress.h"

#include <assert.h>

enum {
    SAMPLE_US = 50 * 1000,        /* shorter ones join the next */
    RATE_MEMORY_US = 3 * 1000000, /* time constant of the average */
    TRUST_HALF_US = 4 * 1000000,  /* observed for so long: half the confidence */
    CHANGE_BYTES_GUESS = 512,     /* of a change, before the first */
};

static const uint64_t ITEMS_UP_MAX = 1000 * 1000 * 1000;
static const uint64_t TIME_LEFT_MAX_US = UINT64_C(24) * 3600 * 1000000;

/* Brings the totals and the percent up to what is known. */
static void progress_settle(struct session_progress *progress) {
    uint64_t items_done = progress->items_up + progress->items_down;
    uint64_t bytes_done = progress->bytes_up + progress->bytes_down;
    uint64_t up_left = progress->items_up_total > progress->items_up
                           ? progress->items_up_total - progress->items_up
                           : 0;
    uint64_t change_bytes =
        progress->items_up > 0 ? progress->bytes_up / progress->items_up : CHANGE_BYTES_GUESS;
    progress->items_total = items_done + up_left + progress->items_down_left;
    progress->bytes_total = bytes_done + up_left * change_bytes + progress->bytes_down_left;
    if (progress->is_finished) {
        progress->items_total = items_done;
        progress->bytes_total = bytes_done;
        progress->percent = 100;
        return;
    }
    double share =
        progress->bytes_total > 0 ? (double)bytes_done / (double)progress->bytes_total : 0;
    int percent = share < 1 ? (int)(share * 100) : 99;
    if (percent > 99)
        percent = 99;
    if (percent > progress->percent)
        progress->percent = percent;
    assert(progress->percent >= 0 && progress->percent < 100);
}

/* Closes the running sample when it is long enough. */
static void progress_sample(struct session_progress *progress, uint64_t now_us) {
    uint64_t bytes_done = progress->bytes_up + progress->bytes_down;
    if (now_us < progress->sample_us + SAMPLE_US)
        return;
    double span = (double)(now_us - progress->sample_us);
    double rate = (double)(bytes_done - progress->sample_bytes) * 1e6 / span;
    double weight = progress->observed_us == 0 ? 1 : span / (span + RATE_MEMORY_US);
    double difference = rate - progress->rate;
    progress->variance =
        progress->observed_us == 0
            ? 0
            : (1 - weight) * (progress->variance + weight * difference * difference);
    progress->rate += weight * difference;
    progress->observed_us += now_us - progress->sample_us;
    progress->sample_us = now_us;
    progress->sample_bytes = bytes_done;
}

void session_progress_begin(struct session_progress *progress, uint64_t items_up_total,
                            uint64_t now_us) {
    assert(progress);
    *progress = (struct session_progress){
        .items_up_total = items_up_total < ITEMS_UP_MAX ? items_up_total : ITEMS_UP_MAX,
        .sample_us = now_us,
    };
    progress_settle(progress);
}

void session_progress_expect(struct session_progress *progress, uint64_t items_left,
                             uint64_t bytes_left) {
    assert(progress);
    progress->items_down_left = items_left;
    progress->bytes_down_left = bytes_left;
    progress_settle(progress);
}

void session_progress_uploaded(struct session_progress *progress, uint64_t items, uint64_t bytes,
                               uint64_t now_us) {
    assert(progress);
    progress->items_up += items;
    progress->bytes_up += bytes;
    progress_sample(progress, now_us);
    progress_settle(progress);
}

void session_progress_downloaded(struct session_progress *progress, uint64_t items, uint64_t bytes,
                                 uint64_t now_us) {
    assert(progress);
    progress->items_down += items;
    progress->bytes_down += bytes;
    progress_sample(progress, now_us);
    progress_settle(progress);
}

void session_progress_rest(struct session_progress *progress, uint64_t now_us) {
    assert(progress);
    if (now_us > progress->sample_us)
        progress->sample_us = now_us;
}

void session_progress_finish(struct session_progress *progress) {
    assert(progress);
    progress->is_finished = true;
    progress_settle(progress);
    assert(progress->percent == 100);
}

void session_progress_look(const struct session_progress *progress,
                           struct session_progress_view *ret_view) {
    assert(progress && ret_view);
    struct session_progress_view view = {
        .items_done = progress->items_up + progress->items_down,
        .items_total = progress->items_total,
        .bytes_done = progress->bytes_up + progress->bytes_down,
        .bytes_total = progress->bytes_total,
        .percent = progress->percent,
    };
    double rate = progress->rate;
    if (progress->is_finished) {
        view.has_time_left = true;
        view.confidence = 1;
    } else if (rate > 0) {
        double spread = progress->variance / (rate * rate);
        double left = (double)(view.bytes_total - view.bytes_done) * 1e6 / rate;
        view.has_time_left = true;
        view.time_left_us = left < (double)TIME_LEFT_MAX_US ? (uint64_t)left : TIME_LEFT_MAX_US;
        view.confidence = (double)progress->observed_us /
                          (double)(progress->observed_us + TRUST_HALF_US) / (1 + spread);
    }
    *ret_view = view;
}
