#include "service/rpc/bundle_store.h"

#include <assert.h>

#include "base/memory.h"
#include "service/core/expiry_key.h"
#include "service/rpc/lane_write.h"

enum { BACKGROUND_BYTES_MAX = 64 << 10 };

enum sync_status bundle_load(struct service *service, struct slice bundle_id, struct slice user,
                             struct arena *arena, struct sync_error *error,
                             struct bundle *ret_bundle) {
    struct row wanted = {.table = TABLE_BUNDLE, .key = bundle_id};
    struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status = store_load(service->store, NULL, &want, arena, &view);
    struct bundle bundle = {0};
    if (status == SYNC_OK && view.rows[0].found)
        status = bundle_unpack(view.rows[0].value, &bundle);
    if (status != SYNC_OK)
        return sync_error_of(error, status);
    if (!view.rows[0].found || bundle.expires_us <= (int64_t)clock_now_us(service->clock))
        return sync_error_set(error, SYNC_ERR_NOT_FOUND, "BUNDLE_NOT_FOUND", NULL,
                              "there is no bundle with this id; it may have expired");
    if (!slice_equal(bundle.user, user))
        return sync_error_set(error, SYNC_ERR_DENIED, "BUNDLE_OF_ANOTHER_USER", NULL,
                              "this bundle belongs to another user");
    bundle.id = bundle_id;
    *ret_bundle = bundle;
    return SYNC_OK;
}

bool bundle_rows(const struct bundle *bundle, struct arena *arena, struct row_write rows[2]) {
    rows[0] = (struct row_write){.table = TABLE_BUNDLE, .key = bundle->id};
    rows[1] = (struct row_write){.table = TABLE_EXPIRY};
    return bundle_pack(bundle, arena, &rows[0].value) &&
           expiry_key_make(arena, bundle->expires_us, TABLE_BUNDLE, bundle->id, &rows[1].key);
}

/* A write of a bundle's row on its way; owns itself. */
struct bundle_background {
    struct lane_write write; /* first: found from it */
    struct arena arena;
    struct bundle bundle; /* to remember */
    struct slice user;
    bool counts; /* a download, instead of remembering */
    struct row_write rows[2];
};

static enum sync_status background_apply(struct lane_write *write, struct write_set *ret_set) {
    struct bundle_background *background = (struct bundle_background *)write;
    struct bundle stored = {0};
    enum sync_status status = bundle_load(write->service, background->bundle.id, background->user,
                                          &background->arena, NULL, &stored);
    if (background->counts) {
        if (status != SYNC_OK)
            return status;
        stored.downloads++;
        ret_set->row_count = 1;
    } else {
        if (status != SYNC_ERR_NOT_FOUND)
            return status;
        stored = background->bundle;
        ret_set->row_count = 2;
    }
    if (!bundle_rows(&stored, &background->arena, background->rows))
        return SYNC_ERR_NO_MEMORY;
    ret_set->rows = background->rows;
    return SYNC_OK;
}

static void background_finish(struct lane_write *write, enum sync_status status) {
    struct bundle_background *background = (struct bundle_background *)write;
    if (status != SYNC_OK && status != SYNC_ERR_NOT_FOUND)
        log_line(write->service->log, LOG_WARN, "bundle not noted",
                 LOG_SLICE("bundle_id", background->bundle.id),
                 LOG_TEXT("cause", sync_status_name(status)));
    arena_done(&background->arena);
    memory_free(background);
}

/* Copies what the write needs beyond the call. */
static bool background_init(struct bundle_background *background, const struct bundle *bundle) {
    struct arena *arena = &background->arena;
    background->bundle = *bundle;
    return arena_copy(arena, bundle->id, &background->bundle.id) &&
           arena_copy(arena, bundle->user, &background->bundle.user) &&
           arena_copy(arena, bundle->device, &background->bundle.device) &&
           lane_of_bundle(arena, background->bundle.id, &background->write.lane);
}

static void background_start(struct service *service, const struct bundle *bundle, bool counts) {
    struct bundle_background *background = memory_zalloc(1, sizeof *background);
    if (!background)
        return;
    arena_init(&background->arena, BACKGROUND_BYTES_MAX);
    if (!background_init(background, bundle)) {
        arena_done(&background->arena);
        memory_free(background);
        return;
    }
    background->user = background->bundle.user;
    background->counts = counts;
    background->write.service = service;
    background->write.apply = background_apply;
    background->write.finish = background_finish;
    lane_write_start(&background->write);
}

void bundle_remember(struct service *service, const struct bundle *bundle) {
    assert(bundle->id.size > 0);
    background_start(service, bundle, false);
}

void bundle_count_download(struct service *service, struct slice bundle_id, struct slice user) {
    background_start(service, &(struct bundle){.id = bundle_id, .user = user}, true);
}
