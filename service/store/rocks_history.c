/* The histories of the records that a load wants, all in one pass back through the user's log: so
 * that each block of it is read once, however many records have entries in it. */
#include <assert.h>

#include "base/limits.h"
#include "service/store/rocks_private.h"

/* A block of the log, unpacked: `entries` is an array of struct log_entry into `body`. */
struct history_block {
    uint64_t first, last; /* sequences; 0: empty */
    struct buffer body, entries;
    size_t count;
};

/* A record on its way back. */
struct history_walk {
    const struct record_want *want;
    struct record_view *view;
    size_t room;   /* in the view's history */
    uint64_t next; /* the sequence to look up */
};

/* A pass. */
struct history_pass {
    struct rocks_store *store;
    struct slice user;
    struct arena *arena;
    uint64_t log_floor;
    struct rocks_cursor cursor;
    struct history_block block;
    struct history_walk *walks; /* a heap: the first has the greatest `next` */
    size_t walk_count;
    size_t entry_count, bytes; /* that were taken */
};

/* ---- Blocks */

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

/* Reads the block that should hold `sequence` over the one before. */
static enum sync_status block_read(struct history_pass *pass, uint64_t sequence) {
    struct history_block *block = &pass->block;
    struct rocks_key key;
    int64_t time_us;
    block->first = block->last = 0;
    rocks_key_numbered(&key, pass->user, sequence);
    rocks_cursor_seek(&pass->cursor, rocks_key_slice(&key));
    if (!rocks_cursor_valid(&pass->cursor)) {
        enum sync_status status = rocks_cursor_status(&pass->cursor);
        return status == SYNC_OK ? SYNC_ERR_CORRUPT : status;
    }
    metric_add(pass->store->metrics.history_blocks, 1);
    enum sync_status status = rocks_block_open(
        rocks_cursor_key(&pass->cursor), rocks_cursor_value(&pass->cursor), &block->body, &time_us);
    if (status == SYNC_OK)
        status = block_parse(block);
    if (status == SYNC_OK && (sequence < block->first || sequence > block->last))
        status = SYNC_ERR_CORRUPT;
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
static enum sync_status pass_find(struct history_pass *pass, uint64_t sequence,
                                  const struct log_entry **ret_entry) {
    if (sequence < pass->block.first || sequence > pass->block.last) {
        enum sync_status status = block_read(pass, sequence);
        if (status != SYNC_OK)
            return status;
    }
    *ret_entry = block_find(&pass->block, sequence);
    return *ret_entry ? SYNC_OK : SYNC_ERR_CORRUPT;
}

/* ---- Walks */

/* Moves the walk at `place` down to where it belongs. */
static void walks_sink(struct history_pass *pass, size_t place) {
    struct history_walk *walks = pass->walks, moved = walks[place];
    for (size_t child; (child = 2 * place + 1) < pass->walk_count; place = child) {
        if (child + 1 < pass->walk_count && walks[child + 1].next > walks[child].next)
            child++;
        if (walks[child].next <= moved.next)
            break;
        walks[place] = walks[child];
    }
    walks[place] = moved;
}

/* Whether a walk goes on; where the log does not reach on, its view is told so. */
static bool walk_goes_on(const struct history_pass *pass, const struct history_walk *walk) {
    if (walk->next <= walk->want->history_after)
        return false;
    if (walk->next <= pass->log_floor)
        walk->view->history_trimmed = true;
    return !walk->view->history_trimmed;
}

/* The walks of all records whose history is wanted. */
static enum sync_status walks_begin(struct history_pass *pass, const struct touched *want,
                                    struct user_view *view) {
    pass->walks = arena_alloc(pass->arena, want->record_count * sizeof *pass->walks);
    if (!pass->walks)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < want->record_count; i++) {
        struct history_walk walk = {.want = &want->records[i],
                                    .view = &view->records[i],
                                    .next = view->records[i].record.version};
        if (walk.want->history && walk.view->found && walk_goes_on(pass, &walk))
            pass->walks[pass->walk_count++] = walk;
    }
    for (size_t i = pass->walk_count / 2; i-- > 0;)
        walks_sink(pass, i);
    return SYNC_OK;
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
static bool walk_append(struct history_walk *walk, struct arena *arena,
                        const struct log_entry *entry) {
    struct record_view *view = walk->view;
    if (view->history_count == walk->room) {
        size_t wider = walk->room ? walk->room * 2 : 2;
        struct log_entry *history = arena_zalloc(arena, wider, sizeof *history);
        if (!history)
            return false;
        if (walk->room > 0)
            memcpy(history, view->history, walk->room * sizeof *history);
        view->history = history;
        walk->room = wider;
    }
    return entry_copy(arena, entry, &view->history[view->history_count++]);
}

/* Takes the next entry of the first walk. */
static enum sync_status walk_step(struct history_pass *pass) {
    struct history_walk *walk = &pass->walks[0];
    const struct record_want *want = walk->want;
    const struct log_entry *entry;
    enum sync_status status = pass_find(pass, walk->next, &entry);
    if (status != SYNC_OK)
        return status;
    if (entry->key.type != want->key.type || !slice_equal(entry->key.id, want->key.id) ||
        entry->previous_version >= walk->next)
        return SYNC_ERR_CORRUPT;
    if (!walk_append(walk, pass->arena, entry))
        return SYNC_ERR_NO_MEMORY;
    pass->entry_count++;
    pass->bytes += sizeof *entry + entry->undo.size;
    walk->next = entry->previous_version;
    bool is_enough =
        entry->as_sent && want->history_of.size > 0 && slice_equal(entry->device, want->history_of);
    if (is_enough || !walk_goes_on(pass, walk))
        *walk = pass->walks[--pass->walk_count];
    if (pass->walk_count > 0)
        walks_sink(pass, 0);
    return SYNC_OK;
}

static enum sync_status pass_run(struct history_pass *pass) {
    enum sync_status status = SYNC_OK;
    while (status == SYNC_OK && pass->walk_count > 0 && pass->entry_count < LOAD_HISTORY_MAX &&
           pass->bytes < LOAD_HISTORY_BYTES_MAX)
        status = walk_step(pass);
    for (size_t i = 0; i < pass->walk_count; i++)
        pass->walks[i].view->history_trimmed = true;
    return status;
}

enum sync_status rocks_load_histories(struct rocks_store *store, const struct store_reader *reader,
                                      const struct touched *want, struct arena *arena,
                                      struct user_view *view) {
    struct rocks_key upper;
    struct history_pass pass = {
        .store = store, .user = want->user, .arena = arena, .log_floor = view->head.log_floor};
    enum sync_status status = walks_begin(&pass, want, view);
    if (status != SYNC_OK || pass.walk_count == 0)
        return status;
    buffer_init(&pass.block.body, ROCKS_VALUE_MAX);
    buffer_init(&pass.block.entries, ROCKS_VALUE_MAX);
    rocks_key_numbered(&upper, want->user, UINT64_MAX);
    assert(!upper.failed); /* the head was read by this user before */
    rocks_cursor_open(&pass.cursor, store, reader, ROCKS_LOG, &upper);
    status = pass_run(&pass);
    rocks_cursor_close(&pass.cursor);
    buffer_done(&pass.block.entries);
    buffer_done(&pass.block.body);
    return status;
}
