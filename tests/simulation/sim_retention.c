/* Retention, as service/rpc/retention.c does it: of the log and of settled changes by one time, and
 * of conflicts that are resolved. */
#include "tests/simulation/sim.h"

enum { SPAN_S = 7200, ROWS_OF_CONFLICT = 2 };

static const int64_t SECOND_US = 1000000;

/* What nothing under way began before: a call lives much shorter than what retention keeps. */
static int64_t retention_time(const struct sim_world *world, int64_t wished_us) {
    for (size_t i = 0; i < SIM_JOBS_MAX; i++)
        if (world->jobs[i].is_used && world->jobs[i].begun_us < wished_us)
            wished_us = world->jobs[i].begun_us;
    for (size_t i = 0; i < world->net_count; i++)
        if (world->net[i].kind == CALL_UPLOAD && world->net[i].sent_us < wished_us)
            wished_us = world->net[i].sent_us;
    return wished_us;
}

/* The outcomes that the store has removed, or may have. */
static void settled_forget(struct sim_world *world, int64_t before_us) {
    for (uint32_t i = 0; i < world->ledger.change_count; i++) {
        struct sim_change *change = world->ledger.changes[i];
        if (!change->is_settled || change->settled_us >= before_us)
            continue;
        change->is_trimmed = true;
        sim_ledger_forget(&world->ledger, change);
    }
}

static void conflict_remove(struct sim_world *world, struct sim_conflict *conflict) {
    struct slice id = slice_text(conflict->id);
    struct row_write rows[ROWS_OF_CONFLICT] = {{.table = TABLE_CONFLICT, .key = id, .remove = true},
                                               {.table = TABLE_CONFLICT_BY_USER, .remove = true}};
    struct write_set set = {.rows = rows, .row_count = ROWS_OF_CONFLICT};
    SIM_HOLDS(world, conflict_index_key(SIM_USER, true, id, &world->arena, &rows[1].key) == SYNC_OK,
              "no memory for a conflict");
    conflict->is_gone = true; /* or may be: the answer can be lost */
    store_commit_wait(world->store, &set, NULL);
}

static void conflicts_expire(struct sim_world *world, int64_t before_us) {
    for (uint32_t i = 0; i < world->ledger.conflict_count && !world->has_crashed; i++) {
        struct sim_conflict *conflict = &world->ledger.conflicts[i];
        if (!conflict->is_open && !conflict->is_gone && conflict->resolved_us < before_us)
            conflict_remove(world, conflict);
    }
}

void sim_retention_step(struct sim_world *world) {
    uint32_t kept_s = world->nature.kept_s > 0 ? world->nature.kept_s : world_pick(world, SPAN_S);
    int64_t before_us = retention_time(world, world->now_us - (int64_t)kept_s * SECOND_US);
    struct store_trim trim = {
        .user = SIM_USER, .log_before_us = before_us, .settled_before_us = before_us};
    struct touched want = {.user = SIM_USER};
    struct user_view view;
    uint64_t floor = world->ledger.head.log_floor;
    sim_tell(world, "retention removes what is older than %lld s",
             (long long)((world->now_us - before_us) / SECOND_US));
    if (before_us > world->retained_us)
        world->retained_us = before_us;
    enum sync_status status = store_trim(world->store, &trim);
    settled_forget(world, before_us);
    if (status == SYNC_OK)
        conflicts_expire(world, before_us);
    if (world->has_crashed ||
        store_load(world->store, NULL, &want, &world->arena, &view) != SYNC_OK)
        return;
    SIM_HOLDS(world, view.head.sequence == world->ledger.head.sequence,
              "trimming moved the sequence");
    SIM_HOLDS(world, view.head.log_floor >= floor, "the log's floor went back");
    for (uint64_t at = floor + 1; at <= view.head.log_floor; at++)
        SIM_HOLDS(world, world->ledger.versions[at].commit_us < world->retained_us,
                  "retention removed %llu, which is younger", (unsigned long long)at);
    world->ledger.head.log_floor = view.head.log_floor;
}
