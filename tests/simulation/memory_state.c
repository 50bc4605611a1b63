#include "tests/simulation/memory_state.h"

#include "base/memory.h"

enum { ITEMS_FIRST = 8 };

/* ---- Arrays */

/* Makes room for one more item at a place; NULL without memory. */
static void *array_insert(void *items, size_t *count, size_t *capacity, size_t size, size_t place) {
    uint8_t *bytes = items;
    if (*count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : ITEMS_FIRST;
        bytes = memory_realloc(items, more * size);
        if (!bytes)
            return NULL;
        *capacity = more;
    }
    memmove(bytes + (place + 1) * size, bytes + place * size, (*count - place) * size);
    memset(bytes + place * size, 0, size);
    ++*count;
    return bytes;
}

static void *array_copy(const void *items, size_t capacity, size_t size, bool *ok) {
    void *copy = memory_alloc(capacity > 0 ? capacity * size : 1);
    if (!copy)
        *ok = false;
    else if (capacity > 0)
        memcpy(copy, items, capacity * size);
    return copy;
}

/* ---- States */

static bool user_copy(struct memory_user_data *data) {
    bool ok = true;
    data->records = array_copy(data->records, data->record_capacity, sizeof *data->records, &ok);
    data->log = array_copy(data->log, data->log_capacity, sizeof *data->log, &ok);
    data->settled = array_copy(data->settled, data->settled_capacity, sizeof *data->settled, &ok);
    return ok;
}

struct memory_state *memory_state_copy(const struct memory_state *state) {
    struct memory_state *copy = memory_alloc(sizeof *copy);
    bool ok = true;
    if (!copy)
        return NULL;
    *copy = *state;
    copy->holders = 1;
    copy->users = array_copy(state->users, state->user_capacity, sizeof *state->users, &ok);
    copy->rows = array_copy(state->rows, state->row_capacity, sizeof *state->rows, &ok);
    if (!copy->users)
        copy->user_count = 0;
    for (size_t i = 0; i < copy->user_count; i++)
        ok = user_copy(&copy->users[i]) && ok;
    return ok ? copy : memory_state_release(copy);
}

struct memory_state *memory_state_release(struct memory_state *state) {
    if (!state || --state->holders > 0)
        return NULL;
    for (size_t i = 0; i < state->user_count; i++) {
        memory_free(state->users[i].records);
        memory_free(state->users[i].log);
        memory_free(state->users[i].settled);
    }
    memory_free(state->users);
    memory_free(state->rows);
    memory_free(state);
    return NULL;
}

/* ---- Places */

