/* The simulation, inside: a user's data in a store that fails, several devices of his with clocks
 * and networks of their own, and services that write too. What the files sim_*.c share; the rest of
 * the world sees simulation.h.
 *
 * Nothing happens but in a step; each step has its own random numbers, made of the seed and the
 * step's number, so that a step that is left out leaves the others as they were. */
#ifndef TESTS_SIMULATION_SIM_H
#define TESTS_SIMULATION_SIM_H

#include <setjmp.h>

#include "service/core/conflict.h"
#include "service/core/record_put.h"
#include "service/core/session.h"
#include "service/rpc/lap.h"
#include "service/rpc/messages.h"
#include "service/store/store.h"
#include "tests/simulation/record_shape.h"
#include "tests/simulation/sim_random.h"
#include "tests/simulation/simulation.h"
#include "tests/simulation/strike_store.h"

enum {
    SIM_DEVICES_MAX = 4,
    SIM_RECORDS = 8,
    SIM_CHANGES_MAX = 1500,
    SIM_VERSIONS_MAX = 4000,
    SIM_CONFLICTS_MAX = 1500,
    SIM_QUEUE_MAX = 24,
    SIM_BATCH_MAX = 6,
    SIM_NET_MAX = 48,
    SIM_JOBS_MAX = 12,
    SIM_PIPE_MAX = 64,
    SIM_IN_FLIGHT_MAX = 8,
    SIM_ATTEMPTS_MAX = 12,
    SIM_RANGES_MAX = 32,
};

/* ---- What happened, apart from the store: sim_ledger.c */

/* A record after one change. */
struct sim_version {
    uint64_t sequence, previous; /* previous: of the record; 0: none */
    uint32_t record;
    enum change_kind kind;
    bool deleted;
    bool is_whole; /* its device had it so, as nobody had come between */
    struct slice document, device;
    int64_t corrected_us, commit_us;
};

/* A record as somebody holds it. */
struct sim_copy {
    bool found, deleted;
    uint64_t version;
    struct slice document;
};

/* A change that a device made. */
struct sim_change {
    uint32_t number, device, record;
    enum change_kind kind;
    struct slice data;       /* canonical */
    struct slice operations; /* packed, of an update that is sent as such: the same as data */
    struct slice before;     /* what the device had, */
    bool is_apart;           /* and it is not made of what it says that it is based on */
    int64_t device_us;
    uint64_t base_version;
    char id[16], data_id[16];
    PB(Change) message;
    /* by the ledger, once it is durable */
    bool is_settled, is_blocked;
    bool
        is_forgotten; /* retention may have removed its outcome: sent again, it is another change */
    bool is_trimmed;  /* the same, though where it waits in the inbox it is known by that */
    bool has_waited;  /* it once was known by nothing else */
    int64_t settled_us;
    enum change_outcome outcome;
    uint64_t version, entry;             /* entry: its sequence in the log; 0: none */
    enum change_outcome earlier_outcome; /* before it was forgotten */
    uint64_t earlier_version;
    char conflict_id[UUID_TEXT_SIZE + 1];
    bool is_held, was_held, is_released; /* it waits, or waited, in the service */
    uint64_t held_base;                  /* what it is based on; of a released one, in the end */
    char behind[UUID_TEXT_SIZE + 1];     /* the conflict that it waits behind */
    /* what the device heard */
    bool is_acknowledged;
};

/* A conflict in the inbox. */
struct sim_conflict {
    char id[UUID_TEXT_SIZE + 1];
    bool is_open, is_gone;   /* gone: retention may have removed it */
    uint32_t device, record; /* device SIM_DEVICES_MAX: a service's */
    uint32_t change;         /* number; SIM_CHANGES_MAX: a service's */
    int64_t resolved_us;
};

struct sim_ledger {
    struct user_head head;
    struct sim_version versions[SIM_VERSIONS_MAX]; /* by sequence; 0 is nothing */
    uint64_t latest[SIM_RECORDS];                  /* version, 0: never was */
    struct sim_change *changes[SIM_CHANGES_MAX];
    uint32_t change_count;
    struct sim_conflict conflicts[SIM_CONFLICTS_MAX];
    uint32_t conflict_count;
};

/* ---- The service's work: sim_job.c */

/* What a device sends: some of its changes. */
struct sim_upload {
    uint32_t changes[SIM_BATCH_MAX];
    size_t count;
    bool has_acknowledged;
    uint64_t acknowledged;
    int64_t sent_us, clock_offset_us; /* one of both counts */
    bool is_stream;
};

enum sim_job_kind { JOB_UPLOAD, JOB_PUT, JOB_RESOLVE };

