/* What a device knew of a record: the base of its changes. */
#include <assert.h>

#include "service/core/change_work.h"
#include "service/core/delta.h"
#include "service/core/document_pass.h"
#include "service/core/document_read.h"
#include "service/core/hybrid_clock.h"
#include "service/core/merge.h"

void change_record_scan(const struct change_work *work, struct change_record *record) {
    const struct record_view *view = record->view;
    for (size_t i = 0; i < view->history_count; i++) {
        const struct log_entry *entry = &view->history[i];
        bool is_own = change_is_own(work, entry);
        if (is_own) {
            if (entry->as_sent && record->own_known == 0)
                record->own_known = entry->sequence;
            continue;
        }
        int64_t made_us = hybrid_clock_believe(entry->corrected_us, work->context->now_us);
        if (!record->others_entry)
            record->others_entry = entry;
        if (made_us > record->others_us)
            record->others_us = made_us;
    }
    if (record->others_entry)
        record->others_last = record->others_entry->sequence;
}

bool change_history_reaches(const struct change_record *record, uint64_t base_sequence) {
    const struct record_view *view = record->view;
    size_t count = view->history_count;
    uint64_t before = count > 0 ? view->history[count - 1].previous_version : view->record.version;
    return !view->history_trimmed || before <= base_sequence;
}

bool change_others_since(const struct change_record *record, uint64_t base_sequence) {
    const struct record_view *view = record->view;
    if (!view->found || view->record.version <= base_sequence)
        return false;
    /* The latest change is not in the log any more: whose it was is unknown. */
    if (view->history_count == 0 || !change_history_reaches(record, base_sequence))
        return true;
    return record->others_last > base_sequence;
}

/* The changes of a record after the base, newest first: this batch's, then the stored. */
struct history {
    const struct log_entry **entries;
    size_t count;
    size_t own_count; /* of this batch */
    bool has_own;     /* of the device, in this batch or stored */
    bool merges;      /* an own one is not plain */
    enum data_type type;
    struct slice *redo; /* parallel: what they did, where there are own ones */
};

static enum sync_status history_collect(const struct change_work *work,
                                        const struct change_record *record, uint64_t base_sequence,
                                        struct history *ret_history) {
    const struct record_view *view = record->view;
    struct history history = {.type = record->state.record.key.type};
    for (size_t own = record->own_last; own > 0; own = work->own_before[own - 1])
        history.own_count++;
    size_t count = history.own_count + view->history_count;
    history.entries = arena_alloc(work->arena, count * sizeof *history.entries);
    history.redo = arena_zalloc(work->arena, count, sizeof *history.redo);
    if (!history.entries || !history.redo)
        return SYNC_ERR_NO_MEMORY;
    for (size_t own = record->own_last; own > 0; own = work->own_before[own - 1])
        history.entries[history.count++] = &work->build.log[own - 1];
    history.has_own = history.own_count > 0;
    for (size_t i = 0; i < view->history_count; i++) {
        if (view->history[i].sequence <= base_sequence)
            continue;
        history.has_own |= change_is_own(work, &view->history[i]);
        history.entries[history.count++] = &view->history[i];
    }
    *ret_history = history;
    return SYNC_OK;
}

/* Whether a delta sets nothing that merges inside: it does the same to whatever it is applied to.
 */
static bool redo_is_plain(const struct change_work *work, enum data_type type, struct slice redo) {
    struct delta_field field;
    struct value value;
    size_t position = 0;
    while (delta_next(redo, &position, &field)) {
        if (field.removed || !value_read(field.value, &value))
            continue;
        if (value.kind == VALUE_OBJECT || value.kind == VALUE_LIST ||
            (value.kind == VALUE_STRING && policy_find(work->context->policies, type, field.path,
                                                       field.path_size) == FIELD_POLICY_TEXT))
            return false;
    }
    return true;
}

static bool history_is_own(const struct change_work *work, const struct history *history,
                           size_t at) {
    return at < history->own_count || change_is_own(work, history->entries[at]);
}

/* Goes back through all changes, and notes what they did if the device's own are among them. */
static enum sync_status history_undo(const struct change_work *work, struct history *history,
                                     struct document_pass *pass) {
    for (size_t i = 0; i < history->count; i++) {
        const struct log_entry *entry = history->entries[i];
        struct slice before = SLICE_EMPTY;
        enum sync_status status = SYNC_OK;
        if (!entry->previous_deleted)
            status = document_pass_apply(pass, entry->undo, &before);
        if (!status && history->has_own && !pass->deleted)
            status = delta_between(before, pass->document, work->arena, &history->redo[i]);
        if (status)
            return status;
        history->merges |= history_is_own(work, history, i) &&
                           !redo_is_plain(work, history->type, history->redo[i]);
        document_pass_step(pass, entry->previous_deleted, before);
    }
    return SYNC_OK;
}

enum sync_status change_merge_own(const struct policy_set *policies, enum data_type type,
                                  struct slice base, struct slice ours, struct slice theirs,
                                  struct arena *arena, struct slice *ret_document) {
    const struct merge_input input = {
        .type = type, .base = base, .ours = ours, .theirs = theirs, .theirs_win = true};
    struct merge_result merged;
    enum sync_status status = conflict_merge(&input, policies, STRATEGY_CLIENT, arena, &merged);
    if (!status)
        *ret_document = merged.document;
    return status;
}

