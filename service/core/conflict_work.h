/* Conflict work: what resolving, settling and taking back have in common. For the files of
 * core/conflict_ only. Pure. */
#ifndef SERVICE_CORE_CONFLICT_WORK_H
#define SERVICE_CORE_CONFLICT_WORK_H

#include "service/core/conflict_hold.h"
#include "service/core/merge.h"
#include "service/core/write_build.h"

/* A conflict on its way to another state. */
struct conflict_work {
    const struct user_view *view;
    const struct conflict *before; /* as it was loaded */
    const struct batch_context *context;
    struct write_build build;
    struct record_state state;
    struct conflict_hold hold;
};

/* What is done to a conflict, `conflict` being changed. */
typedef enum sync_status conflict_step(struct conflict_work *work, const void *request,
                                       struct conflict *conflict);

/* Does it with what was loaded for conflict_touch; `request` is the step's. What comes of it lives
 * in the arena. Of no step, the conflict and its record as they are, and nothing to write. */
enum sync_status conflict_run(const struct user_view *view, const struct conflict *conflict,
                              const struct batch_context *context, struct arena *arena,
                              conflict_step *step, const void *request, struct write_set *ret_set,
                              struct conflict *ret_conflict, struct record *ret_record);

/* What the conflict's record is before anything is done. */
struct record_state conflict_record(const struct user_view *view, const struct conflict *conflict);

/* A record as it shall be. */
struct conflict_target {
    bool is_kept; /* as it is */
    bool deleted;
    struct slice document; /* unless kept or deleted */
};

/* Makes the record so, unless it is already, by a change without device. */
enum sync_status conflict_write(struct conflict_work *work, const struct conflict *conflict,
                                const struct conflict_target *target);

/* Merges two documents that became of one, of fields that both changed by the strategy alone; of
 * the input only the documents count. */
enum sync_status conflict_combine(const struct conflict *conflict, const struct merge_input *sides,
                                  enum conflict_strategy strategy, struct arena *arena,
                                  struct merge_result *ret_merged);

/* What the client's side was made of, as far as anybody knows. */
struct slice conflict_client_base(const struct conflict *conflict);

/* Makes the conflict show the record as it is. The client's side follows where it is the server's
 * with the change. SYNC_ERR_NO_MEMORY, SYNC_ERR_CORRUPT. */
enum sync_status conflict_see(struct conflict *conflict, const struct record_state *state,
                              struct arena *arena);

/* Stores a conflict that has just been resolved: it moves, has no deadline any more, and lets go of
 * what it held, which is applied. */
enum sync_status conflict_close(struct conflict_work *work, struct conflict *conflict);

/* Which side's the record has become. */
enum resolution conflict_taken(const struct conflict *conflict, const struct record *record);

#endif
