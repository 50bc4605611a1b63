#include <assert.h>

#include "service/core/checksum.h"
#include "service/core/document.h"
#include "service/rpc/bundle_params.h"
#include "service/rpc/bundle_position.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/page_token.h"
#include "service/rpc/sync_metrics.h"

enum {
    RECORD_OVERHEAD = 64, /* of a record in the answer, beside id and data */
    PAGE_BYTES_MAX = BUNDLE_BYTES_MAX - (1 << 20), /* leaves room for the rest of the answer */
    JSON_BYTES_MAX = 8 * CHANGE_DATA_MAX,
    ETAG_HASH_SIZE = 16,
    VIEW_FULL = TRAVELSENSE__SYNC__V1__BUNDLE_VIEW__BUNDLE_VIEW_FULL,
};

/* A GetBundle on its way; lives in the call's arena. */
struct bundle_get {
    struct rpc_call *call;
    const PB(GetBundleRequest) *request;
    struct bundle_params params;
    size_t page_size; /* 0: by bytes alone */
    bool is_full;     /* the view */
    struct page_binding binding;
    bool goes_on; /* from `position` */
    struct bundle_position position;
    struct bundle bundle;
};

/* The page of the ordered items that is answered. */
struct bundle_page {
    size_t begin, end;
    bool has_more;
};

static struct bundle_page page_choose(const struct bundle_get *get,
                                      const struct bundle_source *source) {
    struct bundle_page page = {0};
    if (get->goes_on)
        page.begin = bundle_position_find(&get->position, source->items, source->count);
    size_t bytes = 0;
    for (page.end = page.begin; page.end < source->count; page.end++) {
        const struct pulled *item = &source->items[page.end];
        bytes += RECORD_OVERHEAD + item->record.key.id.size + pulled_bytes(item);
        bool is_full = bytes > PAGE_BYTES_MAX ||
                       (get->page_size > 0 && page.end - page.begin == get->page_size);
        if (is_full && page.end > page.begin)
            break;
    }
    page.has_more = page.end < source->count;
    return page;
}

/* Puts the records into the answer and sums their size as canonical JSON. */
static enum sync_status answer_records(struct bundle_source *source, struct bundle_page page,
                                       PB(GetBundleResponse) *response) {
    response->n_records = page.end - page.begin;
    response->records =
        arena_zalloc(&source->arena, response->n_records, sizeof *response->records);
    if (!response->records)
        return SYNC_ERR_NO_MEMORY;
    struct buffer json;
    buffer_init(&json, JSON_BYTES_MAX);
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < response->n_records && status == SYNC_OK; i++) {
        struct pulled *item = &source->items[page.begin + i];
        status = bundle_source_fill(source, item, &source->arena);
        if (status != SYNC_OK)
            break;
        response->records[i] = message_pulled(&source->arena, item);
        buffer_clear(&json);
        bool is_document = !item->record.deleted && item->form != PATCH_FORM_OPERATIONS;
        if (is_document)
            document_append_json(item->form ? item->patch : item->record.data, &json);
        response->size += (int32_t)(is_document ? json.size : item->patch.size);
        status = response->records[i] ? buffer_status(&json) : SYNC_ERR_NO_MEMORY;
    }
    buffer_done(&json);
    return status;
}

/* The position behind the page's last record. */
static struct bundle_position position_behind(const struct bundle_get *get,
                                              const struct bundle_source *source,
                                              const struct pulled *last) {
    struct bundle_position position = get->position;
    if (!get->goes_on) {
        position = (struct bundle_position){
            .bundle_id = get->bundle.id,
            .sequence = source->head.sequence,
            .checksum = source->head.checksum,
            .has_from = source->want.has_from,
            .from = source->want.from,
            .rank_us = source->rank_us,
            .expires_us = get->bundle.expires_us,
            /* A microsecond on: what follows is committed later than the last commit. */
            .next_since_us = source->head.time_us > 0 ? source->head.time_us + 1 : 0,
        };
    }
    if (last) {
        position.rank = last->rank;
        position.type = last->record.key.type;
        position.id = last->record.key.id;
    }
    return position;
}

