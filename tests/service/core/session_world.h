/* A small world around one session after another: a user's data with others who change them, a
 * service that answers the session's requests in its own time, and a device that keeps records. All
 * in memory, all by chance of one seed. It ends the process with a sentence where something does
 * not hold. */
#ifndef TESTS_SERVICE_CORE_SESSION_WORLD_H
#define TESTS_SERVICE_CORE_SESSION_WORLD_H

#include "base/memory.h"
#include "service/core/session.h"
#include "service/core/session_private.h"

enum {
    WORLD_RECORDS = 24,
    WORLD_LOG_MAX = 4096,
    WORLD_CHANGES_MAX = 1024,
    WORLD_PIPE_MAX = 64,
    WORLD_SENDS_MAX = 4096,
    WORLD_BATCH_MAX = 5,
    WORLD_EPOCH = 3,
};

/* One applied change: what the record is after it. */
struct world_entry {
    uint32_t record, value;
    bool is_deleted;
};

/* A record as somebody holds it. */
struct world_record {
    bool exists; /* false: never was */
    bool is_deleted;
    uint64_t version;
    uint32_t value;
};

/* The store; the log's index is the sequence. */
struct world_store {
    struct world_entry log[WORLD_LOG_MAX];
    uint64_t head, floor;
    uint64_t settled[WORLD_CHANGES_MAX]; /* by change: the version it made, 0: not yet */
};

/* A change that the device made offline. */
struct world_change {
    uint32_t record, value;
    bool is_deleted;
    enum { CHANGE_WAITS, CHANGE_IN_FLIGHT, CHANGE_SETTLED } state;
};

/* A batch that the device has sent in this session. */
struct world_batch {
    int64_t id;
    uint32_t changes[WORLD_BATCH_MAX];
    size_t count;
};

struct world_device {
    struct world_record records[WORLD_RECORDS];
    data_type_set types;
    char cursor[SESSION_CURSOR_TEXT_MAX];
    bool has_plain;
    uint64_t plain; /* the last plain cursor */
    struct world_change changes[WORLD_CHANGES_MAX];
    uint32_t change_count;
    /* of this session */
    struct world_batch in_flight[WORLD_PIPE_MAX];
    size_t in_flight_count;
    int64_t next_batch_id;
    int32_t batches_max;
    bool is_live, is_paused, is_welcome, has_left, has_completed, wants_token;
    int percent;
    uint64_t received; /* messages */
};

/* An answer in the making: `is_made` once the store was read or written for it. */
struct world_answer {
    bool is_made, is_refused;
    struct session_answer answer;
    PB(Record) records[WORLD_RECORDS], *record_list[WORLD_RECORDS];
    PB(ChangeResult) results[WORLD_BATCH_MAX], *result_list[WORLD_BATCH_MAX];
    uint8_t data[WORLD_RECORDS][128];
    char ids[WORLD_RECORDS][8], conflict_ids[WORLD_BATCH_MAX][16];
};

struct world {
    uint64_t random;
    struct world_store store;
    struct world_device device;
    /* of this session */
    struct session *session;
    struct session_time now;
    struct session_settings settings;
    uint64_t bandwidth_limit, credit_max;
    bool wants_message, is_sending, has_ended, was_cut;
    struct sync_error error;
    const struct session_request *asked[SESSION_REQUEST_KINDS];
    struct world_answer answers[SESSION_REQUEST_KINDS];
    struct slice up[WORLD_PIPE_MAX]; /* on the way to the service, owned */
    size_t up_count;
    bool has_half_closed;
    PB(SyncResponse) *down[WORLD_PIPE_MAX]; /* on the way to the device */
    size_t down_count;
    bool lap_is_exact;
    struct checksum lap_checksum;
    struct {
        uint64_t at_us, bytes;
    } sends[WORLD_SENDS_MAX];
    size_t send_count;
    uint64_t largest_bytes, largest_records;
    /* what was seen, to know that the test tests something */
    uint64_t sessions, completes, cursors_in_outcomes, lap_resumes, resyncs, duplicates, checksums;
};

/* Below `below`, by chance. */
uint32_t world_pick(struct world *world, uint32_t below);

/* An empty world. */
void world_init(struct world *world, uint64_t seed);

/* The device opens a session; the last one is over. Without chance: a live one, without limits. */
void world_begin(struct world *world, bool by_chance);

/* One thing happens, by chance: others commit, time passes, messages move, answers come. */
void world_step(struct world *world);

/* Nothing new happens; what is under way goes on until nothing does. */
void world_settle(struct world *world);

/* The session is over, as it ended or by a cut. */
void world_end(struct world *world);

/* ---- session_world_store.c */

struct world_record world_record_at(const struct world_store *store, uint32_t record,
                                    uint64_t sequence);
struct checksum world_checksum_at(const struct world_store *store, uint64_t sequence);
struct checksum world_element(uint32_t record, uint32_t value);
enum data_type world_type(uint32_t record);
/* Somebody changes a record. */
void world_commit(struct world *world, struct world_entry entry);
/* Reads or writes for a request that was asked: its answer is then as of now. */
void world_make_answer(struct world *world, enum session_request_kind kind);

/* ---- session_world_device.c */

/* The device takes a message. */
void world_receive(struct world *world, const PB(SyncResponse) *message);
/* The device says something, or nothing. */
void world_speak(struct world *world);
/* Says this. */
void world_say(struct world *world, const PB(SyncRequest) *request);

/* Of the world in work: for whom it may concern. */
extern uint64_t world_seed;

/* Ends the process when it does not hold. */
#define WORLD_HOLDS(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %llu: %s:%d: does not hold: %s\n",                               \
                    (unsigned long long)world_seed, __FILE__, __LINE__, #condition);               \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
