#include "service/rpc/bundle_params.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/bundle_stream.h"
#include "service/rpc/device_binding.h"
#include "service/rpc/handlers.h"
#include "service/rpc/lane_write.h"

/* A download on its way; lives in the call's arena. */
struct download {
    struct lane_write write; /* first: found from it */
    struct rpc_call *call;
    const PB(DownloadBundleRequest) *request;
    struct bundle_params params;
    struct bundle bundle; /* with an id: to be found; else what answers the parameters */
    bool is_by_id;
    struct sync_error error;
};

/* Finds the bundle, and builds it when that has not been done. In the bundle's lane: a second
 * download waits for the first to build, then gets the same bytes. */
static enum sync_status download_apply(struct lane_write *write, struct write_set *ret_set) {
    (void)ret_set; /* the build commits by itself, piece by piece */
    struct download *download = (struct download *)write;
    struct slice user = slice_text(rpc_call_identity(download->call)->user);
    struct bundle stored;
    enum sync_status status =
        bundle_load(write->service, download->bundle.id, user, rpc_call_arena(download->call),
                    &download->error, &stored);
    if (status == SYNC_OK)
        download->bundle = stored;
    else if (status != SYNC_ERR_NOT_FOUND || download->is_by_id)
        return status;
    if (download->bundle.is_built)
        return SYNC_OK;
    download->error.status = SYNC_OK;
    return bundle_build(write->service, &download->bundle, NULL, &download->error);
}

static void download_finish(struct lane_write *write, enum sync_status status) {
    struct download *download = (struct download *)write;
    const PB(DownloadBundleRequest) *request = download->request;
    if (status == SYNC_OK) {
        struct bundle_conditions conditions = {
            .offset = (uint64_t)request->offset,
            .range = slice_text(request->range),
            .if_none_match = slice_text(request->if_none_match),
            .if_range = slice_text(request->if_range),
        };
        bundle_stream_start(download->call, &download->bundle, &conditions);
    } else if (download->error.status == status) {
        rpc_call_fail(download->call, &download->error);
    } else {
        call_fail_status(download->call, status);
    }
}

/* Goes on in the bundle's lane. */
static void download_start(struct download *download) {
    struct rpc_call *call = download->call;
    download->write = (struct lane_write){
        .service = rpc_call_service(call), .apply = download_apply, .finish = download_finish};
    if (!lane_of_bundle(rpc_call_arena(call), download->bundle.id, &download->write.lane)) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    lane_write_start(&download->write);
}

/* Finds out which bundle answers the parameters. */
static void download_bound(struct rpc_call *call, const struct device *device, void *context) {
    struct download *download = context;
    struct service *service = rpc_call_service(call);
    struct slice user = slice_text(rpc_call_identity(call)->user);
    struct bundle_want want = bundle_params_want(&download->params, user, device);
    struct bundle_source source;
    enum sync_status status = bundle_source_init(&source, service->store, &want, &download->error);
    if (status != SYNC_OK) {
        download_finish(&download->write, status);
        return;
    }
    download->bundle = bundle_params_bundle(&download->params, &source, service,
                                            rpc_call_received_us(call), rpc_call_arena(call));
    bundle_source_done(&source);
    if (download->bundle.id.size == 0) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    if (device)
        device_acknowledge(service, user, device, download->params.has_cursor,
                           download->params.cursor.sequence);
    download_start(download);
}

/* Checks; false when the call has ended over it. */
static bool download_check(struct download *download) {
    const PB(DownloadBundleRequest) *request = download->request;
    struct rpc_call *call = download->call;
    struct violations violations;
    violations_init(&violations, rpc_call_arena(call), rpc_call_faults(call));
    if (download->is_by_id) {
        if (!bundle_id_is_valid(slice_text(request->bundle_id)))
            violations_add(&violations, "bundleId", "INVALID_FORMAT",
                           "must be the bundleId of an answer: 16 characters of base64url");
    } else {
        struct bundle_fields fields = {
            .data_types = request->data_types,
            .data_type_count = request->n_data_types,
            .since = request->since,
            .compress = request->compress,
            .cursor = request->cursor,
            .device_id = request->device_id,
            .sync_type = (int)request->sync_type,
            .patch_format = (int)request->patch_format,
            .codecs = request->codecs,
            .codec_count = request->n_codecs,
            .dictionary_id = request->dictionary_id,
        };
        bundle_params_check(&fields, call, &violations, &download->params);
    }
    if (request->offset < 0)
        violations_add(&violations, "offset", "OUT_OF_RANGE", "must not be negative");
    if (violations_end(&violations, call))
        return false;
    struct service *service = rpc_call_service(call);
    if (bundle_params_check_cursor(&download->params, service->store, &download->error) == SYNC_OK)
        return true;
    rpc_call_fail(call, &download->error);
    return false;
}

void bundle_download_handle(struct rpc_call *call) {
    PB(DownloadBundleRequest) *request = sync_service_download_bundle_unpack(call);
    if (!request)
        return;
    struct download *download = arena_zalloc(rpc_call_arena(call), 1, sizeof *download);
    if (!download) {
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    download->call = call;
    download->request = request;
    download->is_by_id = download->request->bundle_id[0] != '\0';
    if (!download_check(download))
        return;
    if (download->is_by_id) {
        if (!device_guard(call))
            return;
        download->bundle.id = slice_text(download->request->bundle_id);
        download_start(download);
    } else if (download->params.device.size == 0) {
        download_bound(call, NULL, download);
    } else {
        device_bind(call, &(struct device_claim){.id = download->params.device}, download_bound,
                    download);
    }
}
