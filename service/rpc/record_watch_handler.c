/* WatchRecords: reads what changed from a position on, page by page, and then follows.
 *
 * A page stands for a stretch of the user's sequence: it holds the records whose newest version
 * lies in it, as they are now. One that has changed again behind the stretch is left to a later
 * page, so that versions only grow and each record comes at least once after its last change. */
#include <assert.h>

#include "service/core/cursor.h"
#include "service/rpc/handlers.h"
#include "service/rpc/live_stream.h"
#include "service/rpc/messages.h"
#include "service/rpc/record_check.h"

enum {
    PAGE_RECORDS_MAX = 1000,
    PAGE_BYTES = 256 << 10, /* of data; the record that passes it is the last */
    LOAD_AT_ONCE = 16,      /* what is loaded and not kept stays small */
    LOAD_ARENA_MAX = 64 << 20,
    TELL_EVERY = 1000, /* sequences passed without a record, until their cursor is told alone */
};

/* A watch; in the call's arena. */
struct record_watch {
    struct live_stream live; /* first: found from it */
    data_type_set types;
    bool has_position; /* before the first turn: false when it begins now */
    uint64_t position; /* in the user's sequence; all before it is dealt with */
    uint64_t told;     /* the position whose cursor the client has */
    bool is_told;      /* any */
};

/* A page being made. */
struct watch_page {
    struct record_watch *watch;
    struct store_reader *reader;
    struct arena *arena;
    struct user_head head;
    struct record_version *keys; /* by version */
    size_t room, key_count;
    bool is_cut;      /* there are more behind them */
    uint64_t reached; /* the end of the stretch */
    PB(Record) **records;
    size_t count, bytes;
    enum sync_status status;
};

static bool changed_visit(void *context, const struct scan_item *item) {
    struct watch_page *page = context;
    if (!data_type_in(page->watch->types, item->changed->key.type))
        return true;
    page->is_cut = page->key_count == page->room;
    if (page->is_cut)
        return false;
    struct record_version *key = &page->keys[page->key_count++];
    *key = *item->changed;
    if (!arena_copy(page->arena, key->key.id, &key->key.id))
        page->status = SYNC_ERR_NO_MEMORY;
    return page->status == SYNC_OK;
}

/* Reads which records the next stretch has. */
static enum sync_status page_read_keys(struct watch_page *page) {
    uint64_t room = page->head.sequence - page->watch->position;
    room = room < PAGE_RECORDS_MAX ? room : PAGE_RECORDS_MAX;
    page->keys = arena_zalloc(page->arena, room, sizeof *page->keys);
    page->records = arena_zalloc(page->arena, room, sizeof *page->records);
    page->room = room;
    if (!page->keys || !page->records)
        return SYNC_ERR_NO_MEMORY;
    struct scan scan = {
        .kind = SCAN_CHANGED, .user = page->watch->live.user, .after = page->watch->position};
    struct store *store = rpc_call_service(page->watch->live.call)->store;
    enum sync_status status = store_scan(store, page->reader, &scan, changed_visit, page);
    page->reached = page->is_cut ? page->keys[page->key_count - 1].version : page->head.sequence;
    return status == SYNC_OK ? page->status : status;
}

/* Takes a record into the page. */
static enum sync_status page_add(struct watch_page *page, const struct record_view *view) {
    if (!view->found)
        return SYNC_ERR_CORRUPT; /* its version was read from the same snapshot */
    struct record record = view->record;
    PB(Record) *message = arena_copy(page->arena, record.data, &record.data)
                              ? message_record(page->arena, &record, true)
                              : NULL;
    if (!message)
        return SYNC_ERR_NO_MEMORY;
    page->records[page->count++] = message;
    page->bytes += record.data.size;
    return SYNC_OK;
}

/* Loads some of the records named, from `first` on. A page that is full ends the stretch. */
static enum sync_status page_load_some(struct watch_page *page, size_t first, size_t count,
                                       struct arena *scratch) {
    struct record_want wants[LOAD_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        wants[i] = (struct record_want){.key = page->keys[first + i].key};
    struct touched want = {.user = page->watch->live.user, .records = wants, .record_count = count};
    struct user_view view;
    struct store *store = rpc_call_service(page->watch->live.call)->store;
    enum sync_status status = store_load(store, page->reader, &want, scratch, &view);
    for (size_t i = 0; i < count && status == SYNC_OK && page->bytes < PAGE_BYTES; i++) {
        status = page_add(page, &view.records[i]);
        if (page->bytes >= PAGE_BYTES && first + i + 1 < page->key_count)
            page->reached = page->keys[first + i].version;
    }
    return status;
}

static enum sync_status page_load(struct watch_page *page) {
    struct arena scratch;
    enum sync_status status = SYNC_OK;
    arena_init(&scratch, LOAD_ARENA_MAX);
    for (size_t i = 0; i < page->key_count && status == SYNC_OK && page->bytes < PAGE_BYTES;
         i += LOAD_AT_ONCE) {
        size_t rest = page->key_count - i;
        status = page_load_some(page, i, rest < LOAD_AT_ONCE ? rest : LOAD_AT_ONCE, &scratch);
        arena_reset(&scratch);
    }
    arena_done(&scratch);
    return status;
}

/* Loads the head and checks the position by it. */
static enum sync_status page_begin(struct watch_page *page, struct sync_error *error) {
    struct record_watch *watch = page->watch;
    struct touched want = {.user = watch->live.user};
    struct user_view view;
    enum sync_status status = store_load(rpc_call_service(watch->live.call)->store, page->reader,
                                         &want, page->arena, &view);
    if (status != SYNC_OK)
        return status;
    page->head = view.head;
    if (!watch->has_position)
        watch->position = view.head.sequence;
    watch->has_position = true;
    if (watch->position > view.head.sequence)
        return sync_error_set(error, SYNC_ERR_INVALID, "INVALID_CURSOR", "cursor",
                              "lies ahead of the user's data");
    if (watch->position < view.head.log_floor)
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL,
                              "the log no longer reaches back to the cursor: list the records, "
                              "and watch from the cursor of that answer");
    page->reached = watch->position;
    return SYNC_OK;
}

