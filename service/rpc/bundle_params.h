/* Bundle parameters: what GetBundle and DownloadBundle are asked with, checked, and the bundle that
 * answers it. */
#ifndef SERVICE_RPC_BUNDLE_PARAMS_H
#define SERVICE_RPC_BUNDLE_PARAMS_H

#include "google/protobuf/wrappers.pb-c.h"
#include "service/core/cursor.h"
#include "service/rpc/bundle_source.h"
#include "service/rpc/messages.h"
#include "service/rpc/storage.h"
#include "service/rpc/violations.h"

enum { BUNDLE_ID_SIZE = 16 }; /* characters of base64url: 96 bits */

/* Tells whether the text has the form of a bundle's id. */
bool bundle_id_is_valid(struct slice text);

/* The best of the codecs that a client names, or snappy where it names none; what is not known here
 * is passed over. `ret_dictionary_id` is the one it names, if that is of use; else 0. */
enum bundle_codec_number bundle_codec_choose(const PB(BundleCodec) *codecs, size_t count,
                                             int32_t dictionary_id, uint32_t *ret_dictionary_id);

/* The parameters as both messages carry them. */
struct bundle_fields {
    const PB(DataType) *data_types;
    size_t data_type_count;
    const Google__Protobuf__Timestamp *since;    /* NULL: none */
    const Google__Protobuf__BoolValue *compress; /* NULL: true */
    const char *cursor, *device_id;
    int sync_type, patch_format;
    const PB(BundleCodec) *codecs; /* of a container; none: snappy */
    size_t codec_count;
    int32_t dictionary_id;
};

/* Checked. Slices live as long as the call. */
struct bundle_params {
    data_type_set types;
    bool compress;
    enum bundle_codec_number codec; /* of a container */
    uint32_t dictionary_id;         /* one that there is; 0: none */
    bool has_since, has_cursor;
    int64_t since_us;
    int64_t received_us; /* when it was asked for, by the service's clock */
    struct cursor cursor;
    struct slice device; /* empty: none */
    int sync_type;       /* 0: not given */
    enum patch_form patches;
};

/* Checks everything syntactic. */
void bundle_params_check(const struct bundle_fields *fields, struct rpc_call *call,
                         struct violations *violations, struct bundle_params *ret_params);

/* A cursor of another store: SYNC_ERR_PRECONDITION with reason RESYNC_REQUIRED. */
enum sync_status bundle_params_check_cursor(const struct bundle_params *params, struct store *store,
                                            struct sync_error *error);

/* What to read: a snapshot, or what changed since the cursor, the time, or (asked for a delta or
 * increment without either) what the device has acknowledged; `device` may be NULL. */
struct bundle_want bundle_params_want(const struct bundle_params *params, struct slice user,
                                      const struct device *device);

/* The bundle that answers it at the source's head. The same question at the same head has the same
 * id for a while (half of the time until it expires), so that polling makes no new ones and a
 * download that is asked for again can be resumed. Texts live in the arena; NULL id: no room. */
struct bundle bundle_params_bundle(const struct bundle_params *params,
                                   const struct bundle_source *source, struct service *service,
                                   int64_t now_us, struct arena *arena);

#endif
