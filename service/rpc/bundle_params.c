#include "service/rpc/bundle_params.h"

#include <stdio.h>

#include "base/json_text.h"
#include "service/codec/chunk_codec.h"
#include "service/core/checksum.h"
#include "service/rpc/device_binding.h"

enum { SECOND_US = 1000000 };

enum bundle_codec_number bundle_codec_choose(const PB(BundleCodec) *codecs, size_t count,
                                             int32_t dictionary_id, uint32_t *ret_dictionary_id) {
    enum bundle_codec_number best = count == 0 ? BUNDLE_CODEC_SNAPPY : BUNDLE_CODEC_IDENTITY;
    for (size_t i = 0; i < count; i++) {
        int codec = (int)codecs[i];
        if (codec > (int)best && codec <= BUNDLE_CODEC_ZSTD)
            best = (enum bundle_codec_number)codec;
    }
    bool is_of_use =
        best == BUNDLE_CODEC_ZSTD && chunk_dictionary((uint32_t)dictionary_id).size > 0;
    *ret_dictionary_id = is_of_use ? (uint32_t)dictionary_id : 0;
    return best;
}

void bundle_params_check(const struct bundle_fields *fields, struct rpc_call *call,
                         struct violations *violations, struct bundle_params *ret_params) {
    struct bundle_params params = {
        .types = DATA_TYPES_ALL,
        .compress = !fields->compress || fields->compress->value,
        .codec = BUNDLE_CODEC_IDENTITY,
        .sync_type = fields->sync_type,
        .received_us = rpc_call_received_us(call),
    };
    if (params.compress)
        params.codec = bundle_codec_choose(fields->codecs, fields->codec_count,
                                           fields->dictionary_id, &params.dictionary_id);
    for (size_t i = 0; i < fields->data_type_count; i++)
        violations_check_type(violations, i, (int)fields->data_types[i]);
    if (fields->data_type_count > 0)
        params.types = message_type_set(fields->data_types, fields->data_type_count);
    if (fields->since) {
        params.has_since = message_time_us(fields->since, &params.since_us);
        if (!params.has_since)
            violations_add(violations, "since", "OUT_OF_RANGE", "must lie in the years 1 to 9999");
    }
    params.has_cursor = fields->cursor[0] != '\0';
    if (params.has_cursor && cursor_parse(slice_text(fields->cursor), &params.cursor) != SYNC_OK)
        violations_add(violations, "cursor", "INVALID_VALUE",
                       "must be a cursor that this service has given out");
    if (params.has_cursor && params.has_since)
        violations_add(violations, "since", "NOT_TOGETHER", "must not be given with cursor");
    if (params.sync_type < 0 || params.sync_type > SYNC_INCREMENTAL)
        violations_add(violations, "syncType", "INVALID_VALUE",
                       "must be full, delta or incremental");
    if (fields->patch_format < 0 || fields->patch_format > (int)PATCH_FORM_OPERATIONS)
        violations_add(violations, "patchFormat", "INVALID_VALUE", "must be merge or operations");
    if (params.sync_type == SYNC_DELTA)
        params.patches =
            fields->patch_format ? (enum patch_form)fields->patch_format : PATCH_FORM_MERGE;
    params.device = device_check(call, violations, fields->device_id, false);
    *ret_params = params;
}

enum sync_status bundle_params_check_cursor(const struct bundle_params *params, struct store *store,
                                            struct sync_error *error) {
    if (!params->has_cursor)
        return SYNC_OK;
    if (!cursor_covers(&params->cursor, params->types))
        return sync_error_set(error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL,
                              "the cursor was given for fewer data types: get a full bundle of "
                              "the others (without since and cursor)");
    if (params->cursor.epoch == store_epoch(store))
        return SYNC_OK;
    return sync_error_set(error, SYNC_ERR_PRECONDITION, "RESYNC_REQUIRED", NULL,
                          "the cursor is of an earlier store: get a full bundle (without since "
                          "and cursor) and keep the unsent changes");
}

struct bundle_want bundle_params_want(const struct bundle_params *params, struct slice user,
                                      const struct device *device) {
    struct bundle_want want = {.user = user, .types = params->types, .patches = params->patches};
    if (params->sync_type == SYNC_FULL)
        return want;
    want.has_from = params->has_cursor;
    want.from = params->cursor.sequence;
    want.has_since = params->has_since;
    want.since_us = params->since_us;
    want.now_us = params->received_us;
    if (!params->has_cursor && !params->has_since && params->sync_type != 0 && device &&
        device->has_acknowledged) {
        want.has_from = true;
        want.from = device->acknowledged;
    }
    want.must_reach = want.has_from;
    return want;
}

bool bundle_id_is_valid(struct slice text) {
    return text.size == BUNDLE_ID_SIZE && base64url_is_valid(text);
}

/* The name's SHA-256, cut to 96 bits, in base64url; NULL without memory. */
static char *id_of_name(struct slice name, struct arena *arena) {
    uint8_t hash[SHA256_SIZE];
    struct buffer text;
    sha256_of(name, hash);
    buffer_init(&text, BUNDLE_ID_SIZE);
    base64url_append(&text, slice_of(hash, BUNDLE_ID_SIZE / 4 * 3));
    char *id = buffer_status(&text) == SYNC_OK ? arena_copy_text(arena, buffer_slice(&text)) : NULL;
    buffer_done(&text);
    return id;
}

/* Up to the next whole second: what is told of a bundle's end is what holds. */
static int64_t whole_seconds(int64_t time_us) {
    return (time_us + SECOND_US - 1) / SECOND_US * SECOND_US;
}

struct bundle bundle_params_bundle(const struct bundle_params *params,
                                   const struct bundle_source *source, struct service *service,
                                   int64_t now_us, struct arena *arena) {
    const struct bundle_want *want = &source->want;
    struct bundle bundle = {
        .user = want->user,
        .device = params->device,
        .types = want->types,
        .sync_type = !want->has_from ? SYNC_FULL
                     : want->patches ? SYNC_DELTA
                                     : SYNC_INCREMENTAL,
        .has_from = want->has_from,
        .from = want->from,
        .sequence = source->head.sequence,
        .codec = params->codec,
        .dictionary_id = params->dictionary_id,
        .patches = want->has_from ? want->patches : PATCH_FORM_NONE,
        .created_us = now_us,
        .expires_us = whole_seconds(now_us + (int64_t)service->retention.bundle_us),
    };
    uint64_t half = service->retention.bundle_us / 2;
    char checksum[2 * CHECKSUM_SIZE + 1];
    checksum_format(source->head.checksum, checksum);
    const char *name =
        arena_format(arena, "%.*s|%x|%d|%d|%d|%llu|%llu|%s|%d|%u|%llx|%llu", (int)want->user.size,
                     (const char *)want->user.data, bundle.types, bundle.sync_type, bundle.patches,
                     bundle.has_from, (unsigned long long)bundle.from,
                     (unsigned long long)bundle.sequence, checksum, bundle.codec,
                     bundle.dictionary_id, (unsigned long long)store_epoch(source->store),
                     (unsigned long long)(half > 0 ? (uint64_t)now_us / half : 0));
    if (name)
        bundle.id = slice_text(id_of_name(slice_text(name), arena));
    return bundle;
}
