#include <stdio.h>

#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/page_token.h"
#include "service/rpc/quarantine.h"
#include "service/rpc/violations.h"

/* Rows looked at for one page; keys of both tables fit a position with the table before them. */
enum { PAGE_SCAN_MAX = 2 * PAGE_SIZE_MAX, JOB_KEY_MAX = 8 + 256, STATES = 3 };
_Static_assert(1 + JOB_KEY_MAX <= PAGE_TOKEN_PAYLOAD_MAX, "a position is a table and a key");

void quarantine_get_handle(struct rpc_call *call) {
    const PB(GetQuarantinedJobRequest) *request = sync_service_get_quarantined_job_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    violations_check_uuid(&violations, "jobId", request->job_id);
    if (violations_end(&violations, call) || !device_guard(call))
        return;
    struct sync_error error;
    struct quarantined entry;
    enum sync_status status =
        quarantined_load(rpc_call_service(call), slice_text(request->job_id),
                         rpc_call_identity(call), rpc_call_arena(call), &error, &entry);
    if (status != SYNC_OK) {
        rpc_call_fail(call, &error);
        return;
    }
    PB(GetQuarantinedJobResponse) response = PB_INIT(GET_QUARANTINED_JOB_RESPONSE);
    response.job = quarantined_message(&entry, true, rpc_call_arena(call));
    if (response.job)
        sync_service_get_quarantined_job_reply(call, &response);
    else
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
}

/* A page of jobs being gathered. */
struct quarantine_page {
    struct arena *arena;
    struct slice user; /* empty: anybody's */
    enum table table;  /* now being scanned */
    size_t size;
    PB(QuarantinedJob) **jobs;
    size_t count, scanned;
    bool has_more;
    struct slice last; /* position: the table as a byte, then the key looked at last */
    enum sync_status status;
};

static bool page_note(struct quarantine_page *page, struct slice key) {
    uint8_t *position = arena_alloc(page->arena, 1 + key.size);
    if (!position)
        return false;
    position[0] = (uint8_t)page->table;
    memcpy(position + 1, key.data, key.size);
    page->last = slice_of(position, 1 + key.size);
    return true;
}

static bool page_visit(void *context, const struct scan_item *item) {
    struct quarantine_page *page = context;
    struct quarantined entry;
    if (page->count == page->size || page->scanned == PAGE_SCAN_MAX) {
        page->has_more = page->last.size > 0;
        return false;
    }
    page->scanned++;
    bool is_wanted = item->row->key.size <= JOB_KEY_MAX &&
                     quarantined_read(page->table, item->row->key, item->row->value, &entry) &&
                     (page->user.size == 0 || slice_equal(entry.job.user, page->user));
    bool is_kept = page_note(page, slice_first(item->row->key, item->row->key.size));
    if (is_kept && is_wanted) {
        page->jobs[page->count] = quarantined_message(&entry, false, page->arena);
        is_kept = page->jobs[page->count++] != NULL;
    }
    if (!is_kept)
        page->status = SYNC_ERR_NO_MEMORY;
    return is_kept;
}

/* Scans the tables of the wanted states, behind the position. */
static enum sync_status page_read(struct quarantine_page *page, struct store *store, int state,
                                  struct slice position) {
    static const enum table tables[] = {TABLE_QUARANTINE, TABLE_JOB};
    static const int states[] = {
        TRAVELSENSE__SYNC__V1__QUARANTINE_STATE__QUARANTINE_STATE_QUARANTINED,
        TRAVELSENSE__SYNC__V1__QUARANTINE_STATE__QUARANTINE_STATE_RETRYING};
    bool goes_on = position.size > 0;
    page->jobs = arena_zalloc(page->arena, page->size, sizeof *page->jobs);
    if (!page->jobs)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && !page->has_more; i++) {
        if (goes_on && position.data[0] != (uint8_t)tables[i])
            continue;
        struct scan scan = {.kind = SCAN_ROWS,
                            .table = tables[i],
                            .after_key = goes_on ? slice_after(position, 1) : SLICE_EMPTY,
                            .with_damaged = true};
        goes_on = false;
        if (state != 0 && state != states[i])
            continue;
        page->table = tables[i];
        enum sync_status status = store_scan(store, NULL, &scan, page_visit, page);
        if (status == SYNC_OK)
            status = page->status;
        if (status != SYNC_OK)
            return status;
    }
    return SYNC_OK;
}

static void page_reply(struct quarantine_page *page, struct rpc_call *call, int state,
                       const struct page_binding *binding, struct slice position) {
    PB(ListQuarantinedJobsResponse) response = PB_INIT(LIST_QUARANTINED_JOBS_RESPONSE);
    enum sync_status status = page_read(page, rpc_call_service(call)->store, state, position);
    response.jobs = page->jobs;
    response.n_jobs = page->count;
    if (status == SYNC_OK && page->has_more) {
        response.next_page_token = page_token_format(page->arena, binding, page->last);
        status = response.next_page_token ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    }
    if (status == SYNC_OK)
        sync_service_list_quarantined_jobs_reply(call, &response);
    else
        call_fail_status(call, status);
}

/* Whose jobs are listed; adds a violation when they are not the caller's to see. */
static struct slice page_user(const struct rpc_call *call, const char *asked,
                              struct violations *violations) {
    const struct identity *caller = rpc_call_identity(call);
    struct slice user = slice_text(asked), own = slice_text(caller->user);
    if (user.size > USER_ID_MAX)
        violations_add(violations, "userId", "TOO_LONG", "must have at most %d bytes", USER_ID_MAX);
    if (caller->is_service)
        return user;
    if (user.size > 0 && !slice_equal(user, own))
        violations_add(violations, "userId", "INVALID_VALUE",
                       "must be the caller, who is no service");
    return own;
}

void quarantine_list_handle(struct rpc_call *call) {
    const PB(ListQuarantinedJobsRequest) *request = sync_service_list_quarantined_jobs_unpack(call);
    if (!request)
        return;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    struct quarantine_page page = {.arena = rpc_call_arena(call)};
    page.user = page_user(call, request->user_id, &violations);
    page.size = violations_check_page_size(&violations, request->page_size, PAGE_SIZE_DEFAULT,
                                           PAGE_SIZE_MAX);
    int state = (int)request->state;
    if (state < 0 || state >= STATES)
        violations_add(&violations, "state", "INVALID_VALUE", "must be retrying or quarantined");
    char parameters[2 + USER_ID_MAX];
    snprintf(parameters, sizeof parameters, "%d%.*s", state & 3, (int)page.user.size,
             (const char *)page.user.data);
    struct page_binding binding = {.list = "quarantine",
                                   .user = slice_text(rpc_call_identity(call)->user),
                                   .parameters = slice_text(parameters)};
    struct slice position = SLICE_EMPTY;
    if (request->page_token[0] && page_token_parse(slice_text(request->page_token), &binding,
                                                   page.arena, &position) != SYNC_OK)
        violations_add(&violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to this same list");
    if (!violations_end(&violations, call) && device_guard(call))
        page_reply(&page, call, state, &binding, position);
}
