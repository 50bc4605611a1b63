#include "service/core/conflict_work.h"

#include <assert.h>

#include "service/core/conflict_hold.h"

struct record_state conflict_record(const struct user_view *view, const struct conflict *conflict) {
    const struct record_view *loaded = &view->records[0];
    struct record absent = {.key = conflict->key, .deleted = true};
    return (struct record_state){.record = loaded->found ? loaded->record : absent,
                                 .found = loaded->found};
}

enum sync_status conflict_write(struct write_build *build, struct record_state *state,
                                const struct conflict *conflict,
                                const struct conflict_target *target, int64_t now_us) {
    assert(build && state && conflict && target);
    bool lives = record_state_lives(state);
    bool is_so =
        target->is_kept ||
        (target->deleted ? !lives : lives && slice_equal(state->record.data, target->document));
    if (is_so)
        return SYNC_OK;
    struct record_change change = {
        .kind = target->deleted ? CHANGE_DELETE
                : lives         ? CHANGE_UPDATE
                                : CHANGE_CREATE,
        .deleted = target->deleted,
        .document = target->document,
        .change_id = conflict->id,
        .device_us = now_us,
        .corrected_us = now_us,
        .now_us = now_us,
    };
    return write_build_change(build, state, &change);
}

void conflict_see(struct conflict *conflict, const struct record_state *state) {
    conflict->has_server = record_state_lives(state);
    conflict->server = conflict->has_server ? state->record.data : SLICE_EMPTY;
    conflict->server_version = state->record.version;
}

enum sync_status conflict_close(struct write_build *build, const struct row *hold,
                                struct conflict *conflict) {
    assert(build && conflict);
    assert(conflict->resolved_us > 0);
    enum sync_status status = conflict_move(build, conflict);
    conflict->resolve_by_us = 0;
    conflict->deadline_action = DEADLINE_KEEP;
    if (!status)
        status = conflict_hold_end(build, hold, conflict);
    build->head.conflicts_open -= build->head.conflicts_open > 0;
    return status;
}

enum resolution conflict_taken(const struct conflict *conflict, const struct record *record) {
    bool is_server = conflict->has_server == !record->deleted &&
                     (record->deleted || slice_equal(record->data, conflict->server));
    bool is_client = conflict->has_client == !record->deleted &&
                     (record->deleted || slice_equal(record->data, conflict->client));
    return is_server ? RESOLUTION_SERVER : is_client ? RESOLUTION_CLIENT : RESOLUTION_MERGE;
}
