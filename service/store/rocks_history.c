/* Entries of one user's log by sequence. */
#include <assert.h>

#include "base/memory.h"
#include "service/store/rocks_private.h"

enum { HISTORY_BLOCKS = 8 };

/* A block of the log, unpacked: `entries` is an array of struct log_entry into `body`. */
struct history_block {
    uint64_t first, last; /* sequences; 0: empty */
    struct buffer body, entries;
    size_t count;
};

struct rocks_history {
    struct slice user;
    struct rocks_cursor cursor;
    struct history_block blocks[HISTORY_BLOCKS];
    size_t next; /* which block is replaced next */
};

enum sync_status rocks_history_open(struct rocks_store *store, const struct store_reader *reader,
                                    struct slice user, struct rocks_history **ret_history) {
    struct rocks_key upper;
    struct rocks_history *history = memory_zalloc(1, sizeof *history);
    if (!history)
        return SYNC_ERR_NO_MEMORY;
    history->user = user;
    for (size_t i = 0; i < HISTORY_BLOCKS; i++) {
        buffer_init(&history->blocks[i].body, ROCKS_VALUE_MAX);
        buffer_init(&history->blocks[i].entries, ROCKS_VALUE_MAX);
    }
    rocks_key_numbered(&upper, user, UINT64_MAX);
    assert(!upper.failed); /* the head was read by this user before */
    rocks_cursor_open(&history->cursor, store, reader, ROCKS_LOG, &upper);
    *ret_history = history;
    return SYNC_OK;
}

struct rocks_history *rocks_history_close(struct rocks_history *history) {
    if (!history)
        return NULL;
    for (size_t i = 0; i < HISTORY_BLOCKS; i++) {
        buffer_done(&history->blocks[i].body);
        buffer_done(&history->blocks[i].entries);
    }
    rocks_cursor_close(&history->cursor);
    memory_free(history);
    return NULL;
}

/* Parses the unpacked body into entries. */
static enum sync_status block_parse(struct history_block *block) {
    struct wire_reader reader = wire_reader_of(buffer_slice(&block->body));
    uint64_t sequence = 0;
    buffer_clear(&block->entries);
    block->count = 0;
    while (!wire_at_end(&reader)) {
        struct log_entry entry;
        if (!rocks_log_next(&reader, &sequence, &entry))
            return SYNC_ERR_CORRUPT;
        block->first = block->count++ == 0 ? entry.sequence : block->first;
        buffer_append(&block->entries, slice_of(&entry, sizeof entry));
    }
    block->last = sequence;
    return block->count > 0 ? buffer_status(&block->entries) : SYNC_ERR_CORRUPT;
}

/* Reads the block that should hold `sequence` over the one that was replaced longest ago. */
static enum sync_status history_read(struct rocks_history *history, uint64_t sequence,
                                     struct history_block **ret_block) {
    struct history_block *block = &history->blocks[history->next++ % HISTORY_BLOCKS];
    struct rocks_key key;
    int64_t time_us;
    block->first = block->last = 0;
    rocks_key_numbered(&key, history->user, sequence);
    rocks_cursor_seek(&history->cursor, rocks_key_slice(&key));
    if (!rocks_cursor_valid(&history->cursor)) {
        enum sync_status status = rocks_cursor_status(&history->cursor);
        return status == SYNC_OK ? SYNC_ERR_CORRUPT : status;
    }
    enum sync_status status =
        rocks_block_open(rocks_cursor_key(&history->cursor), rocks_cursor_value(&history->cursor),
                         &block->body, &time_us);
    if (status == SYNC_OK)
        status = block_parse(block);
    if (status == SYNC_OK && (sequence < block->first || sequence > block->last))
        status = SYNC_ERR_CORRUPT;
    if (status != SYNC_OK)
        block->first = block->last = 0;
    *ret_block = block;
    return status;
}

static const struct log_entry *block_find(const struct history_block *block, uint64_t sequence) {
    const struct log_entry *entries = (const void *)block->entries.data;
    size_t low = 0, high = block->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entries[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low < block->count && entries[low].sequence == sequence ? &entries[low] : NULL;
}

/* The entry lives until the next call. */
static enum sync_status history_find(struct rocks_history *history, uint64_t sequence,
                                     const struct log_entry **ret_entry) {
    struct history_block *block = NULL;
    for (size_t i = 0; i < HISTORY_BLOCKS && !block; i++)
        if (sequence >= history->blocks[i].first && sequence <= history->blocks[i].last)
            block = &history->blocks[i];
    if (!block) {
        enum sync_status status = history_read(history, sequence, &block);
        if (status != SYNC_OK)
            return status;
    }
    *ret_entry = block_find(block, sequence);
    return *ret_entry ? SYNC_OK : SYNC_ERR_CORRUPT;
}

/* Copies what an entry borrows; its id is the wanted one, which lives long enough. */
static bool entry_copy(struct arena *arena, const struct log_entry *from, struct log_entry *to) {
    *to = *from;
    return arena_copy(arena, from->key.id, &to->key.id) &&
           arena_copy(arena, from->undo, &to->undo) &&
           arena_copy(arena, from->device, &to->device) &&
           arena_copy(arena, from->change_id, &to->change_id);
}

/* Appends to the view's history in the arena, doubling its room. */
static bool view_append(struct record_view *view, size_t *room, struct arena *arena,
                        const struct log_entry *entry) {
    if (view->history_count == *room) {
        size_t wider = *room ? *room * 2 : 2;
        struct log_entry *history = arena_zalloc(arena, wider, sizeof *history);
        if (!history)
            return false;
        if (*room > 0)
            memcpy(history, view->history, *room * sizeof *history);
        view->history = history;
        *room = wider;
    }
    return entry_copy(arena, entry, &view->history[view->history_count++]);
}

enum sync_status rocks_history_follow(struct rocks_history *history, const struct record_want *want,
                                      uint64_t log_floor, struct arena *arena,
                                      struct record_view *view) {
    size_t room = 0;
    uint64_t sequence = view->record.version;
    while (sequence > want->history_after) {
        if (sequence <= log_floor) {
            view->history_trimmed = true;
            break;
        }
        const struct log_entry *entry;
        enum sync_status status = history_find(history, sequence, &entry);
        if (status != SYNC_OK)
            return status;
        if (entry->key.type != want->key.type || !slice_equal(entry->key.id, want->key.id) ||
            entry->previous_version >= sequence)
            return SYNC_ERR_CORRUPT;
        sequence = entry->previous_version;
        if (!view_append(view, &room, arena, entry))
            return SYNC_ERR_NO_MEMORY;
    }
    return SYNC_OK;
}
