/* Where the changes since a time begin. */
#include "service/store/rocks_private.h"

/* Narrows down to the greatest sequence, from `low` to `high`, up to which all blocks of the log
 * are of commits before the time. */
static enum sync_status since_narrow(struct rocks_cursor *log, struct slice user, int64_t time_us,
                                     uint64_t low, uint64_t high, uint64_t *ret_sequence) {
    while (low < high) {
        struct rocks_key key;
        uint64_t middle = low + (high - low) / 2, last;
        int64_t block_us;
        rocks_key_numbered(&key, user, middle + 1);
        rocks_cursor_seek(log, rocks_key_slice(&key));
        if (!rocks_cursor_valid(log)) {
            enum sync_status status = rocks_cursor_status(log);
            return status == SYNC_OK ? SYNC_ERR_CORRUPT : status;
        }
        struct slice stored = rocks_cursor_key(log);
        enum sync_status status = rocks_block_time(stored, rocks_cursor_value(log), &block_us);
        if (status != SYNC_OK)
            return status;
        bool is_before = block_us < time_us;
        if (!rocks_key_read_number(stored, &last) || last <= middle || (is_before && last > high))
            return SYNC_ERR_CORRUPT;
        if (is_before)
            low = last;
        else
            high = middle;
    }
    *ret_sequence = low;
    return SYNC_OK;
}

/* What is looked for among all records, where the log may not reach back to the time. */
struct since_search {
    int64_t time_us;
    uint64_t sequence;
};

static enum sync_status since_visit(void *context, const struct record_version *record,
                                    int64_t updated_us) {
    struct since_search *search = context;
    if (updated_us >= search->time_us && record->version <= search->sequence)
        search->sequence = record->version - 1;
    return SYNC_OK;
}

static enum sync_status since_find(struct rocks_store *store, const struct store_reader *reader,
                                   struct slice user, int64_t time_us, uint64_t *ret_sequence) {
    struct user_head head;
    struct rocks_key upper;
    struct rocks_cursor log;
    enum sync_status status = rocks_get_head(store, reader->options, user, &head);
    if (status != SYNC_OK)
        return status;
    struct since_search search = {.time_us = time_us, .sequence = head.sequence};
    if (time_us <= head.time_us && head.sequence > head.log_floor) {
        rocks_key_numbered(&upper, user, UINT64_MAX);
        rocks_cursor_open(&log, store, reader, ROCKS_LOG, &upper);
        status = since_narrow(&log, user, time_us, head.log_floor, head.sequence, &search.sequence);
        rocks_cursor_close(&log);
    }
    if (status == SYNC_OK && time_us <= head.time_us && search.sequence == head.log_floor)
        status = rocks_walk_versions(store, reader, user, since_visit, &search);
    if (status == SYNC_OK)
        *ret_sequence = search.sequence;
    return status;
}

enum sync_status rocks_sequence_before(struct store *base, struct store_reader *reader,
                                       struct slice user, int64_t time_us, uint64_t *ret_sequence) {
    struct rocks_store *store = rocks_store_of(base);
    struct store_reader own;
    uint64_t sequence;
    enum sync_status status = rocks_health(store);
    if (status != SYNC_OK)
        return status;
    metric_add(store->metrics.scans, 1);
    if (!reader)
        rocks_reader_init(&own, store);
    status = since_find(store, reader ? reader : &own, user, time_us, &sequence);
    if (!reader)
        rocks_reader_done(&own);
    if (status == SYNC_OK)
        *ret_sequence = sequence;
    return rocks_damage_tell(store, status, user);
}
