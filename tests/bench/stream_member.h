/* Stream member: one device with a live Sync stream, on a loop that many share. */
#ifndef TESTS_BENCH_STREAM_MEMBER_H
#define TESTS_BENCH_STREAM_MEMBER_H

#include "base/limits.h"
#include "client/stub/call.h"
#include "tests/bench/stream_batch.h"

enum { STREAM_CURSOR_MAX = 512 };

struct stream_member;

/* What a member tells, from its callbacks. */
struct stream_events {
    void (*live)(struct stream_member *member); /* it has caught up: once */
    void (*outcomes)(struct stream_member *member, size_t count);
    void (*records)(struct stream_member *member, size_t count);
    void (*ended)(struct stream_member *member, const struct stub_status *status);
};

/* In the caller's memory, zeroed but for the first ones. */
struct stream_member {
    struct stub_channel *channel;
    struct stub_loop *loop;
    const char *token; /* borrowed */
    const struct stream_events *events;
    void *context;
    char device[32];
    /* ---- for reading */
    bool is_live;
    unsigned in_flight; /* batches without outcomes */
    uint64_t sent_us;   /* for the caller: when its change was sent */
    uint64_t reopen_us; /* for the caller: when to open it again; 0: not */
    /* ---- the member's own */
    struct stub_call *call;
    bool is_sending, wants_acknowledgement;
    char cursor[STREAM_CURSOR_MAX];
    int64_t batch_number;
    struct stream_batch *waiting; /* a batch to be sent once the transport is free */
};

/* Opens the stream and says hello; `live` follows. False when it cannot even begin. */
bool stream_member_open(struct stream_member *member);

/* Sends a batch; the one before has been taken by the transport (stream_member_may_send). The batch
 * is stamped and packed before the transport gets it. */
void stream_member_send(struct stream_member *member, struct stream_batch *batch);
bool stream_member_may_send(const struct stream_member *member);

/* Cancels and closes; it may be opened again. */
void stream_member_close(struct stream_member *member);

#endif
