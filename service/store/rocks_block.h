/* Rocks block: the log entries, or the settled changes, of one commit as one value. Pure.
 *
 * flags, zigzag time, then the entries one after another, compressed when that saves, then the
 * checksum as in rocks_codec.h. The time is the head's as of the commit, whenever the changes were
 * made: retention reads it without unpacking. */
#ifndef SERVICE_STORE_ROCKS_BLOCK_H
#define SERVICE_STORE_ROCKS_BLOCK_H

#include "service/store/rocks_codec.h"

/* Entries are split into several rows beyond about this many bytes, so that reading one entry of a
 * large commit does not unpack all of it. */
enum { ROCKS_LOG_BLOCK_BYTES = 1 << 20 };

/* Appends a value with as many of the `count` entries (at least one, ascending) as a block takes;
 * returns how many. The key of the block is `key`, built for `user` and the last sequence in it.
 * `scratch` is emptied first. Failures stay in `out` and `scratch`. */
size_t rocks_log_encode(struct buffer *out, struct slice user, int64_t time_us,
                        const struct log_entry *entries, size_t count, struct buffer *scratch,
                        struct rocks_key *key);

/* Appends a value with all settled changes of a commit. */
void rocks_settled_encode(struct buffer *out, struct slice key, int64_t time_us,
                          const struct settled *settled, size_t count, struct buffer *scratch);

/* Checks a block and unpacks its body into `body` (emptied first), and its time.
 * SYNC_ERR_CORRUPT when damaged. */
enum sync_status rocks_block_open(struct slice key, struct slice value, struct buffer *body,
                                  int64_t *ret_time_us);

/* Reads only the time of a block, after its checksum. */
enum sync_status rocks_block_time(struct slice key, struct slice value, int64_t *ret_time_us);

/* Walks the body of a log block: begin with `sequence` 0, and go on until wire_at_end. The entry
 * borrows from the body. False when malformed. */
bool rocks_log_next(struct wire_reader *body, uint64_t *sequence, struct log_entry *ret_entry);

/* Walks the body of a settled block. */
bool rocks_settled_next(struct wire_reader *body, struct settled *ret_settled);

#endif
