/* What changes are made on, said apart from the core. */
#include "tests/simulation/sim_judge.h"

uint64_t sim_oracle_base(const struct sim_world *world, const struct sim_job *job,
                         const struct sim_change *change) {
    const struct sim_version *versions = world->ledger.versions;
    struct slice device = slice_text(world->devices[change->device].id);
    uint64_t acknowledged = job->acknowledged, floor = job->before.log_floor;
    if (change->base_version > 0)
        return change->base_version;
    if (floor < acknowledged)
        floor = acknowledged;
    uint64_t at = change->kind == CHANGE_CREATE ? 0 : world->ledger.latest[change->record];
    while (at > floor && (at > job->before.sequence || !versions[at].is_whole ||
                          !slice_equal(versions[at].device, device)))
        at = versions[at].previous;
    return at > floor ? at : acknowledged;
}
