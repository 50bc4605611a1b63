/* Conflicts as stored, and their resolution. Pure. */
#ifndef SERVICE_CORE_CONFLICT_H
#define SERVICE_CORE_CONFLICT_H

#include "service/core/change_batch.h"

enum conflict_type { /* numbers of travelsense.sync.v1.ConflictType; the client's side first */
                     CONFLICT_UPDATE_UPDATE = 1,
                     CONFLICT_UPDATE_DELETE = 2,
                     CONFLICT_DELETE_UPDATE = 3,
};

/* How a conflict is resolved; numbers of travelsense.sync.v1.Resolution. */
enum resolution { RESOLUTION_CLIENT = 1, RESOLUTION_SERVER = 2, RESOLUTION_MERGE = 3 };

/* However soon a record starts: the time that a user has at least to see a conflict about it. */
static const int64_t CONFLICT_NOTICE_US = INT64_C(3600000000);

/* How one field was decided without the user; slices are text. */
struct conflict_decision {
    struct slice field;    /* dotted path; empty: the whole record */
    struct slice reason;   /* "policy latest", "strategy merge" */
    enum resolution taken; /* RESOLUTION_MERGE: of both sides */
};

/* What became of a change that waited behind a conflict; slices borrow as the conflict's do. */
struct conflict_held {
    struct slice change_id;
    enum change_kind kind;
    struct slice outcome;    /* a packed travelsense.sync.v1.ChangeResult, as settled */
    struct slice data;       /* of one that was rejected: so it is not lost; */
    struct slice operations; /* or its packed operations */
};

/* A conflict. Documents are canonical; `has_` tells an empty one from none. One that was decided
 * without the user is resolved from the beginning, and has the decisions. */
struct conflict {
    struct slice id, user, device, change_id;
    uint8_t payload_hash[PAYLOAD_HASH_SIZE]; /* of the change; zero: unknown */
    struct record_key key;
    enum conflict_type type;
    bool has_base, has_client, has_server;
    /* Nobody knows what the client's change was made on: its side is the server's with the change.
     */
    bool is_on_server;
    struct slice base, client, server, suggested;
    struct slice *fields; /* dotted paths in dispute */
    size_t field_count;
    uint64_t server_version;
    int64_t detected_us, resolved_us; /* resolved_us 0: open */
    /* Of an open one: when it is settled unless somebody resolves it before, and how; 0: never. */
    int64_t resolve_by_us;
    enum deadline_action deadline_action;
    bool client_is_later;       /* the client's change, than the server's, by corrected time */
    enum resolution resolution; /* when resolved */
    struct slice merged;        /* when resolved by merge */
    uint64_t resolved_version;  /* the record's version after the resolution */
    struct conflict_decision *decisions;
    size_t decision_count;      /* 0: the user resolved it, or has to */
    struct conflict_held *held; /* what was applied when it was resolved */
    size_t held_count;
    /* One that was decided without the user is stored without its documents, so that a small change
     * of a large record stays small: as what they differ in from the record that it made. Until
     * conflict_expand the documents are empty. */
    bool is_lean;
    struct slice base_delta, client_delta, server_delta;
};

/* Packs a conflict for TABLE_CONFLICT, and reads it back; both live in the arena. */
enum sync_status conflict_pack(const struct conflict *conflict, struct arena *arena,
                               struct slice *ret_value);
enum sync_status conflict_unpack(struct slice value, struct arena *arena,
                                 struct conflict *ret_conflict);

/* Takes the documents' deltas from what the record was made, empty when deleted: before it is
 * packed for the first time. And gives a lean conflict its documents back, by the same. */
enum sync_status conflict_reduce(struct conflict *conflict, struct slice document,
                                 struct arena *arena);
enum sync_status conflict_expand(struct conflict *conflict, struct slice document,
                                 struct arena *arena);

/* The record as a resolution made it. */
struct conflict_image {
    bool is_known; /* false: the log does not reach back to it */
    bool deleted;
    bool has_ended;        /* it was deleted since; perhaps made anew */
    struct slice document; /* unless deleted */
};

/* Goes back to it from the record as it is, by its history after the conflict's resolved_version.
 * Memory from the arena. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_image_find(const struct conflict *conflict,
                                     const struct record_view *view, struct arena *arena,
                                     struct conflict_image *ret_image);

/* Gives a conflict that is about to be opened the deadline of its type: so long after now, or
 * before the record starts, but not within the first CONFLICT_NOTICE_US. */
