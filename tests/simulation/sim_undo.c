/* Decisions that are taken back: what must become of them, said field by field. */
#include <string.h>

#include "service/core/document_read.h"
#include "tests/simulation/document_path.h"
#include "tests/simulation/sim_judge.h"

/* A record before the decision, as that made it, when it is taken back, and after it. */
struct undoing {
    struct sim_world *world;
    uint32_t record;
    uint64_t resolved_version, version;
    struct slice was, made, now, after;
    bool is_done;  /* false: it was refused */
    uint32_t left; /* fields that nobody has changed since */
    struct document_path path;
};

static bool is_object_at(struct slice document, const struct document_path *path, size_t depth) {
    struct value value;
    struct slice bytes = document_value_at(document, path, depth);
    return bytes.size > 0 && value_read(bytes, &value) && value.kind == VALUE_OBJECT;
}

/* How much of the path the decision changed as one: an object that came or went is. */
static size_t field_depth(const struct undoing *undoing) {
    const struct document_path *path = &undoing->path;
    size_t depth = 1;
    while (depth < path->depth && is_object_at(undoing->was, path, depth) &&
           is_object_at(undoing->made, path, depth))
        depth++;
    return depth;
}

/* Whether anybody changed the field of the path since the decision. */
static bool is_touched(const struct undoing *undoing) {
    const struct sim_ledger *ledger = &undoing->world->ledger;
    struct document_path field = undoing->path;
    field.depth = field_depth(undoing);
    for (uint64_t at = undoing->version; at > undoing->resolved_version;
         at = ledger->versions[at].previous) {
        struct sim_copy before = sim_ledger_image(ledger, undoing->record, at - 1);
        if (document_differs_at(ledger->versions[at].document, before.document, &field))
            return true;
    }
    return false;
}

static struct slice value_at(const struct undoing *undoing, struct slice document) {
    return document_value_at(document, &undoing->path, undoing->path.depth);
}

static void check_field(struct undoing *undoing, const struct member *member) {
    struct slice was = value_at(undoing, undoing->was), after = value_at(undoing, undoing->after);
    bool touched = is_touched(undoing);
    undoing->left += !touched && !slice_equal(was, value_at(undoing, undoing->made));
    if (!undoing->is_done || (touched && member->value.kind == VALUE_LIST))
        return; /* lists go back by their elements */
    SIM_HOLDS(undoing->world, slice_equal(after, touched ? value_at(undoing, undoing->now) : was),
              touched ? "a decision is taken back over %.*s, which is newer"
                      : "a decision is taken back, and %.*s is not as before",
              (int)member->name.size, (const char *)member->name.data);
}

static void check_fields(struct undoing *undoing, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        undoing->path.names[undoing->path.depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_fields(undoing, member.value.object);
        else
            check_field(undoing, &member);
        undoing->path.depth--;
    }
}

/* What the client changed of the base waits on, whatever the record has become. */
static void check_wish(struct undoing *undoing, struct slice object, struct slice base,
                       struct slice waits) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        undoing->path.names[undoing->path.depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_wish(undoing, member.value.object, base, waits);
        else if (member.value.kind != VALUE_LIST &&
                 !slice_equal(member.value.bytes, value_at(undoing, base)))
            SIM_HOLDS(undoing->world, slice_equal(value_at(undoing, waits), member.value.bytes),
                      "a decision is taken back, and the inbox has lost %.*s",
                      (int)member.name.size, (const char *)member.name.data);
        undoing->path.depth--;
    }
}

/* Whether the record has died since the decision, or that was its death. */
static bool has_ended(const struct undoing *undoing) {
    const struct sim_ledger *ledger = &undoing->world->ledger;
    bool ended = ledger->versions[undoing->resolved_version].deleted;
    for (uint64_t at = undoing->version; at > undoing->resolved_version;
         at = ledger->versions[at].previous)
        ended = ended || ledger->versions[at].deleted;
    return ended;
}

/* The record is, or is not, there as before; where it has not moved it is just so. */
static void check_whole(const struct undoing *undoing, const struct sim_copy *was,
                        const struct sim_job *job) {
    bool was_there = was->found && !was->deleted;
    SIM_HOLDS(undoing->world, was_there == !job->record.deleted,
              "a decision was taken back and the record is, or is not, there");
    SIM_HOLDS(undoing->world,
              undoing->version != undoing->resolved_version || !was_there ||
                  slice_equal(was->document, job->record.data),
              "a decision was taken back and the record is not as before");
    SIM_HOLDS(undoing->world,
              undoing->version == undoing->resolved_version || (was_there && !has_ended(undoing)),
              "a decision was taken back over a new life, or a death");
}

static void check_done(struct undoing *undoing, const struct sim_job *job,
                       const struct conflict *before) {
    struct conflict decided = *before;
    SIM_HOLDS(undoing->world,
              conflict_expand(&decided, undoing->made, &undoing->world->arena) == SYNC_OK,
              "a decision does not expand");
    undoing->is_done = true;
    undoing->after = job->record.data;
    check_fields(undoing, undoing->now);
    check_fields(undoing, undoing->was);
    if (decided.has_client)
        check_wish(undoing, decided.client,
                   decided.has_base       ? decided.base
                   : decided.is_on_server ? undoing->was
                                          : SLICE_EMPTY,
                   job->resolved.client);
}

/* What is left of a decision can be taken back, as far as the log is there. */
static void check_refused(struct undoing *undoing, const struct sim_job *job,
                          const struct conflict *before, const struct sync_error *error) {
    struct sim_world *world = undoing->world;
    SIM_HOLDS(world, undoing->version != undoing->resolved_version,
              "a decision is not taken back, though nothing came after it");
    if (strcmp(error->reason, "RESOLVED_LONG_AGO") == 0) {
        SIM_HOLDS(world, job->before.log_floor > undoing->resolved_version,
                  "a decision is not taken back, though the log has it all");
        return;
    }
    if (has_ended(undoing) || !before->has_server)
        return;
    check_fields(undoing, undoing->was);
    check_fields(undoing, undoing->made);
    SIM_HOLDS(world, undoing->left == 0, "a decision is not taken back, though %u fields are left",
              undoing->left);
}

void sim_undo_check(struct sim_world *world, const struct sim_job *job,
                    const struct conflict *before, const struct sim_copy *record,
                    const struct sync_error *error) {
    const struct sim_ledger *ledger = &world->ledger;
    uint32_t number = sim_record_number(world, &before->key);
    if (before->resolved_us == 0) {
        SIM_HOLDS(world, !error && job->set.row_count == 0, "what waits is taken back");
        return;
    }
    struct sim_copy was = sim_ledger_image(ledger, number, before->server_version);
    struct undoing undoing = {
        .world = world,
        .record = number,
        .resolved_version = before->resolved_version,
        .version = record->version,
        .was = was.document,
        .made = sim_ledger_image(ledger, number, before->resolved_version).document,
        .now = record->document,
    };
    if (error) {
        check_refused(&undoing, job, before, error);
        return;
    }
    SIM_HOLDS(world, job->resolved.resolved_us == 0, "a decision was taken back and stands");
    check_whole(&undoing, &was, job);
    if (undoing.version != undoing.resolved_version)
        check_done(&undoing, job, before);
}
