/* The judges: what must become of changes and of decisions, apart from the core. */
#ifndef TESTS_SIMULATION_SIM_JUDGE_H
#define TESTS_SIMULATION_SIM_JUDGE_H

#include "tests/simulation/sim.h"

/* What a change of the job was made on: what it says, or what its device had acknowledged, or what
 * by the log the device made itself later, when nobody had come between. */
uint64_t sim_oracle_base(const struct sim_world *world, const struct sim_job *job,
                         const struct sim_change *change);
/* One change against what became of it; `before` is the record before it. */
void sim_oracle_check(struct sim_world *world, const struct sim_job *job, size_t index,
                      const struct sim_copy *before);

/* A change from before what is remembered: the record before and after it, and what was kept of it;
 * NULL: nothing was. */
struct sim_old {
    const struct sim_copy *before, *after;
    const struct conflict *kept;
};
/* Whether a change of the job is one, whether its device then has the record just so, and what must
 * become of it. */
bool sim_old_is(const struct sim_world *world, const struct sim_job *job, size_t index);
bool sim_old_is_whole(struct sim_world *world, const struct sim_job *job,
                      const struct sim_change *change);
void sim_old_check(struct sim_world *world, const struct sim_job *job, size_t index,
                   const struct sim_old *old);

/* The record as the decision left it, before what it let go on. */
struct sim_copy sim_decided_copy(struct sim_world *world, const struct sim_job *job);
/* A deadline settles what it must, and overwrites nothing unseen; `before`: as they were. */
void sim_settle_check(struct sim_world *world, const struct sim_job *job,
                      const struct conflict *before, const struct sim_copy *record);

/* A decision that is taken back takes nothing newer with it, and leaves nothing behind; `before`:
 * as they were; `error`: why it was refused, NULL when it was not. */
void sim_undo_check(struct sim_world *world, const struct sim_job *job,
                    const struct conflict *before, const struct sim_copy *record,
                    const struct sync_error *error);

#endif
