/* What a device knew of a record: the base of its changes. */
#include <assert.h>

#include "service/core/change_work.h"
#include "service/core/delta.h"
#include "service/core/document_pass.h"
#include "service/core/hybrid_clock.h"

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
    size_t own_count;   /* of this batch */
    struct slice *redo; /* parallel: of the device's own changes, what they did */
};

static enum sync_status history_collect(const struct change_work *work,
                                        const struct change_record *record, uint64_t base_sequence,
                                        struct history *ret_history) {
    struct history history = {.count = 0};
    const struct record_view *view = record->view;
    for (size_t own = record->own_last; own > 0; own = work->own_before[own - 1])
        history.own_count++;
    size_t count = history.own_count + view->history_count;
    history.entries = arena_alloc(work->arena, count * sizeof *history.entries);
    history.redo = arena_zalloc(work->arena, count, sizeof *history.redo);
    if (!history.entries || !history.redo)
        return SYNC_ERR_NO_MEMORY;
    for (size_t own = record->own_last; own > 0; own = work->own_before[own - 1])
        history.entries[history.count++] = &work->build.log[own - 1];
    for (size_t i = 0; i < view->history_count; i++)
        if (view->history[i].sequence > base_sequence)
            history.entries[history.count++] = &view->history[i];
    *ret_history = history;
    return SYNC_OK;
}

/* Goes back through all changes, and notes what the device's own did. */
static enum sync_status history_undo(const struct change_work *work, struct history *history,
                                     struct document_pass *pass) {
    for (size_t i = 0; i < history->count; i++) {
        const struct log_entry *entry = history->entries[i];
        struct slice before = SLICE_EMPTY;
        enum sync_status status = SYNC_OK;
        if (!entry->previous_deleted)
            status = document_pass_apply(pass, entry->undo, &before);
        bool own = i < history->own_count || change_is_own(work, entry);
        if (!status && own && !pass->deleted)
            status = delta_between(before, pass->document, work->arena, &history->redo[i]);
        if (status)
            return status;
        document_pass_step(pass, entry->previous_deleted, before);
    }
    return SYNC_OK;
}

/* Goes forward again through the device's own changes. */
static enum sync_status history_redo(const struct change_work *work, const struct history *history,
                                     struct document_pass *pass) {
    for (size_t i = history->count; i-- > 0;) {
        const struct log_entry *entry = history->entries[i];
        struct slice after = SLICE_EMPTY;
        enum sync_status status = SYNC_OK;
        if (i >= history->own_count && !change_is_own(work, entry))
            continue;
        bool deleted = entry->kind == CHANGE_DELETE;
        if (entry->previous_deleted)
            pass->document = SLICE_EMPTY; /* a new life begins from nothing */
        if (!deleted)
            status = document_pass_apply(pass, history->redo[i], &after);
        if (status)
            return status;
        document_pass_step(pass, deleted, after);
    }
    return SYNC_OK;
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
    struct slice redo;
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
    enum sync_status status = delta_between(before->record.data, after->data, work->arena, &redo);
    if (!status)
        status = delta_apply(record->base.document, redo, work->arena, &record->base.document);
    return status;
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