/* Says what is to be sent: the page, or the cursor alone. */
static enum sync_status page_send(struct watch_page *page, struct live_step *step) {
    struct record_watch *watch = page->watch;
    watch->position = page->reached;
    bool has_more = page->reached < page->head.sequence;
    bool is_due = page->count > 0 || !watch->is_told || watch->position - watch->told >= TELL_EVERY;
    assert(is_due || !has_more); /* only a page that is full of records ends before the head */
    if (!is_due)
        return SYNC_OK;
    PB(WatchRecordsResponse) response = PB_INIT(WATCH_RECORDS_RESPONSE);
    response.records = page->records;
    response.n_records = page->count;
    response.cursor = message_cursor_of(rpc_call_service(watch->live.call), page->arena,
                                        watch->position, watch->types);
    if (!response.cursor || !message_pack(&response.base, page->arena, &step->message))
        return SYNC_ERR_NO_MEMORY;
    watch->told = watch->position;
    watch->is_told = true;
    step->kind = LIVE_SEND;
    step->has_more = has_more;
    return SYNC_OK;
}

static void record_watch_turn(struct live_stream *live, struct arena *arena,
                              struct live_step *ret_step) {
    struct watch_page page = {.watch = (struct record_watch *)live, .arena = arena};
    struct store *store = rpc_call_service(live->call)->store;
    struct sync_error error = {.status = SYNC_OK};
    enum sync_status status = store_reader_open(store, &page.reader);
    if (status == SYNC_OK)
        status = page_begin(&page, &error);
    if (status == SYNC_OK && page.reached < page.head.sequence)
        status = page_read_keys(&page);
    if (status == SYNC_OK)
        status = page_load(&page);
    store_reader_close(store, page.reader);
    if (status == SYNC_OK)
        status = page_send(&page, ret_step);
    if (status == SYNC_OK)
        return;
    live_step_fail(ret_step, status);
    if (error.status == status)
        ret_step->error = error;
}

/* Reads where to begin; false when the call has ended over it. */
static bool watch_take_cursor(struct record_watch *watch, struct slice text,
                              struct violations *violations) {
    struct rpc_call *call = watch->live.call;
    struct cursor cursor = {0};
    if (text.size > 0 && cursor_parse(text, &cursor) != SYNC_OK)
        violations_add(violations, "cursor", "INVALID_VALUE",
                       "must be a cursor that this service has given out");
    if (violations_end(violations, call))
        return false;
    if (text.size > 0 && cursor.epoch != store_epoch(rpc_call_service(call)->store)) {
        rpc_call_fail_with(call, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED",
                           "the cursor is of an earlier store: list the records, and watch from "
                           "the cursor of that answer");
        return false;
    }
    if (!cursor_covers(&cursor, watch->types)) {
        rpc_call_fail_with(call, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED",
                           "the cursor was given for fewer data types: list the records of the "
                           "others, and watch from the cursor of that answer");
        return false;
    }
    watch->has_position = text.size > 0;
    watch->position = cursor.sequence;
    return true;
}

void records_watch_handle(struct rpc_call *call) {
    const PB(WatchRecordsRequest) *request = record_service_watch_records_unpack(call);
    if (!request)
        return;
    struct arena *arena = rpc_call_arena(call);
    struct record_watch *watch = arena_zalloc(arena, 1, sizeof *watch);
    if (!watch) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    watch->live = (struct live_stream){
        .call = call, .user = slice_text(request->user_id), .turn = record_watch_turn};
    watch->types = request->n_data_types > 0
                       ? message_type_set(request->data_types, request->n_data_types)
                       : DATA_TYPES_ALL;
    struct violations violations;
    violations_init(&violations, arena, rpc_call_faults(call));
    record_check_user(&violations, request->user_id);
    for (size_t i = 0; i < request->n_data_types; i++)
        violations_check_type(&violations, i, (int)request->data_types[i]);
    if (watch_take_cursor(watch, slice_text(request->cursor), &violations))
        live_stream_start(&watch->live);
}
