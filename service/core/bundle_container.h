/* Bundle container: the bytes described in proto/travelsense/sync/v1/bundle.proto, written and read
 * as a stream. Pure. */
#ifndef SERVICE_CORE_BUNDLE_CONTAINER_H
#define SERVICE_CORE_BUNDLE_CONTAINER_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/sha256.h"
#include "service/core/bundle_codec.h"
#include "service/core/model.h"
#include "service/core/pull.h"

struct bundle_info {
    struct slice bundle_id, user, from_cursor, cursor;
    data_type_set types;
    int sync_type; /* number of travelsense.sync.v1.SyncType */
    struct checksum checksum;
    int64_t created_us;
    uint32_t record_count;
    uint32_t
        dictionary_id; /* of its chunks of zstd; 0: none. As read: the writer has its codec's */
};

/* Writes a container part by part: begin, records, end. Output is appended to `out` as it becomes
 * final: take it away at any time between calls. */
struct bundle_writer {
    struct buffer raw; /* records of the open chunk */
    struct buffer scratch;
    struct sha256 root;
    uint32_t chunk_count;
    const struct bundle_codec *codec; /* NULL: chunks stay as they are */
    enum sync_status status;          /* sticky */
};

enum {
    /* Of a chunk before compression: BUNDLE_CHUNK_BYTES, or one record that alone is larger (a byte
     * of a record takes at most six of JSON). */
    BUNDLE_CHUNK_RAW_MAX = 8 * CHANGE_DATA_MAX,
};

/* Prepares a writer in the caller's memory; takes no memory. Chunks are packed with the codec,
 * which stays the caller's, where that makes them smaller; NULL: they stay as they are. */
void bundle_writer_init(struct bundle_writer *writer, const struct bundle_codec *codec);
/* Gives its memory back. */
void bundle_writer_done(struct bundle_writer *writer);
/* Writes the header. `info->record_count` is the number of records that will be added. */
void bundle_writer_begin(struct bundle_writer *writer, const struct bundle_info *info,
                         struct buffer *out);
/* Adds a record, or its patch where it has one. */
void bundle_writer_add(struct bundle_writer *writer, const struct pulled *item, struct buffer *out);
/* Closes the last chunk and writes the trailer. SYNC_OK, or what failed on the way (sticky in `out`
 * and the writer). */
enum sync_status bundle_writer_end(struct bundle_writer *writer, struct buffer *out);

/* A record as read from a container. Slices live until the visit returns. */
struct bundle_entry {
    struct record_key key;
    uint64_t version;
    bool deleted;
    struct slice json, patch_json;
    size_t operation_count; /* of the patch, where it is operations */
    int64_t updated_us;
    struct slice message; /* the entry itself */
};

/* Steps through the entry's operations, each a message (core/patch_operation.h): start with
 * *position = 0; false at the end. */
bool bundle_entry_operation_next(const struct bundle_entry *entry, size_t *position,
                                 struct slice *ret_message);

/* Takes an entry; false stops the reading. */
typedef bool bundle_visit(void *context, const struct bundle_entry *entry);

/* Reads and verifies a whole container: every chunk's checksum and their root before the first
 * visit, the entries and counts on the way; what was visited before a failure is to be discarded.
 * Chunks are unpacked by `codecs`, on this thread; a chunk takes at most BUNDLE_CHUNK_RAW_MAX
 * bytes. SYNC_ERR_CORRUPT with the reason in `error` when anything differs, SYNC_ERR_UNIMPLEMENTED
 * when a chunk wants a codec or dictionary that is not among them, SYNC_ERR_CANCELLED when the
 * visit stopped it, SYNC_ERR_NO_MEMORY. `visit` may be NULL. `ret_info` borrows from the container
 * and may be NULL. */
enum sync_status bundle_read(struct slice container, const struct bundle_codecs *codecs,
                             struct sync_error *error, struct bundle_info *ret_info,
                             bundle_visit *visit, void *context);

#endif