/* Something that reads, and a step later writes. */
struct sim_job {
    bool is_used, is_ready; /* ready: `set` waits for its commit */
    enum sim_job_kind kind;
    struct sim_random random;
    int64_t begun_us;
    int attempts;
    struct arena arena;
    struct write_set set;
    /* an upload */
    struct sim_upload upload;
    uint32_t device;
    uint64_t request; /* of a device's call */
    struct sim_stream *stream;
    struct change *changes;
    struct change_result *results;
    uint64_t acknowledged; /* that counted */
    struct user_head before;
    int64_t read_us, forgotten_us; /* when it read; changes from before that may be forgotten */
    /* a put */
    struct record_put_batch puts;
    char request_id[16];
    /* a resolution */
    uint32_t conflict; /* number */
    bool is_undo;      /* a resolution is taken back */
    bool is_settling;  /* its deadline may have come */
    struct resolution_request resolution;
    struct conflict resolved;
    struct record record;
    size_t held_before; /* changes that an earlier resolution had let go */
};

/* ---- The network of calls: sim_call.c */

enum sim_call_kind { CALL_UPLOAD, CALL_PULL, CALL_AUDIT, CALL_PART };

/* What became of one change, on its way to a device. */
struct sim_result {
    uint32_t change;
    enum change_outcome outcome;
    uint64_t version;
};

/* A record on its way to a device. */
struct sim_item {
    uint32_t record;
    bool deleted;
    enum patch_form form; /* NONE: the data are the record's own */
    uint64_t version;
    struct slice data; /* or patch; operations are packed */
};

struct sim_pull {
    bool has_from, container, download;
    enum patch_form patches; /* wanted */
    uint64_t from;
};

/* A range that an audit asks about; type 0: all of all types. */
struct sim_range {
    enum data_type type;
    struct slice from, to;
    size_t parts;
};

/* A call or its answer. */
struct sim_message {
    bool is_answer;
    enum sim_call_kind kind;
    uint32_t device;
    uint64_t request;
    int64_t sent_us; /* by the service's clock */
    struct sim_upload upload;
    struct sim_pull pull;
    struct sim_range range;
    const struct sim_bundle *bundle; /* to be downloaded; of an answer to a pull, too */
    size_t offset;
    /* an answer */
    enum sync_status status;
    bool must_resync;
    const struct sim_result *results;
    size_t result_count;
    const struct sim_item *items;
    size_t item_count;
    uint64_t sequence;
    struct checksum checksum;
    const PB(AuditRangeResponse) *audit;
    struct slice part; /* of the bundle, from the offset */
    bool is_damaged;   /* the part is */
};

/* A container that the service keeps, and the answer that it stands for. */
struct sim_bundle {
    struct slice bytes;
    struct sim_message answer;
};

/* A container on its way to a device. */
struct sim_download {
    const struct sim_bundle *bundle; /* NULL: there is none */
    uint8_t *bytes;
    size_t size; /* that have come */
    bool is_damaged;
};

/* ---- Streams: sim_stream.c, and the device's end in sim_stream_device.c */

struct sim_stream {
    struct session *session; /* NULL: none is open */
    uint32_t device;
    bool wants_message, is_sending, has_ended;
    const struct session_request *asked[SESSION_REQUEST_KINDS];
    struct sim_job *job; /* that applies a batch */
    struct lap lap;
    struct slice up[SIM_PIPE_MAX]; /* packed, in the world's arena */
    size_t up_count;
    bool has_half_closed;
    PB(SyncResponse) *down[SIM_PIPE_MAX];
    size_t down_count;
    /* the device's end */
    bool is_welcome, has_left, is_live, has_completed;
    int64_t next_batch;
    size_t batches_max;
    struct sim_upload in_flight[SIM_IN_FLIGHT_MAX];
    size_t in_flight_count;
};

/* ---- Devices: sim_device.c */

struct sim_device {
    uint32_t number;
    char id[16];
    int64_t offset_us;                  /* its clock minus the service's */
    bool is_implicit;                   /* it sends no base versions */
    bool is_trusting;                   /* what is held it sends no more */
    struct sim_copy held[SIM_RECORDS];  /* as the service had them */
    struct sim_copy local[SIM_RECORDS]; /* with what it changed itself */
    uint32_t queue[SIM_QUEUE_MAX];      /* numbers of changes, oldest first */
    uint32_t queue_count;
    bool in_flight[SIM_QUEUE_MAX]; /* parallel: sent on the stream, no outcome yet */
    char cursor[SESSION_CURSOR_TEXT_MAX];
    bool has_plain;
    bool is_exact; /* its cursor is plain: it holds just what there was at `plain` */
    uint64_t plain, plain_max;
    uint64_t request; /* of the call that it waits for; 0: none */
    uint64_t asked_us;
    struct sim_stream stream;
    uint32_t resyncs;
    struct sim_download download;
    uint32_t damaged; /* records of which its disk may lie: bits */
    bool wants_audit; /* a checksum has shown it */
    struct sim_range audits[SIM_RANGES_MAX];
    size_t audit_count; /* ranges that differ */
};

