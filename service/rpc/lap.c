#include "service/rpc/lap.h"

#include <assert.h>

#include "service/core/pull.h"
#include "service/rpc/changed_keys.h"
#include "service/rpc/messages.h"

enum {
    LAP_AT_ONCE_MAX = 256, /* records of a lap that is read without an index */
    SCRATCH_MAX = 64 << 20,
    RECORD_BYTES = 48, /* what a record takes beyond its id and data, about */
};

void lap_release(struct lap *lap) {
    lap->index = lap_index_close(lap->index);
    lap->next = 0;
}

/* One page being read. */
struct lap_reading {
    struct lap *lap;
    const struct lap_source *source;
    const struct session_page_want *want;
    struct store_reader *reader; /* while keys are collected; NULL otherwise */
    struct arena *arena;
    struct session_answer *answer;
    struct user_head head;
    enum sync_status status; /* of a visit */
};

static enum sync_status fail_behind_log(struct sync_error *error) {
    return sync_error_set(error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL,
                          "the log no longer reaches back to the cursor");
}

/* Whether a lap of these bounds can be brought. */
static enum sync_status lap_check(const struct lap *lap, const struct user_head *head,
                                  struct sync_error *error) {
    if ((lap->has_from && lap->from > head->sequence) || lap->target > head->sequence)
        return sync_error_set(error, SYNC_ERR_INVALID, "INVALID_CURSOR", "cursor",
                              "lies ahead of the user's data");
    if (lap->has_from && lap->from < head->log_floor)
        return fail_behind_log(error);
    return SYNC_OK;
}

/* Takes over what a request says of its lap; of another lap than before nothing is known. */
static void lap_take(struct lap *lap, const struct session_page_want *want) {
    const struct lap_cursor *cursor = &want->lap;
    bool is_same = lap->is_known && !want->begins && lap->has_from == cursor->has_from &&
                   (!lap->has_from || lap->from == cursor->from) && lap->target == cursor->target &&
                   lap->rank_us == cursor->rank_us && lap->types == want->types &&
                   lap->order == cursor->order;
    if (is_same)
        return;
    lap_release(lap);
    *lap = (struct lap){
        .types = want->types,
        .order = cursor->order,
        .has_from = cursor->has_from,
        .from = cursor->from,
        .target = want->begins ? 0 : cursor->target,
        .rank_us = cursor->rank_us,
        .is_exact = true,
    };
}

/* Where a request stands, as an item to compare with; false: before the first. */
static bool position_of(const struct lap_cursor *cursor, struct lap_item *ret_item) {
    *ret_item = (struct lap_item){
        .rank = cursor->rank,
        .key = {.type = cursor->type, .id = slice_of(cursor->id, cursor->id_size)}};
    return cursor->id_size > 0;
}

/* Notes a record of the lap; one that is newer than the target is the next lap's. */
static enum sync_status lap_add(struct lap_reading *reading, const struct record *record) {
    struct lap *lap = reading->lap;
    bool is_wanted = lap->has_from ? record->version > lap->from : !record->deleted;
    if (record->version > lap->target) {
        lap->is_exact = false;
        return SYNC_OK;
    }
    if (!is_wanted)
        return SYNC_OK;
    struct lap_item item = {.rank = pull_rank_by(record, lap->rank_us, lap->order),
                            .key = record->key,
                            .size = (uint32_t)record->data.size};
    struct lap_item position;
    if (position_of(&reading->want->lap, &position) && lap_item_compare(&item, &position) <= 0)
        return SYNC_OK;
    return lap_index_add(lap->index, &item) ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

static bool record_visit(void *context, const struct scan_item *item) {
    struct lap_reading *reading = context;
    reading->status = lap_add(reading, item->record);
    return reading->status == SYNC_OK;
}

/* Looks through all records of the types. */
static enum sync_status collect_records(struct lap_reading *reading) {
    enum sync_status status = SYNC_OK;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST && status == SYNC_OK; type++) {
        if (!data_type_in(reading->lap->types, (enum data_type)type))
            continue;
        struct scan scan = {
            .kind = SCAN_RECORDS, .user = reading->source->user, .type = (enum data_type)type};
        status = store_scan(reading->source->store, reading->reader, &scan, record_visit, reading);
        if (status == SYNC_OK)
            status = reading->status;
    }
    return status;
}