/* A strong tag: the bundle's id stands for user, kinds of data, cursor, form and state. */
static char *answer_etag(const struct bundle_get *get, const struct bundle_position *position,
                         struct arena *arena) {
    const char *name = arena_format(arena, "%.*s|%zu|%s|%d", (int)position->bundle_id.size,
                                    (const char *)position->bundle_id.data, get->page_size,
                                    get->request->page_token, get->params.compress);
    if (!name)
        return NULL;
    uint8_t hash[SHA256_SIZE];
    sha256_of(slice_text(name), hash);
    char text[2 * ETAG_HASH_SIZE + 1];
    checksum_format(checksum_read(hash), text);
    return arena_format(arena, "\"%s\"", text);
}

/* What the full view has beside the records and where they lead. */
static enum sync_status answer_about(const struct bundle_get *get,
                                     const struct bundle_position *position,
                                     PB(GetBundleResponse) *response) {
    struct arena *arena = rpc_call_arena(get->call);
    response->bundle_id = arena_copy_text(arena, position->bundle_id);
    response->compressed = get->params.compress;
    response->expires_at = message_time(arena, position->expires_us);
    response->etag = answer_etag(get, position, arena);
    bool is_whole =
        response->bundle_id && response->expires_at && response->etag &&
        message_types(arena, get->params.types, &response->data_types, &response->n_data_types);
    return is_whole ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Where the records lead. */
static enum sync_status answer_frame(const struct bundle_get *get,
                                     const struct bundle_position *position, bool has_more,
                                     PB(GetBundleResponse) *response) {
    struct arena *arena = rpc_call_arena(get->call);
    uint8_t *checksum = arena_alloc(arena, CHECKSUM_SIZE);
    if (!checksum)
        return SYNC_ERR_NO_MEMORY;
    checksum_write(position->checksum, checksum);
    response->checksum = message_bytes(slice_of(checksum, CHECKSUM_SIZE));
    response->cursor = message_cursor_of(rpc_call_service(get->call), arena, position->sequence,
                                         get->params.types);
    if (!get->params.has_cursor)
        response->next_since = message_time(arena, position->next_since_us);
    if (has_more) {
        struct slice bytes;
        if (!bundle_position_pack(position, arena, &bytes))
            return SYNC_ERR_NO_MEMORY;
        response->next_page_token = page_token_format(arena, &get->binding, bytes);
    }
    bool is_whole = response->cursor && (response->next_since || get->params.has_cursor) &&
                    response->next_page_token;
    return is_whole ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

/* Finds the bundle of the question, or makes it known; its time of making orders the records. */
static enum sync_status get_find_bundle(struct bundle_get *get, struct bundle_source *source) {
    struct service *service = rpc_call_service(get->call);
    struct arena *arena = rpc_call_arena(get->call);
    get->bundle =
        bundle_params_bundle(&get->params, source, service, rpc_call_received_us(get->call), arena);
    if (get->bundle.id.size == 0)
        return SYNC_ERR_NO_MEMORY;
    if (!get->is_full)
        return SYNC_OK; /* nobody is told its id */
    struct bundle stored;
    enum sync_status status =
        bundle_load(service, get->bundle.id, source->want.user, arena, NULL, &stored);
    if (status == SYNC_OK)
        get->bundle = stored;
    else if (status == SYNC_ERR_NOT_FOUND)
        bundle_remember(service, &get->bundle);
    else
        return status;
    return SYNC_OK;
}

/* Reads and answers; the source lives until the answer is packed. */
static void get_answer(struct bundle_get *get, struct bundle_source *source) {
    struct rpc_call *call = get->call;
    enum sync_status status = get->goes_on ? SYNC_OK : get_find_bundle(get, source);
    int64_t rank_us = get->goes_on ? get->position.rank_us : get->bundle.created_us;
    if (status == SYNC_OK)
        status = bundle_source_collect(source, rank_us);
    PB(GetBundleResponse) response = PB_INIT(GET_BUNDLE_RESPONSE);
    if (status == SYNC_OK) {
        struct bundle_page page = page_choose(get, source);
        const struct pulled *last = page.end > page.begin ? &source->items[page.end - 1] : NULL;
        struct bundle_position position = position_behind(get, source, last);
        status = answer_records(source, page, &response);
        if (status == SYNC_OK)
            status = answer_frame(get, &position, page.has_more, &response);
        if (status == SYNC_OK && get->is_full)
            status = answer_about(get, &position, &response);
    }
    if (status != SYNC_OK) {
        call_fail_status(call, status);
        return;
    }
    const struct sync_metrics *metrics = rpc_call_service(call)->sync_metrics;
    if (metrics) {
        metric_add(metrics->bundle_records, (double)response.n_records);
        metric_add(metrics->bundle_bytes, response.size);
    }
    if (!get->is_full)
        response.size = 0;
    sync_service_get_bundle_reply(call, &response);
}

static void get_bound(struct rpc_call *call, const struct device *device, void *context) {
    struct bundle_get *get = context;
    struct service *service = rpc_call_service(call);
    struct slice user = slice_text(rpc_call_identity(call)->user);
    struct bundle_want want = bundle_params_want(&get->params, user, device);
    if (get->goes_on) {
        want.has_since = false;
        want.has_from = get->position.has_from;
        want.from = get->position.from;
    }
    struct sync_error error = {0};
    struct bundle_source source; /* not in the call's arena: it outlives the call */
    enum sync_status status = bundle_source_init(&source, service->store, &want, &error);
    if (status != SYNC_OK && error.status == status) {
        rpc_call_fail(call, &error);
        return;
    }
    if (status != SYNC_OK) {
        call_fail_status(call, status);
        return;
    }
    if (device && !get->goes_on)
        device_acknowledge(service, user, device, get->params.has_cursor,
                           get->params.cursor.sequence);
    get_answer(get, &source);
    bundle_source_done(&source);
}

/* Reads the page token into the position, or adds a violation. */
static void get_take_token(struct bundle_get *get, struct violations *violations) {
    struct arena *arena = rpc_call_arena(get->call);
    const PB(GetBundleRequest) *request = get->request;
    const char *parameters = arena_format(
        arena, "%x|%d|%d|%d|%d|%.*s|%s|%lld", get->params.types, get->params.compress,
        get->params.sync_type, get->params.patches, get->is_full, (int)get->params.device.size,
        (const char *)get->params.device.data, request->cursor,
        (long long)(get->params.has_since ? get->params.since_us : -1));
    if (!parameters) {
        violations->no_memory = true;
        return;
    }
    get->binding = (struct page_binding){.list = "bundle",
                                         .user = slice_text(rpc_call_identity(get->call)->user),
                                         .parameters = slice_text(parameters)};
    if (!request->page_token[0])
        return;
    struct slice bytes;
    get->goes_on = true;
    if (page_token_parse(slice_text(request->page_token), &get->binding, arena, &bytes) !=
            SYNC_OK ||
        bundle_position_unpack(bytes, &get->position) != SYNC_OK)
        violations_add(violations, "pageToken", "INVALID_VALUE",
                       "must be the nextPageToken of an answer to the same parameters");
}

/* Fills in and checks; false when the call has ended over it. */
static bool get_check(struct bundle_get *get) {
    const PB(GetBundleRequest) *request = get->request;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(get->call), rpc_call_faults(get->call));
    struct bundle_fields fields = {
        .data_types = request->data_types,
        .data_type_count = request->n_data_types,
        .since = request->since,
        .compress = request->compress,
        .cursor = request->cursor,
        .device_id = request->device_id,
        .sync_type = (int)request->sync_type,
        .patch_format = (int)request->patch_format,
    };
    bundle_params_check(&fields, get->call, &violations, &get->params);
    if ((int)request->view < 0 || (int)request->view > VIEW_FULL)
        violations_add(&violations, "view", "INVALID_VALUE", "must be basic or full");
    get->is_full =
        (int)request->view == VIEW_FULL || (request->view == 0 && !get->params.has_cursor);
    get->page_size =
        violations_check_page_size(&violations, request->page_size, 0, BUNDLE_PAGE_SIZE_MAX);
    get_take_token(get, &violations);
    return !violations_end(&violations, get->call);
}

void bundle_get_handle(struct rpc_call *call) {
    struct service *service = rpc_call_service(call);
    PB(GetBundleRequest) *request = sync_service_get_bundle_unpack(call);
    if (!request)
        return;
    struct bundle_get *get = arena_zalloc(rpc_call_arena(call), 1, sizeof *get);
    if (!get) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    get->call = call;
    get->request = request;
    if (!get_check(get))
        return;
    struct sync_error error;
    if (bundle_params_check_cursor(&get->params, service->store, &error) != SYNC_OK) {
        rpc_call_fail(call, &error);
        return;
    }
    if (get->params.device.size == 0)
        get_bound(call, NULL, get);
    else
        device_bind(call, &(struct device_claim){.id = get->params.device}, get_bound, get);
}