/* ---- All of it */

/* What a seed's world is like: chosen once. */
struct sim_nature {
    uint32_t devices, records, streams_percent, drop, duplicate, strike, crash, trims, puts, skewed;
    enum conflict_strategy strategy;
    uint32_t document_percent;
    uint32_t delete_in; /* one change of so many deletes */
    bool damages;       /* disks of devices lie */
    uint32_t kept_s;    /* what is older is removed, and judged as such; 0: by chance, and is not */
};

struct sim_world {
    const struct sim_options *options;
    struct sim_random *random; /* of the step */
    struct sim_nature nature;
    struct policy_set policies; /* with deadlines that come within hours */
    struct arena arena;         /* of all that lives as long as the world */
    struct store *store;
    struct strike_hand hand;
    struct random_source ids;
    struct sim_random id_random;
    int64_t now_us, retained_us; /* retained: what is younger was never removed */
    uint64_t monotonic_us;
    uint32_t step;
    bool is_quiet;      /* no faults any more */
    bool has_crashed;   /* at a step of the store: all work is lost */
    struct sim_job *at; /* the job whose commit is under way */
    struct sim_ledger ledger;
    struct sim_device devices[SIM_DEVICES_MAX];
    const struct record_shape *shapes[SIM_RECORDS];
    struct sim_message net[SIM_NET_MAX];
    size_t net_count;
    struct sim_job jobs[SIM_JOBS_MAX];
    uint64_t next_request;
    uint32_t puts;
    jmp_buf *escape;
    struct sim_report *report;
};

static const struct slice SIM_USER = SLICE("u");

