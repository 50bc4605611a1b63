#include "tests/service/core/memory_user.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/core/checksum.h"
#include "service/core/hybrid_clock.h"

/* Ends the process when something that must hold does not. */
static void check(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static struct slice keep(struct memory_user *user, struct slice bytes) {
    struct slice copy;
    check(arena_copy(&user->arena, bytes, &copy), "memory");
    return copy;
}

void memory_user_init(struct memory_user *user) {
    memset(user, 0, sizeof *user);
    arena_init(&user->arena, (size_t)1 << 31);
}

void memory_user_done(struct memory_user *user) {
    arena_done(&user->arena);
}

static struct record *find_key(const struct memory_user *user, const struct record_key *key) {
    for (size_t i = 0; i < user->record_count; i++)
        if (user->records[i].key.type == key->type && slice_equal(user->records[i].key.id, key->id))
            return (struct record *)&user->records[i];
    return NULL;
}

struct record *memory_user_find(struct memory_user *user, enum data_type type, const char *id) {
    return find_key(user, &(struct record_key){type, slice_text(id)});
}

struct row *memory_user_row(struct memory_user *user, enum table table, struct slice key) {
    for (size_t i = 0; i < user->row_count; i++)
        if (user->rows[i].found && user->rows[i].table == table &&
            slice_equal(user->rows[i].key, key))
            return &user->rows[i];
    return NULL;
}

/* The record's log after a sequence, newest first. */
static void load_history(const struct memory_user *user, const struct record_want *want,
                         struct arena *arena, struct record_view *view) {
    size_t count = 0;
    bool is_known = false;
    view->history = arena_alloc(arena, user->log_count * sizeof *view->history);
    check(view->history != NULL, "memory");
    for (size_t i = user->log_count; i-- > 0 && !is_known;) {
        const struct log_entry *entry = &user->log[i];
        if (entry->sequence <= want->history_after || entry->key.type != want->key.type ||
            !slice_equal(entry->key.id, want->key.id))
            continue;
        view->history[count++] = *entry;
        is_known = entry->as_sent && want->history_of.size > 0 &&
                   slice_equal(entry->device, want->history_of);
    }
    view->history_count = count;
    /* What is missing: entries after the wanted sequence that the floor has swallowed. */
    uint64_t oldest = count > 0 ? view->history[count - 1].previous_version : view->record.version;
    view->history_trimmed = view->found && !is_known &&
                            want->history_after < user->head.log_floor &&
                            oldest > want->history_after;
}

void memory_user_load(const struct memory_user *user, const struct touched *want,
                      struct arena *arena, struct user_view *ret_view) {
    struct user_view view = {.head = user->head};
    view.records = arena_zalloc(arena, want->record_count, sizeof *view.records);
    view.changes = arena_zalloc(arena, want->change_count, sizeof *view.changes);
    view.rows = arena_zalloc(arena, want->row_count, sizeof *view.rows);
    check(view.records && view.changes && view.rows, "memory");
    for (size_t i = 0; i < want->record_count; i++) {
        const struct record *record = find_key(user, &want->records[i].key);
        view.records[i].found = record != NULL;
        if (record)
            view.records[i].record = *record;
        if (want->records[i].history)
            load_history(user, &want->records[i], arena, &view.records[i]);
    }
    for (size_t i = 0; i < want->change_count; i++)
        for (size_t j = 0; j < user->settled_count; j++)
            if (slice_equal(user->settled[j].device, want->changes[i].device) &&
                slice_equal(user->settled[j].change_id, want->changes[i].change_id))
                view.changes[i] = (struct settled_view){true, user->settled[j]};
    for (size_t i = 0; i < want->row_count; i++) {
        const struct row *row =
            memory_user_row((struct memory_user *)user, want->rows[i].table, want->rows[i].key);
        view.rows[i] = row ? *row : want->rows[i];
    }
    *ret_view = view;
}

static void commit_record(struct memory_user *user, const struct record *record) {
    struct record *place = find_key(user, &record->key);
    check(!place || place->version < record->version, "versions grow");
    check(!record->deleted || record->data.size == 0, "tombstones are empty");
    if (!place) {
        check(user->record_count < MEMORY_RECORDS_MAX, "room");
        place = &user->records[user->record_count++];
        place->key = (struct record_key){record->key.type, keep(user, record->key.id)};
    }
    struct record_key key = place->key;
    *place = *record;
    place->key = key;
    place->data = keep(user, record->data);
    place->stamps = keep(user, record->stamps);
}

static void commit_log(struct memory_user *user, const struct log_entry *entry) {
    check(user->log_count < MEMORY_LOG_MAX, "room");
    struct log_entry kept = *entry;
    kept.key.id = keep(user, entry->key.id);
    kept.undo = keep(user, entry->undo);
    kept.device = keep(user, entry->device);
    kept.change_id = keep(user, entry->change_id);
    user->log[user->log_count++] = kept;
}

static void commit_row(struct memory_user *user, const struct row_write *write) {
    struct row *row = memory_user_row(user, write->table, write->key);
    if (!row) {
        check(!write->remove, "what is removed is there");
        check(user->row_count < MEMORY_ROWS_MAX, "room");
        row = &user->rows[user->row_count++];
    }
    *row = (struct row){.table = write->table,
                        .key = keep(user, write->key),
                        .value = keep(user, write->value),
                        .found = !write->remove};
}

/* The head must be what counting everything gives. */
static void check_head(const struct memory_user *user) {
    struct checksum sum = {0, 0};
    uint32_t count = 0;
    uint64_t bytes = 0;
    struct buffer scratch;
    buffer_init(&scratch, 64 << 20);
    for (size_t i = 0; i < user->record_count; i++) {
        const struct record *record = &user->records[i];
        struct checksum element;
        if (record->deleted)
            continue;
        check(checksum_element(&record->key, record->data, &scratch, &element) == SYNC_OK,
              "memory");
        check(element.high == record->element.high && element.low == record->element.low,
              "the element is the document's");
        sum = checksum_add(sum, element);
        count++;
        bytes += record->data.size;
    }
    buffer_done(&scratch);
    check(sum.high == user->head.checksum.high && sum.low == user->head.checksum.low,
          "the checksum is the records'");
    check(count == user->head.record_count, "the count is the records'");
    check(bytes == user->head.data_bytes, "the bytes are the records'");
}

void memory_user_commit(struct memory_user *user, const struct write_set *set) {
    check(set->expected_revision == user->head.revision, "the view is fresh");
    check(set->head.sequence == user->head.sequence + set->log_count, "one sequence a change");
    for (size_t i = 0; i < set->log_count; i++)
        check(set->log[i].sequence == user->head.sequence + 1 + i, "sequences have no gaps");
    for (size_t i = 0; i < set->record_count; i++)
        for (size_t j = 0; j < i; j++)
            check(set->records[i].key.type != set->records[j].key.type ||
                      !slice_equal(set->records[i].key.id, set->records[j].key.id),
                  "a record is written once");
    for (size_t i = 0; i < set->record_count; i++)
        commit_record(user, &set->records[i]);
    for (size_t i = 0; i < set->log_count; i++)
        commit_log(user, &set->log[i]);
    for (size_t i = 0; i < set->settled_count; i++) {
        check(user->settled_count < MEMORY_LOG_MAX, "room");
        struct settled *settled = &user->settled[user->settled_count++];
        *settled = set->settled[i];
        settled->device = keep(user, settled->device);
        settled->change_id = keep(user, settled->change_id);
        settled->outcome = keep(user, settled->outcome);
    }
    for (size_t i = 0; i < set->row_count; i++)
        commit_row(user, &set->rows[i]);
    check(set->head.time_us >= user->head.time_us ||
              user->head.time_us - set->head.time_us > HYBRID_CLOCK_AHEAD_MAX_US,
          "time goes on, or was far ahead");
    user->head = set->head;
    user->head.revision = set->expected_revision + 1;
    check_head(user);
}

void memory_user_trim(struct memory_user *user, uint64_t floor) {
    size_t kept = 0;
    for (size_t i = 0; i < user->log_count; i++)
        if (user->log[i].sequence > floor)
            user->log[kept++] = user->log[i];
    user->log_count = kept;
    user->head.log_floor = floor;
}