size_t memory_user_place(const struct memory_state *state, struct slice user, bool *ret_found) {
    size_t low = 0, high = state->user_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (slice_compare(state->users[middle].user, user) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < state->user_count && slice_equal(state->users[low].user, user);
    return low;
}

static int key_compare(const struct record_key *a, const struct record_key *b) {
    return a->type != b->type ? (a->type < b->type ? -1 : 1) : slice_compare(a->id, b->id);
}

size_t memory_record_place(const struct memory_user_data *data, const struct record_key *key,
                           bool *ret_found) {
    size_t low = 0, high = data->record_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (key_compare(&data->records[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < data->record_count && key_compare(&data->records[low].key, key) == 0;
    return low;
}

size_t memory_row_place(const struct memory_state *state, enum table table, struct slice key,
                        bool *ret_found) {
    size_t low = 0, high = state->row_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct row *row = &state->rows[middle];
        bool is_before =
            row->table != table ? row->table < table : slice_compare(row->key, key) < 0;
        if (is_before)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < state->row_count && state->rows[low].table == table &&
                 slice_equal(state->rows[low].key, key);
    return low;
}

/* ---- Writing */

static bool write_record(struct memory_user_data *data, const struct record *record,
                         struct arena *arena) {
    bool found;
    size_t place = memory_record_place(data, &record->key, &found);
    if (!found) {
        struct record *records = array_insert(data->records, &data->record_count,
                                              &data->record_capacity, sizeof *records, place);
        if (!records)
            return false;
        data->records = records;
    }
    struct record *kept = &data->records[place];
    struct slice id = kept->key.id;
    *kept = *record;
    kept->key.id = id;
    return (found || arena_copy(arena, record->key.id, &kept->key.id)) &&
           arena_copy(arena, record->data, &kept->data) &&
           arena_copy(arena, record->stamps, &kept->stamps);
}

static bool write_entry(struct memory_user_data *data, const struct log_entry *entry,
                        int64_t commit_us, struct arena *arena) {
    struct memory_entry *log = array_insert(data->log, &data->log_count, &data->log_capacity,
                                            sizeof *log, data->log_count);
    if (!log)
        return false;
    data->log = log;
    struct memory_entry *kept = &log[data->log_count - 1];
    *kept = (struct memory_entry){*entry, commit_us};
    return arena_copy(arena, entry->key.id, &kept->entry.key.id) &&
           arena_copy(arena, entry->undo, &kept->entry.undo) &&
           arena_copy(arena, entry->device, &kept->entry.device) &&
           arena_copy(arena, entry->change_id, &kept->entry.change_id);
}

static bool write_settled(struct memory_user_data *data, const struct settled *settled,
                          int64_t commit_us, struct arena *arena) {
    struct memory_settled *all =
        array_insert(data->settled, &data->settled_count, &data->settled_capacity, sizeof *all,
                     data->settled_count);
    if (!all)
        return false;
    data->settled = all;
    struct memory_settled *kept = &all[data->settled_count - 1];
    *kept = (struct memory_settled){*settled, commit_us};
    return arena_copy(arena, settled->device, &kept->settled.device) &&
           arena_copy(arena, settled->change_id, &kept->settled.change_id) &&
           arena_copy(arena, settled->outcome, &kept->settled.outcome);
}

static bool write_row(struct memory_state *state, const struct row_write *write,
                      struct arena *arena) {
    bool found;
    size_t place = memory_row_place(state, write->table, write->key, &found);
    if (write->remove) {
        if (found)
            memmove(&state->rows[place], &state->rows[place + 1],
                    (--state->row_count - place) * sizeof *state->rows);
        return true;
    }
    if (!found) {
        struct row *rows =
            array_insert(state->rows, &state->row_count, &state->row_capacity, sizeof *rows, place);
        if (!rows)
            return false;
        state->rows = rows;
    }
    struct row *row = &state->rows[place];
    row->table = write->table;
    row->found = true;
    return (found || arena_copy(arena, write->key, &row->key)) &&
           arena_copy(arena, write->value, &row->value);
}

/* The user's data, made when he is new. */
static struct memory_user_data *write_user(struct memory_state *state, struct slice user,
                                           struct arena *arena) {
    bool found;
    size_t place = memory_user_place(state, user, &found);
    if (found)
        return &state->users[place];
    struct memory_user_data *users =
        array_insert(state->users, &state->user_count, &state->user_capacity, sizeof *users, place);
    if (!users)
        return NULL;
    state->users = users;
    return arena_copy(arena, user, &users[place].user) ? &users[place] : NULL;
}

static bool write_data(struct memory_user_data *data, const struct write_set *set,
                       struct arena *arena) {
    bool ok = true;
    int64_t commit_us = set->head.time_us;
    for (size_t i = 0; ok && i < set->record_count; i++)
        ok = write_record(data, &set->records[i], arena);
    for (size_t i = 0; ok && i < set->log_count; i++)
        ok = write_entry(data, &set->log[i], commit_us, arena);
    for (size_t i = 0; ok && i < set->settled_count; i++)
        ok = write_settled(data, &set->settled[i], commit_us, arena);
    data->head = set->head;
    data->head.revision = set->expected_revision + 1;
    return ok;
}

enum sync_status memory_state_write(struct memory_state *state, const struct write_set *set,
                                    struct arena *arena) {
    bool ok = true;
    if (set->user.size > 0 && !set->any_revision) {
        struct memory_user_data *data = write_user(state, set->user, arena);
        ok = data && write_data(data, set, arena);
    }
    for (size_t i = 0; ok && i < set->row_count; i++)
        ok = write_row(state, &set->rows[i], arena);
    return ok ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Whether a commit of this time may lie before others that are old enough to go. */
static bool is_passed_over(const struct store_trim *what, int64_t commit_us) {
    return what->ahead_us != 0 && commit_us > what->ahead_us;
}

void memory_state_trim(struct memory_user_data *data, const struct store_trim *what) {
    size_t entries = 0, settled = 0;
    for (size_t i = 0; i < data->log_count; i++)
        if (data->log[i].commit_us < what->log_before_us)
            entries = i + 1;
        else if (!is_passed_over(what, data->log[i].commit_us))
            break;
    for (size_t i = 0; i < data->settled_count; i++)
        if (data->settled[i].commit_us < what->settled_before_us)
            settled = i + 1;
        else if (!is_passed_over(what, data->settled[i].commit_us))
            break;
    if (entries + settled == 0)
        return;
    if (entries > 0)
        data->head.log_floor = data->log[entries - 1].entry.sequence;
    data->log_count -= entries;
    data->settled_count -= settled;
    memmove(data->log, data->log + entries, data->log_count * sizeof *data->log);
    memmove(data->settled, data->settled + settled, data->settled_count * sizeof *data->settled);
    data->head.revision++;
}