/* Ends the run: what must hold does not. */
_Noreturn void sim_violate(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line of the story, when it is told. */
void sim_tell(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#define SIM_HOLDS(world, condition, ...)                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            sim_violate((world), __VA_ARGS__);                                                     \
    } while (0)

/* A document as JSON, cut, for a story. */
const char *sim_text(struct sim_world *world, struct slice document);

/* Memory of the world's; never NULL. */
void *sim_alloc(struct sim_world *world, size_t size);
struct slice sim_keep(struct sim_world *world, struct slice bytes);

/* The form in which a device wants patches: every other knows operations. */
enum patch_form sim_patch_form(const struct sim_device *device);

/* Appends an operation's message to an item whose patch is operations. */
void sim_item_add_operation(struct sim_world *world, struct sim_item *item, struct slice message);

/* Says an update by operations, unless they would be too many, or it changes nothing. Its data
 * become just what it changed. */
void sim_change_to_operations(struct sim_world *world, struct sim_change *change);

/* Whether all operations of an update lead somewhere in a document. */
bool sim_change_applies(struct sim_world *world, const struct sim_change *change,
                        struct slice document);

/* What an update makes of a document; the same document where it makes nothing. */
struct slice sim_change_apply(struct sim_world *world, const struct sim_change *change,
                              struct slice document);

/* What an item makes of the document that a device holds. What its disk has lost, `is_damaged`, may
 * be such that it makes nothing: the document stays, until an audit brings it back. */
struct slice sim_item_apply(struct sim_world *world, const struct sim_item *item,
                            struct slice document, bool is_damaged);

static inline uint32_t world_pick(struct sim_world *world, uint32_t below) {
    return sim_pick(world->random, below);
}

/* The type, and the key, of a record; and the record of a key. */
enum data_type sim_record_type(uint32_t record);
struct record_key sim_record_key(uint32_t record);
uint32_t sim_record_number(struct sim_world *world, const struct record_key *key);

/* The sum over copies, as a device makes it. */
struct checksum sim_copies_sum(struct sim_world *world, const struct sim_copy *copies);

/* Ledger, of what waits behind conflicts: sim_held.c. */
void sim_held_note(struct sim_world *world, const struct sim_job *job, struct sim_change *change,
                   const struct change_result *result);
void sim_held_released(struct sim_world *world, struct sim_job *job, const struct write_set *set,
                       uint64_t sequence);
bool sim_held_any(const struct sim_ledger *ledger);
/* Ledger: the parts that both share. */
void sim_ledger_settle(struct sim_world *world, struct sim_change *change,
                       const struct change_result *result, uint64_t entry);
uint64_t sim_ledger_entry(struct sim_world *world, const struct write_set *set,
                          const struct sim_change *change);
/* Ledger: a change whose outcome may be removed is forgotten, unless it waits for the user. */
void sim_ledger_forget(const struct sim_ledger *ledger, struct sim_change *change);
/* Ledger: takes what was written, with the outcomes of the job that wrote it. */
void sim_ledger_written(void *context, const struct write_set *set, const struct user_head *head);
/* The record as of a sequence. */
struct sim_copy sim_ledger_image(const struct sim_ledger *ledger, uint32_t record,
                                 uint64_t sequence);
/* What a device told of its changes must be what is durable. */
void sim_ledger_check_result(struct sim_world *world, const struct sim_result *result);
/* The store must hold just what the ledger does. */
void sim_ledger_check_store(struct sim_world *world);
/* Chooses the operator's policies: those that ship, or others by chance; with deadlines that come
 * while devices are still at it. */
void sim_policies_choose(struct sim_world *world);
/* The policy of a path, by the rules and apart from the core. */
enum field_policy sim_policy_of(const struct sim_world *world, enum data_type type,
                                const struct slice *path, size_t depth);

/* Retention: removes of log, settled changes and resolved conflicts what is older than a time by
 * chance, but nothing that a call under way began after. */
void sim_retention_step(struct sim_world *world);

/* Jobs. */
struct sim_job *sim_job_start(struct sim_world *world, enum sim_job_kind kind);
void sim_job_step(struct sim_world *world, struct sim_job *job);
void sim_job_drop(struct sim_job *job);
bool sim_put_start(struct sim_world *world);
bool sim_resolve_start(struct sim_world *world);

/* Calls. */
void sim_call_upload(struct sim_world *world, struct sim_device *device);
void sim_call_pull(struct sim_world *world, struct sim_device *device);
void sim_net_put(struct sim_world *world, const struct sim_message *message);
struct sim_message sim_call_begin(struct sim_world *world, struct sim_device *device,
                                  enum sim_call_kind kind);
/* A device takes what it pulled. */
void sim_device_pulled(struct sim_world *world, struct sim_device *device,
                       const struct sim_message *answer);
bool sim_net_step(struct sim_world *world);
void sim_answer_upload(struct sim_world *world, const struct sim_job *job, enum sync_status status);

/* Devices. */
bool sim_device_edit(struct sim_world *world, struct sim_device *device);
/* Chooses what to send next; false: nothing. */
bool sim_device_choose(struct sim_world *world, struct sim_device *device,
                       struct sim_upload *ret_upload);
void sim_device_settle(struct sim_world *world, struct sim_device *device,
                       const struct sim_result *result);
void sim_device_hold(struct sim_world *world, struct sim_device *device, uint32_t record,
                     struct sim_copy copy);
void sim_device_forget(struct sim_world *world, struct sim_device *device);
void sim_device_take(struct sim_world *world, struct sim_device *device,
                     const struct sim_item *item);
void sim_device_check_at(struct sim_world *world, struct sim_device *device, uint64_t sequence);
void sim_device_check_sum(struct sim_world *world, struct sim_device *device, struct checksum told);
void sim_device_keep_cursor(struct sim_world *world, struct sim_device *device, const char *text);
/* Whether it holds changes whose base only what it has acknowledged can tell. */
bool sim_device_is_tied(const struct sim_world *world, const struct sim_device *device);

/* Audits. */
void sim_device_damage(struct sim_world *world, struct sim_device *device);
void sim_call_audit(struct sim_world *world, struct sim_device *device);
void sim_audit_arrived(struct sim_world *world, const struct sim_message *message);
void sim_device_audited(struct sim_world *world, struct sim_device *device,
                        const struct sim_message *answer);

/* Containers, and their downloads. */
struct bundle_source;
struct slice sim_container_write(struct sim_world *world, const struct bundle_source *source);
/* Reads the items of an answer; false: the container is damaged. */
bool sim_container_read(struct sim_world *world, struct slice container,
                        struct sim_message *answer);
void sim_download_offer(struct sim_world *world, struct sim_message *answer,
                        const struct bundle_source *source);
void sim_download_begin(struct sim_world *world, struct sim_device *device,
                        const struct sim_message *answer);
void sim_call_part(struct sim_world *world, struct sim_device *device);
void sim_part_arrived(struct sim_world *world, const struct sim_message *message);
void sim_download_take(struct sim_world *world, struct sim_device *device,
                       const struct sim_message *answer);

/* Streams. */
void sim_stream_open(struct sim_world *world, struct sim_device *device);
bool sim_stream_step(struct sim_world *world, struct sim_stream *stream);
void sim_stream_cut(struct sim_world *world, struct sim_stream *stream);
void sim_stream_committed(struct sim_world *world);
void sim_stream_time(struct sim_world *world);
void sim_stream_applied(struct sim_world *world, struct sim_job *job, enum sync_status status);
void sim_stream_receive(struct sim_world *world, struct sim_stream *stream,
                        const PB(SyncResponse) *message);
bool sim_stream_speak(struct sim_world *world, struct sim_stream *stream);

#endif