/* Looks at the records that have changed, some at a time; at all of them where that takes less. */
static enum sync_status collect_changed(struct lap_reading *reading, struct arena *arena) {
    struct lap *lap = reading->lap;
    struct changed_keys keys = {.types = lap->types,
                                .after = lap->from,
                                .target = lap->target,
                                .count_max = CHANGED_KEYS_MAX};
    const struct lap_source *source = reading->source;
    enum sync_status status =
        changed_keys_read(&keys, source->store, reading->reader, source->user, arena);
    if (status != SYNC_OK)
        return status;
    if (!changed_keys_pay(&keys, &reading->head))
        return collect_records(reading);
    lap->is_exact = lap->is_exact && !keys.has_newer;
    struct arena scratch;
    arena_init(&scratch, SCRATCH_MAX);
    for (size_t i = 0; i < keys.count && status == SYNC_OK; i += CHANGED_KEYS_AT_ONCE) {
        size_t rest = keys.count - i;
        size_t count = rest < CHANGED_KEYS_AT_ONCE ? rest : CHANGED_KEYS_AT_ONCE;
        struct touched want = {
            .user = source->user, .records = &keys.wants[i], .record_count = count};
        struct user_view view;
        status = store_load(source->store, reading->reader, &want, &scratch, &view);
        for (size_t j = 0; j < count && status == SYNC_OK; j++)
            if (view.records[j].found)
                status = lap_add(reading, &view.records[j].record);
        arena_reset(&scratch);
    }
    arena_done(&scratch);
    return status;
}

/* Reads the head of the snapshot; a lap that begins gets its bounds by it. */
static enum sync_status collect_begin(struct lap_reading *reading) {
    struct lap *lap = reading->lap;
    struct touched want = {.user = reading->source->user};
    struct user_view view;
    enum sync_status status =
        store_load(reading->source->store, reading->reader, &want, reading->arena, &view);
    if (status != SYNC_OK)
        return status;
    reading->head = view.head;
    if (reading->want->begins) {
        lap->target = view.head.sequence;
        lap->rank_us = reading->source->now_us;
    }
    if (lap->target == view.head.sequence) {
        lap->checksum = view.head.checksum;
        lap->has_checksum = true;
    }
    return lap_check(lap, &view.head, &reading->answer->error);
}

/* Collects the keys behind the request's position, from one snapshot of the store. */
static enum sync_status lap_collect(struct lap_reading *reading) {
    struct lap *lap = reading->lap;
    lap_release(lap);
    lap->index = lap_index_open(reading->source->index_bytes_max);
    if (!lap->index)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = store_reader_open(reading->source->store, &reading->reader);
    if (status != SYNC_OK)
        return status;
    struct arena arena;
    arena_init(&arena, SCRATCH_MAX);
    status = collect_begin(reading);
    if (status == SYNC_OK)
        status = lap->has_from ? collect_changed(reading, &arena) : collect_records(reading);
    arena_done(&arena);
    store_reader_close(reading->source->store, reading->reader);
    reading->reader = NULL;
    if (status != SYNC_OK)
        return status;
    lap_index_sort(lap->index);
    lap->records_left = lap_index_total(lap->index, &lap->bytes_left);
    lap->is_known = true;
    return SYNC_OK;
}

/* Appends a record's message to the page. */
static enum sync_status page_add(struct lap_reading *reading, const struct record_view *view) {
    struct session_answer *answer = reading->answer;
    struct pulled item = {.record = view->record};
    if (reading->lap->has_from) {
        enum sync_status status =
            pull_make_patch(&item, reading->lap->from, reading->want->patches, reading->arena);
        if (status != SYNC_OK)
            return status;
    }
    PB(Record) *message = message_pulled(reading->arena, &item);
    if (!message)
        return SYNC_ERR_NO_MEMORY;
    answer->page.records[answer->page.count++] = message;
    answer->page.bytes += RECORD_BYTES + item.record.key.id.size + pulled_bytes(&item);
    return SYNC_OK;
}

