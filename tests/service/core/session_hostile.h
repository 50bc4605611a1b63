/* A session under a script of bytes: any bytes are one. What the device sends, when the transport
 * moves and what the service answers are all read from it. For tests by chance and for fuzzing. */
#ifndef TESTS_SERVICE_CORE_SESSION_HOSTILE_H
#define TESTS_SERVICE_CORE_SESSION_HOSTILE_H

#include <stdint.h>

#include "base/bytes.h"

/* Steps of a script: this byte, then what its comment says. Others are taken modulo the count. */
enum hostile_step {
    HOSTILE_MESSAGE, /* size (1 byte), a SyncRequest; left out if wire_check refuses it */
    HOSTILE_HELLO,   /* flags: 1 live, 2 a cursor, 4 delta, 8 little credit */
    HOSTILE_BATCH,   /* count of changes (1 byte); the number is the next */
    HOSTILE_ACK,     /* acknowledges the last cursor that was sent */
    HOSTILE_TOKEN,   /* sends a token */
    HOSTILE_PAUSE,   /* 0 resumes, 1 pauses, 2 says bye */
    HOSTILE_ANSWER,  /* kind, what (1 byte each): answers the request if it is asked */
    HOSTILE_SENT,    /* the transport has taken the message */
    HOSTILE_COMMIT,  /* how many (1 byte) */
    HOSTILE_TIME,    /* tenths of a second (1 byte) */
    HOSTILE_EVENT,   /* 0 half-close, 1 cancelled, 2 revoked, 3 superseded, 4 drained, 5 quota */
    HOSTILE_STEPS,
};

/* What a script has come to. */
struct hostile_outcome {
    bool has_ended;
    enum sync_status status; /* of the end */
    size_t messages;         /* sent to the device */
    size_t memory_bytes;     /* the most that the session held */
};

/* Runs a script and closes the session; ends the process when something does not hold. */
struct hostile_outcome hostile_run(struct slice script);

#endif
