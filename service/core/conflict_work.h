/* Conflict work: what resolving, settling and taking back have in common. For the files of
 * core/conflict_ only. Pure. */
#ifndef SERVICE_CORE_CONFLICT_WORK_H
#define SERVICE_CORE_CONFLICT_WORK_H

#include "service/core/conflict.h"
#include "service/core/write_build.h"

/* The record of a conflict, as loaded for conflict_touch. */
struct record_state conflict_record(const struct user_view *view, const struct conflict *conflict);

/* A record as it shall be. */
struct conflict_target {
    bool is_kept; /* as it is */
    bool deleted;
    struct slice document; /* unless kept or deleted */
};

/* Makes the record so, unless it is already, by a change without device. */
enum sync_status conflict_write(struct write_build *build, struct record_state *state,
                                const struct conflict *conflict,
                                const struct conflict_target *target, int64_t now_us);

/* Makes the conflict show the record as it is. */
void conflict_see(struct conflict *conflict, const struct record_state *state);

/* Stores a conflict that has just been resolved: it moves, lets go of what it held, and
 * has no deadline any more. `hold` is
 * as conflict_hold_end takes it. */
enum sync_status conflict_close(struct write_build *build, const struct row *hold,
                                struct conflict *conflict);

/* Which side's the record has become. */
enum resolution conflict_taken(const struct conflict *conflict, const struct record *record);

#endif