/* What to load for the keys of the index from `next` on, as much as a page takes. */
static struct record_want *page_choose(struct lap_reading *reading, size_t *ret_count) {
    const struct lap *lap = reading->lap;
    const struct session_page_want *want = reading->want;
    size_t rest = lap_index_count(lap->index) - lap->next, count = 0, bytes = 0;
    size_t count_max = rest < want->records_max ? rest : want->records_max;
    struct record_want *wants = arena_zalloc(reading->arena, count_max, sizeof *wants);
    while (wants && count < count_max) {
        struct lap_item item = lap_index_at(lap->index, lap->next + count);
        bytes += RECORD_BYTES + item.key.id.size + item.size;
        if (count > 0 && bytes > want->bytes_max)
            break;
        wants[count++] = (struct record_want){.key = item.key};
    }
    *ret_count = count;
    return wants;
}

/* Reads some records of the index, as they are now. */
static enum sync_status page_load(struct lap_reading *reading) {
    struct lap *lap = reading->lap;
    size_t count;
    struct record_want *wants = page_choose(reading, &count);
    if (!wants)
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = reading->source->user, .records = wants, .record_count = count};
    struct user_view view;
    enum sync_status status =
        store_load(reading->source->store, NULL, &want, reading->arena, &view);
    if (status != SYNC_OK)
        return status;
    reading->head = view.head;
    reading->answer->page.count = 0;
    reading->answer->page.records =
        arena_zalloc(reading->arena, count, sizeof *reading->answer->page.records);
    if (!reading->answer->page.records)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count && status == SYNC_OK; i++) {
        const struct record_view *record = &view.records[i];
        lap->records_left--;
        lap->bytes_left -= lap_index_at(lap->index, lap->next + i).size;
        if (record->found && record->record.version <= lap->target)
            status = page_add(reading, record);
        else
            lap->is_exact = false;
    }
    lap->next += count;
    return status;
}

/* Says where the page led. */
static void page_end(struct lap_reading *reading, const struct lap_item *last) {
    const struct lap *lap = reading->lap;
    struct session_answer *answer = reading->answer;
    answer->page.lap = reading->want->lap;
    answer->page.lap.target = lap->target;
    answer->page.lap.rank_us = lap->rank_us;
    if (last) {
        answer->page.lap.rank = last->rank;
        answer->page.lap.type = last->key.type;
        answer->page.lap.id_size = (uint16_t)last->key.id.size;
        memcpy(answer->page.lap.id, last->key.id.data, last->key.id.size);
    }
    answer->page.is_exact = lap->is_exact && lap->has_checksum;
    answer->page.records_left = lap->records_left;
    answer->page.bytes_left = lap->bytes_left;
    answer->page.head = reading->head.sequence;
    answer->page.checksum = lap->checksum;
    answer->page.conflicts_open = reading->head.conflicts_open;
}

/* Whether the index stands where the request does. */
static bool index_is_there(const struct lap *lap, const struct session_page_want *want) {
    struct lap_item position;
    if (!lap->index || lap->next == 0 || !position_of(&want->lap, &position))
        return false;
    struct lap_item last = lap_index_at(lap->index, lap->next - 1);
    bool has_more = lap->next < lap_index_count(lap->index) || !lap_index_is_cut(lap->index);
    return has_more && lap_item_compare(&last, &position) == 0;
}

/* Reads a page by the index, which is collected where it is not there. */
static enum sync_status lap_read_indexed(struct lap_reading *reading) {
    struct lap *lap = reading->lap;
    enum sync_status status = SYNC_OK;
    if (!index_is_there(lap, reading->want))
        status = lap_collect(reading);
    if (status != SYNC_OK)
        return status;
    size_t count = lap_index_count(lap->index);
    while (status == SYNC_OK && reading->answer->page.count == 0 && lap->next < count)
        status = page_load(reading);
    if (status != SYNC_OK)
        return status;
    struct lap_item last;
    if (lap->next > 0)
        last = lap_index_at(lap->index, lap->next - 1);
    reading->answer->page.ends = lap->next == count && !lap_index_is_cut(lap->index);
    page_end(reading, lap->next > 0 ? &last : NULL);
    if (reading->answer->page.ends)
        lap_release(lap);
    return SYNC_OK;
}

