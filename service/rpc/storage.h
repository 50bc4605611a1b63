/* Storage: the keys and values of the rows that the handlers own. Values are protobuf wire bytes,
 * written here by hand, so that they carry what the API does not show. Everything made or read
 * lives in the arena, or borrows from the value; false means no room.
 *
 * SyncConfig and SyncOperation are stored as the API's own messages. */
#ifndef SERVICE_RPC_STORAGE_H
#define SERVICE_RPC_STORAGE_H

#include "base/arena.h"
#include "base/id.h"
#include "base/sha256.h"
#include "service/core/bundle_codec.h"
#include "service/core/model.h"

/* A device of a user, in TABLE_DEVICE. That the row is there means that the device id is bound to
 * this user. */
struct device {
    struct slice id;
    struct slice name, platform;
    int64_t registered_us, last_seen_us;
    uint64_t acknowledged; /* sequence up to which it holds the data */
    bool has_acknowledged; /* false: it never acknowledged a cursor */
    bool revoked;
};

/* A bundle, in TABLE_BUNDLE: what was asked for and, once `is_built`, what its container is. The
 * container's bytes are in TABLE_BUNDLE_PART, all parts but the last of BUNDLE_PART_BYTES. */
struct bundle {
    struct slice id;
    struct slice user, device;
    data_type_set types;
    int sync_type;     /* number of travelsense.sync.v1.SyncType */
    bool has_from;     /* changes since `from`; else a snapshot */
    uint64_t from;     /* sequence */
    uint64_t sequence; /* the head's when it was asked for; of the container once built */
    enum bundle_codec_number codec;
    uint32_t dictionary_id;  /* of zstd; 0: none */
    enum patch_form patches; /* of what changed since `from` */
    int64_t created_us, expires_us;
    uint64_t downloads;
    /* once built */
    bool is_built;
    uint64_t size; /* of the container, bytes */
    uint32_t part_count, record_count;
    uint8_t sha256[SHA256_SIZE]; /* of the container */
};

enum { BUNDLE_PART_BYTES = 1 << 20 };

/* Values. Unpacking answers SYNC_ERR_CORRUPT when the bytes do not parse; the id is the caller's to
 * set, it is the key's. */
bool device_pack(const struct device *device, struct arena *arena, struct slice *ret_value);
enum sync_status device_unpack(struct slice value, struct device *ret_device);
bool bundle_pack(const struct bundle *bundle, struct arena *arena, struct slice *ret_value);
enum sync_status bundle_unpack(struct slice value, struct bundle *ret_bundle);

/* Keys. */

/* `user NUL rest`: of TABLE_CONFIG (empty rest), TABLE_DEVICE, and the prefix of scans. */
bool key_of_user(struct arena *arena, struct slice user, struct slice rest, struct slice *ret_key);

/* TABLE_OPERATION_BY_USER: the id's bytes inverted, so that the newest comes first. */
bool key_of_operation_index(struct arena *arena, struct slice user, struct slice sync_id,
                            struct slice *ret_key);

/* TABLE_OPERATION_BY_USER, of an operation that has not ended: `user NUL NUL id`; an inverted id
 * never begins with NUL. */
bool key_of_operation_open(struct arena *arena, struct slice user, struct slice sync_id,
                           struct slice *ret_key);

/* TABLE_BUNDLE_PART. */
bool key_of_bundle_part(struct arena *arena, struct slice bundle_id, uint32_t part,
                        struct slice *ret_key);

#endif
