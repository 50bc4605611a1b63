/* Changes from before what the service remembers: whether they were sent before nobody knows, and
 * what must become of them. */
#include "tests/simulation/document_path.h"
#include "tests/simulation/sim_judge.h"

/* One of them. */
struct judging {
    struct sim_world *world;
    const struct sim_change *change;
    const struct sim_old *old;
    int64_t made_us;
    uint64_t log_floor;
    struct slice device, wanted; /* wanted: the record with it, where it lives then */
    struct document_path path;
};

/* When a change was made, by the service's clock: not before what the batch has before it. */
static int64_t made_us(const struct sim_world *world, const struct sim_job *job, size_t index) {
    int64_t latest_us = 0;
    for (size_t i = 0; i <= index; i++) {
        const struct sim_change *change = world->ledger.changes[job->upload.changes[i]];
        int64_t made = change->device_us - job->upload.clock_offset_us;
        if (made > job->read_us)
            made = job->read_us;
        if (made > latest_us)
            latest_us = made;
    }
    return latest_us;
}

bool sim_old_is(const struct sim_world *world, const struct sim_job *job, size_t index) {
    const struct sim_change *change = world->ledger.changes[job->upload.changes[index]];
    struct sim_copy loaded = sim_ledger_image(&world->ledger, change->record, job->before.sequence);
    return !change->is_released && job->before.log_floor > 0 &&
           made_us(world, job, index) < job->forgotten_us && loaded.found &&
           loaded.version > change->base_version;
}

bool sim_old_is_whole(struct sim_world *world, const struct sim_job *job,
                      const struct sim_change *change) {
    uint64_t loaded =
        sim_ledger_image(&world->ledger, change->record, job->before.sequence).version;
    bool is_whole = false;
    for (size_t i = 0; i < job->set.log_count; i++)
        is_whole =
            is_whole || (job->set.log[i].sequence == change->entry && job->set.log[i].as_sent);
    SIM_HOLDS(world, !is_whole || job->acknowledged >= loaded,
              "%s is old, and called whole though its device has not seen the record", change->id);
    return is_whole;
}

/* A field that it overwrites: its device's own, or from before it. */
static void check_overwritten(const struct judging *judging, struct slice name) {
    const struct sim_ledger *ledger = &judging->world->ledger;
    for (uint64_t at = judging->old->before->version; at > judging->change->base_version;
         at = ledger->versions[at].previous) {
        const struct sim_version *version = &ledger->versions[at];
        struct sim_copy was = sim_ledger_image(ledger, judging->change->record, at - 1);
        if (!document_differs_at(version->document, was.document, &judging->path))
            continue;
        SIM_HOLDS(judging->world,
                  slice_equal(version->device, judging->device) ||
                      version->corrected_us < judging->made_us,
                  "%s is old, and overwrites %.*s, which is newer", judging->change->id,
                  (int)name.size, (const char *)name.data);
        return;
    }
}

static void check_fields(struct judging *judging, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        struct document_path *path = &judging->path;
        path->names[path->depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_fields(judging, member.value.object);
        else if (!slice_equal(document_value_at(judging->old->after->document, path, path->depth),
                              member.value.bytes))
            check_overwritten(judging, member.name);
        path->depth--;
    }
}

/* It counts where nobody else, as far as the log tells, changed the record after it was made. */
static void check_taken(struct judging *judging) {
    struct sim_world *world = judging->world;
    const struct sim_change *change = judging->change;
    const struct sim_copy *before = judging->old->before, *after = judging->old->after;
    const struct sim_version *versions = world->ledger.versions;
    uint64_t at = before->version;
    SIM_HOLDS(world, !before->deleted || change->kind == CHANGE_CREATE,
              "%s is old, and brings back what was deleted", change->id);
    SIM_HOLDS(world,
              change->kind == CHANGE_DELETE ? after->deleted
                                            : slice_equal(after->document, judging->wanted),
              "%s is old, and not as it was sent", change->id);
    for (; at > change->base_version && at > judging->log_floor; at = versions[at].previous)
        SIM_HOLDS(world,
                  slice_equal(versions[at].device, judging->device) ||
                      versions[at].corrected_us < judging->made_us,
                  "%s is old, and taken over what was changed after it", change->id);
    if (!before->deleted)
        check_fields(judging, before->document);
}

/* Where it does not count it is kept whole, unless the record is so already. */
static void check_left(const struct judging *judging) {
    struct sim_world *world = judging->world;
    const struct sim_change *change = judging->change;
    const struct sim_copy *before = judging->old->before;
    bool deletes = change->kind == CHANGE_DELETE;
    bool is_so = deletes ? before->deleted
                         : !before->deleted && slice_equal(judging->wanted, before->document);
    bool can_count = deletes || !before->deleted || change->kind == CHANGE_CREATE;
    bool is_last = world->ledger.versions[before->version].commit_us < judging->made_us;
    bool is_all = deletes ? is_so : is_so && slice_equal(change->data, before->document);
    SIM_HOLDS(world, is_all || change->outcome != OUTCOME_APPLIED,
              "%s is old, and called applied though its device need not have it all", change->id);
    SIM_HOLDS(world, !is_so || !judging->old->kept, "%s is old, and in the inbox though it is so",
              change->id);
    SIM_HOLDS(world, is_so || judging->old->kept, "%s is old, and lost", change->id);
    SIM_HOLDS(world, is_so || !can_count || !is_last, "%s is old, the last word, and not taken",
              change->id);
}

void sim_old_check(struct sim_world *world, const struct sim_job *job, size_t index,
                   const struct sim_old *old) {
    const struct sim_change *change = world->ledger.changes[job->upload.changes[index]];
    struct judging judging = {
        .world = world,
        .change = change,
        .old = old,
        .made_us = made_us(world, job, index),
        .log_floor = job->before.log_floor,
        .device = slice_text(world->devices[change->device].id),
    };
    bool deletes = change->kind == CHANGE_DELETE;
    struct slice ours = old->before->deleted ? SLICE_EMPTY : old->before->document;
    if (!deletes)
        judging.wanted = sim_change_apply(world, change, ours);
    SIM_HOLDS(world, !old->kept || deletes || slice_equal(old->kept->client, judging.wanted),
              "%s is old, and the inbox has not what it wanted", change->id);
    if (change->entry > 0)
        check_taken(&judging);
    else
        check_left(&judging);
}