/* Goes forward through one change: in `had` if it is the device's own, and in `all`, unless no
 * change needs to know what it was made on. Others may have changed what one of the own did, too:
 * in an array or a text it stands beside theirs, and only its own part is taken. */
static enum sync_status history_step(const struct change_work *work, const struct history *history,
                                     size_t at, struct document_pass *all,
                                     struct document_pass *had) {
    const struct log_entry *entry = history->entries[at];
    bool is_own = history_is_own(work, history, at), deleted = entry->kind == CHANGE_DELETE;
    struct slice after = SLICE_EMPTY, has = SLICE_EMPTY, redo = history->redo[at];
    enum sync_status status = SYNC_OK;
    if (entry->previous_deleted)
        all->document = SLICE_EMPTY;
    if (entry->previous_deleted && is_own)
        had->document = SLICE_EMPTY; /* a new life begins from nothing */
    if (history->merges && !deleted)
        status = document_pass_apply(all, redo, &after);
    if (!status && is_own && !deleted)
        status = redo_is_plain(work, history->type, redo)
                     ? document_pass_apply(had, redo, &has)
                     : change_merge_own(work->context->policies, history->type, all->document,
                                        had->document, after, document_pass_next(had), &has);
    if (status)
        return status;
    if (is_own)
        document_pass_step(had, deleted, has);
    document_pass_step(all, deleted, after);
    return SYNC_OK;
}

/* Goes forward again from the base through the device's own changes. */
static enum sync_status history_redo(const struct change_work *work, const struct history *history,
                                     struct document_pass *had) {
    struct document_pass all;
    enum sync_status status = SYNC_OK;
    document_pass_init(&all, had->deleted, SLICE_EMPTY);
    if (!arena_copy(&all.arenas[all.current], had->document, &all.document))
        status = SYNC_ERR_NO_MEMORY;
    for (size_t i = history->has_own ? history->count : 0; !status && i-- > 0;)
        status = history_step(work, history, i, &all, had);
    document_pass_done(&all);
    return status;
}

static enum sync_status base_rebuild(struct change_work *work, struct change_record *record,
                                     uint64_t base_sequence, struct base_image *base) {
    struct history history;
    struct document_pass pass;
    enum sync_status status = history_collect(work, record, base_sequence, &history);
    if (status)
        return status;
    document_pass_init(&pass, record->state.record.deleted, record->state.record.data);
    status = history_undo(work, &history, &pass);
    if (!status)
        status = history_redo(work, &history, &pass);
    *base = (struct base_image){.is_known = true, .deleted = pass.deleted};
    if (!status && !arena_copy(work->arena, pass.document, &base->document))
        status = SYNC_ERR_NO_MEMORY;
    document_pass_done(&pass);
    return status;
}

enum sync_status change_base_find(struct change_work *work, struct change_record *record,
                                  uint64_t base_sequence, struct base_image *ret_base) {
    assert(record->state.found);
    if (!record->has_base || record->base_sequence != base_sequence) {
        struct base_image base = {.deleted = true};
        /* A history with its end cut off leads nowhere. */
        if (record->view->history_count > 0 && change_history_reaches(record, base_sequence)) {
            enum sync_status status = base_rebuild(work, record, base_sequence, &base);
            if (status)
                return status;
        }
        record->base = base;
        record->base_sequence = base_sequence;
        record->has_base = true;
    }
    *ret_base = record->base;
    return SYNC_OK;
}

/* The remembered base moves on by what the device did itself. */
static enum sync_status base_follow(struct change_work *work, struct change_record *record,
                                    const struct record_state *before) {
    const struct record *after = &record->state.record;
    if (!record->has_base)
        return SYNC_OK;
    record->base.deleted = after->deleted;
    if (after->deleted) {
        record->base.document = SLICE_EMPTY;
        return SYNC_OK;
    }
    if (!record_state_lives(before)) {
        record->base.document = after->data;
        return SYNC_OK;
    }
    return change_merge_own(work->context->policies, after->key.type, before->record.data,
                            record->base.document, after->data, work->arena,
                            &record->base.document);
}

enum sync_status change_write(struct change_work *work, struct change_record *record,
                              const struct change *change, const struct change_target *target) {
    const struct batch_context *context = work->context;
    struct record_state before = record->state;
    size_t place = work->build.log_count;
    struct record_change write = {
        .kind = change->kind,
        .deleted = target->deleted,
        .as_sent = target->as_sent && !work->is_release,
        .document = target->document,
        .device = work->batch->device,
        .change_id = change->id,
        .device_us = change->device_us,
        .corrected_us = change_time(work, change),
        .now_us = context->now_us,
    };
    enum sync_status status = write_build_change(&work->build, &record->state, &write);
    if (status)
        return status;
    work->own_before[place] = record->own_last;
    record->own_last = place + 1;
    return base_follow(work, record, &before);
}
