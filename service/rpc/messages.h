/* Messages: the API's messages as protobuf-c makes them, under short names, what the handlers put
 * into them, and the skeletons by which these take and answer calls. A Struct is bytes here (the
 * mirror of proto/BUILD.bazel). Everything made lives in the arena given; NULL or false means that
 * it had no room. */
#ifndef SERVICE_RPC_MESSAGES_H
#define SERVICE_RPC_MESSAGES_H

#include "base/arena.h"
#include "google/protobuf/timestamp.pb-c.h"
#include "service/core/model.h"
#include "service/core/pull.h"
#include "service/rpc/call.h"
#include "travelsense/sync/v1/audit.pb-c.h"
#include "travelsense/sync/v1/bundle.pb-c.h"
#include "travelsense/sync/v1/change.pb-c.h"
#include "travelsense/sync/v1/config.pb-c.h"
#include "travelsense/sync/v1/conflict.pb-c.h"
#include "travelsense/sync/v1/data_type.pb-c.h"
#include "travelsense/sync/v1/device.pb-c.h"
#include "travelsense/sync/v1/operation.pb-c.h"
#include "travelsense/sync/v1/quarantine.pb-c.h"
#include "travelsense/sync/v1/record.pb-c.h"
#include "travelsense/sync/v1/record_service.grpc-server.h"
#include "travelsense/sync/v1/record_service.pb-c.h"
#include "travelsense/sync/v1/sync_service.grpc-server.h"

/* struct, initializer and descriptor of travelsense.sync.v1.Name: PB(SyncConfig),
 * PB_INIT(SYNC_CONFIG), PB_DESCRIPTOR(sync_config). */
#define PB(Name) Travelsense__Sync__V1__##Name
#define PB_INIT(NAME) TRAVELSENSE__SYNC__V1__##NAME##__INIT
#define PB_DESCRIPTOR(name) (&travelsense__sync__v1__##name##__descriptor)

/* Numbers of travelsense.sync.v1.SyncStatus and SyncType, under names of our own. */
enum operation_status {
    OPERATION_PENDING = 1,    /* next: PROCESSING, CANCELLED, FAILED */
    OPERATION_PROCESSING = 2, /* next: COMPLETED, FAILED, CANCELLED */
    OPERATION_COMPLETED = 3,
    OPERATION_FAILED = 4,
    OPERATION_CANCELLED = 5,
};
enum sync_type { SYNC_FULL = 1, SYNC_DELTA = 2, SYNC_INCREMENTAL = 3, SYNC_UPLOAD = 4 };

/* A Timestamp. */
Google__Protobuf__Timestamp *message_time(struct arena *arena, int64_t time_us);

/* Reads a Timestamp; false outside the years 1 to 9999 or with nanos outside a second. */
bool message_time_us(const Google__Protobuf__Timestamp *time, int64_t *ret_us);

/* Packs a message. */
bool message_pack(const ProtobufCMessage *message, struct arena *arena, struct slice *ret_bytes);

/* Unpacks bytes that we stored; NULL when they do not parse or there is no room. */
ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *descriptor, struct slice bytes,
                                 struct arena *arena);

/* Borrowed bytes for a bytes field. */
static inline ProtobufCBinaryData message_bytes(struct slice bytes) {
    return (ProtobufCBinaryData){.len = bytes.size, .data = (uint8_t *)bytes.data};
}

/* The cursor of a sequence in the service's store. */
char *message_cursor(struct service *service, struct arena *arena, uint64_t sequence);

/* The same, of who was given these types alone. */
char *message_cursor_of(struct service *service, struct arena *arena, uint64_t sequence,
                        data_type_set types);

/* A record; its data are borrowed, and left out without `with_data`. */
PB(Record) *message_record(struct arena *arena, const struct record *record, bool with_data);

/* A record on its way to a device, its data or its patch; these are borrowed. */
PB(Record) *message_pulled(struct arena *arena, const struct pulled *item);

/* Packed patch operations (patch_operation.h), which are borrowed, as a message has them. */
bool message_operations(struct arena *arena, struct slice packed, ProtobufCBinaryData **ret_list,
                        size_t *ret_count);

/* Data types of a set in the order of their numbers. */
bool message_types(struct arena *arena, data_type_set types, PB(DataType) **ret_list,
                   size_t *ret_count);

/* The set of a list of known types; numbers that are none are left out. */
data_type_set message_type_set(const PB(DataType) *list, size_t count);

/* Ends the call with the status's own name and text. */
void call_fail_status(struct rpc_call *call, enum sync_status status);

#endif