void conflict_set_deadline(struct conflict *conflict, const struct policy_set *policies,
                           int64_t now_us);

/* The key in TABLE_CONFLICT_BY_USER of a user's open conflicts with a deadline, the soonest first:
 * of that one, or with an empty id what theirs begin with. It ends with the id. Memory from the
 * arena. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_deadline_key(struct slice user, int64_t resolve_by_us,
                                       struct slice conflict_id, struct arena *arena,
                                       struct slice *ret_key);

/* The index key in TABLE_CONFLICT_BY_USER. */
enum sync_status conflict_index_key(struct slice user, bool resolved, struct slice conflict_id,
                                    struct arena *arena, struct slice *ret_key);

/* The row of what a conflict holds back; false (`ret_row` untouched): it is a service's, which
 * holds nothing. Memory from the arena. SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_hold_row(const struct conflict *conflict, struct arena *arena,
                                   bool *ret_holds, struct row *ret_row);

/* What to load before a conflict is resolved, settled or a resolution taken back: its record, with
 * the history that what it holds back needs, or that came after the resolution, and that row.
 * `hold` is the row as loaded from the same state of the store; NULL where conflict_hold_row
 * answers none. Memory from the arena. SYNC_ERR_CORRUPT, SYNC_ERR_NO_MEMORY. */
enum sync_status conflict_touch(const struct conflict *conflict, const struct row *hold,
                                struct arena *arena, struct touched *ret_touched);

/* Adds the rows of a conflict: itself, and its place among the user's, open or resolved; of an open
 * one with a deadline also the row of when it is due and its place among those. */
struct write_build;
enum sync_status conflict_put(struct write_build *build, const struct conflict *conflict);

/* The same, of one that was in the other place. */
enum sync_status conflict_move(struct write_build *build, const struct conflict *conflict);

/* A resolution that a user asks for. */
struct resolution_request {
    enum resolution resolution;
    struct slice merged;       /* canonical; for RESOLUTION_MERGE */
    uint64_t expected_version; /* of the record; 0: any */
};

/* Resolves. `view` is what conflict_touch asks for; of the context the clock's offset does not
 * count. What was held back, by this conflict as the last, is applied behind it, and the conflict
 * tells what became of that. The same resolution of a
 * resolved conflict changes nothing (`ret_set` empty); another is SYNC_ERR_PRECONDITION, as is a
 * record that is not at expected_version. `ret_conflict` and `ret_record` are as after it. A
 * resolution is a change of the user's without device in the log.
 *
 * Without expected_version a record that moved on since the conflict showed it is not overwritten:
 * the conflict, still open, then shows it as it is now. */
enum sync_status conflict_resolve(const struct user_view *view, const struct conflict *conflict,
                                  const struct resolution_request *request,
                                  const struct batch_context *context, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct conflict *ret_conflict, struct record *ret_record);

/* Settles an open conflict whose deadline has come, as its deadline_action says; the decisions tell
 * it, and it can be taken back as any other. `view` is what conflict_touch asks for. What others
 * changed since the conflict showed the record stays: only what they left alone becomes as the
 * action says. What was held back goes on as after conflict_resolve. One that is not open, or not
 * due, is left (`ret_set` empty). */
enum sync_status conflict_settle(const struct user_view *view, const struct conflict *conflict,
                                 const struct batch_context *context, struct arena *arena,
                                 struct write_set *ret_set, struct conflict *ret_conflict,
                                 struct record *ret_record);

/* Takes a resolution, the user's or an automatic one, back: the record becomes what it was before,
 * but for the fields that were changed since, and the conflict is open, from now on without a
 * deadline: a user has looked at it. Its sides have what was changed since too, where they did not
 * change it themselves. An open one changes nothing (`ret_set` empty). `view` is what
 * conflict_touch asks for. SYNC_ERR_PRECONDITION: VERSION_MISMATCH when nothing of the resolution
 * is left, or the record was deleted or made anew since, or was brought back by it and changed
 * since; RESOLVED_LONG_AGO when the log does not reach back. SYNC_ERR_TOO_LARGE;
 * SYNC_ERR_EXHAUSTED when too many conflicts are open. */
enum sync_status conflict_undo(const struct user_view *view, const struct conflict *conflict,
                               int64_t now_us, struct arena *arena, struct sync_error *error,
                               struct write_set *ret_set, struct conflict *ret_conflict,
                               struct record *ret_record);

#endif
