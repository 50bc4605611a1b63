/* Conflicts whose deadline comes: what must become of them. */
#include "tests/simulation/document_path.h"
#include "tests/simulation/sim_judge.h"

/* A record with what it was when the conflict was last shown, and what it became. */
struct settling {
    struct sim_world *world;
    struct slice shown, after;
    struct document_path path;
};

/* What others changed since the conflict was shown stays. Lists merge by element. */
static void check_newer(struct settling *settling, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        struct document_path *path = &settling->path;
        path->names[path->depth++] = member.name;
        if (member.value.kind == VALUE_OBJECT)
            check_newer(settling, member.value.object);
        else if (member.value.kind != VALUE_LIST &&
                 !slice_equal(document_value_at(settling->shown, path, path->depth),
                              member.value.bytes))
            SIM_HOLDS(settling->world,
                      slice_equal(document_value_at(settling->after, path, path->depth),
                                  member.value.bytes),
                      "a deadline overwrites %.*s, which is newer than the conflict",
                      (int)member.name.size, (const char *)member.name.data);
        path->depth--;
    }
}

/* What the client's side has otherwise than what it was made of. */
struct wish {
    struct sim_world *world;
    struct slice base, client, decided;
    struct document_path path;
};

/* Every value of `object` that the two sides of the wish have otherwise is decided as the client's.
 */
static void check_wished(struct wish *wish, struct slice object) {
    struct member member;
    size_t position = 0;
    while (document_next(object, &position, &member)) {
        struct document_path *path = &wish->path;
        path->names[path->depth++] = member.name;
        struct slice client = document_value_at(wish->client, path, path->depth);
        if (member.value.kind == VALUE_OBJECT)
            check_wished(wish, member.value.object);
        else if (member.value.kind != VALUE_LIST &&
                 !slice_equal(document_value_at(wish->base, path, path->depth), client))
            SIM_HOLDS(wish->world,
                      slice_equal(document_value_at(wish->decided, path, path->depth), client),
                      "a deadline takes the client's side, and %.*s is not so",
                      (int)member.name.size, (const char *)member.name.data);
        path->depth--;
    }
}

/* Where the client's side wins, it has what it set and lacks what it removed. */
static void check_wish(struct sim_world *world, const struct sim_copy *decided,
                       const struct conflict *before) {
    struct wish wish = {.world = world,
                        .base = before->has_base       ? before->base
                                : before->is_on_server ? before->server
                                                       : SLICE_EMPTY,
                        .client = before->client,
                        .decided = decided->document};
    check_wished(&wish, wish.base);
    check_wished(&wish, wish.client);
}

/* The record is the side's that the action names, where nobody else changed it since. */
static void check_action(struct sim_world *world, const struct sim_copy *decided, bool is_changed,
                         const struct conflict *before) {
    enum deadline_action action = before->deadline_action;
    bool is_whole = !before->has_client || !before->has_server;
    if (action == DEADLINE_SERVER)
        SIM_HOLDS(world, !is_changed, "a deadline leaves it to the server, and changes");
    if (action == DEADLINE_CLIENT && is_whole)
        SIM_HOLDS(world, decided->deleted == !before->has_client,
                  "a deadline takes the client's side, and does not do it");
    if (action == DEADLINE_CLIENT && !is_whole)
        check_wish(world, decided, before);
    if (action == DEADLINE_SUGGESTED)
        SIM_HOLDS(world, slice_equal(decided->document, before->suggested),
                  "a deadline takes the suggestion, and the record is another");
}

void sim_settle_check(struct sim_world *world, const struct sim_job *job,
                      const struct conflict *before, const struct sim_copy *record) {
    bool is_due = before->resolved_us == 0 && before->resolve_by_us > 0 &&
                  before->resolve_by_us <= world->now_us;
    SIM_HOLDS(world, is_due == (job->set.row_count > 0),
              "a conflict is settled before its time, or not when it comes");
    if (!is_due)
        return;
    SIM_HOLDS(world, job->resolved.resolved_us > 0 && job->resolved.decision_count > 0,
              "a deadline came, and nothing tells what was decided");
    struct sim_copy decided = sim_decided_copy(world, job);
    bool is_changed = job->set.log_count > 0 && job->set.log[0].device.size == 0;
    if (record->version == before->server_version) {
        check_action(world, &decided, is_changed, before);
        return;
    }
    bool lives = record->found && !record->deleted;
    SIM_HOLDS(world, decided.deleted == !lives,
              "a deadline deletes, or makes anew, what others changed since");
    struct settling settling = {world, before->server, decided.document, {{{0}}, 0}};
    if (lives && before->has_server)
        check_newer(&settling, record->document);
}