/* Puts the records into order and appends those that belong to the lap. */
static enum sync_status few_add(struct lap_reading *reading, struct record_view *views,
                                size_t count) {
    struct lap *lap = reading->lap;
    struct pulled *items = arena_zalloc(reading->arena, count, sizeof *items);
    struct session_answer *answer = reading->answer;
    answer->page.records = arena_zalloc(reading->arena, count, sizeof *answer->page.records);
    if (!items || !answer->page.records)
        return SYNC_ERR_NO_MEMORY;
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (views[i].found && views[i].record.version > lap->target)
            lap->is_exact = false;
        else if (views[i].found)
            items[kept++] =
                (struct pulled){.record = views[i].record,
                                .rank = pull_rank_by(&views[i].record, lap->rank_us, lap->order)};
    }
    pull_sort(items, kept);
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < kept && status == SYNC_OK; i++) {
        size_t j = 0;
        while (!views[j].found || views[j].record.version != items[i].record.version)
            j++; /* versions are the user's own sequence: no two records share one */
        status = page_add(reading, &views[j]);
    }
    return status;
}

/* Brings a lap of a few changes in one page, by one look at what changed and one load. What is
 * committed in between is left to the next lap. False: it is no such lap. */
static bool lap_read_few(struct lap_reading *reading, enum sync_status *ret_status) {
    struct lap *lap = reading->lap;
    const struct session_page_want *want = reading->want;
    const struct lap_source *source = reading->source;
    struct changed_keys keys = {.types = lap->types,
                                .after = lap->from,
                                .target = UINT64_MAX,
                                .count_max = LAP_AT_ONCE_MAX};
    struct touched touched = {.user = source->user};
    struct user_view view;
    *ret_status = changed_keys_read(&keys, source->store, NULL, source->user, reading->arena);
    if (*ret_status != SYNC_OK || keys.is_cut || keys.count > want->records_max)
        return *ret_status != SYNC_OK;
    touched.records = keys.wants;
    touched.record_count = keys.count;
    *ret_status = store_load(source->store, NULL, &touched, reading->arena, &view);
    if (*ret_status != SYNC_OK)
        return true;
    lap->target = keys.last;
    lap->rank_us = source->now_us;
    *ret_status = lap_check(lap, &view.head, &reading->answer->error);
    if (*ret_status != SYNC_OK)
        return true;
    size_t bytes = 0;
    for (size_t i = 0; i < keys.count; i++)
        bytes +=
            RECORD_BYTES + view.records[i].record.key.id.size + view.records[i].record.data.size;
    if (keys.count > 1 && bytes > want->bytes_max)
        return false;
    reading->head = view.head;
    lap->has_checksum = view.head.sequence == lap->target;
    lap->checksum = view.head.checksum;
    *ret_status = few_add(reading, view.records, keys.count);
    reading->answer->page.ends = true;
    page_end(reading, NULL);
    return true;
}

void lap_read(struct lap *lap, const struct lap_source *source,
              const struct session_page_want *want, struct arena *arena,
              struct session_answer *ret_answer) {
    assert(want->records_max > 0);
    *ret_answer = (struct session_answer){.kind = SESSION_PAGE};
    struct lap_reading reading = {
        .lap = lap, .source = source, .want = want, .arena = arena, .answer = ret_answer};
    enum sync_status status;
    lap_take(lap, want);
    bool is_done = want->begins && lap->has_from && lap_read_few(&reading, &status);
    if (!is_done)
        status = lap_read_indexed(&reading);
    if (status != SYNC_OK) {
        lap_release(lap);
        if (ret_answer->error.status != status)
            sync_error_of(&ret_answer->error, status);
    }
}
