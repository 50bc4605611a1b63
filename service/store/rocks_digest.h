/* Rocks digest: which records a stretch of a user's log names, each once with the last sequence
 * that names it there, so that what changed since a cursor is found without reading every change.
 * Pure.
 *
 * Stretches of a level begin and end at multiples of its span; each level's is ROCKS_DIGEST_FAN
 * times that of the level below. A digest is written with the commit that ends its stretch and
 * never changed. One that is missing costs the reading of what it stands for, nothing else:
 * stretches of mostly new records have none, nor those whose beginning was trimmed, nor stores
 * written before there were digests.
 *
 * A value is a byte 0, then per record in the order of type and id: the type, how many leading
 * bytes of the id are those of the id before, the rest behind its length, and how far the sequence
 * lies before the stretch's end; then the checksum as in rocks_codec.h. */
#ifndef SERVICE_STORE_ROCKS_DIGEST_H
#define SERVICE_STORE_ROCKS_DIGEST_H

#include "service/store/rocks_codec.h"

enum {
    ROCKS_DIGEST_LEVELS = 5,    /* numbered from 1 */
    ROCKS_DIGEST_SPAN = 64,     /* sequences of a stretch of level 1 */
    ROCKS_DIGEST_FAN = 8,       /* stretches in one of the next level */
    ROCKS_DIGEST_FAN_SHIFT = 3, /* its logarithm */
};

_Static_assert(1 << ROCKS_DIGEST_FAN_SHIFT == ROCKS_DIGEST_FAN, "the spans are shifted");

/* How many sequences a stretch of a level has. */
static inline uint64_t rocks_digest_span(unsigned level) {
    return (uint64_t)ROCKS_DIGEST_SPAN << (ROCKS_DIGEST_FAN_SHIFT * (level - 1));
}

/* The key of the digest of a level's stretch that ends with the sequence `last`, below 2^56. */
void rocks_key_digest(struct rocks_key *key, struct slice user, unsigned level, uint64_t last);

/* Orders by type, then id: negative, 0 or positive. */
int rocks_digest_order(const struct record_key *left, const struct record_key *right);

/* Writes a digest's value into a buffer; in the caller's memory. */
struct rocks_digest_writer {
    struct buffer *out;
    size_t begin;
    uint64_t last;
    size_t id_size; /* of the record before */
    uint8_t id[DATA_ID_MAX];
};

/* Begins; then the records in order; then the end, with the digest's key. Failures stay in the
 * buffer. */
void rocks_digest_begin(struct rocks_digest_writer *writer, struct buffer *out, uint64_t last);
void rocks_digest_put(struct rocks_digest_writer *writer, const struct record_version *record);
void rocks_digest_end(struct rocks_digest_writer *writer, struct slice key);

/* Reads a digest's value; in the caller's memory. */
struct rocks_digest_reader {
    struct wire_reader wire;
    uint64_t last, span;
    bool is_at_end, is_damaged;
    struct record_version record; /* the one just read; its id is in `id` */
    uint8_t id[DATA_ID_MAX];
};

/* Checks a value and stands before its first record. SYNC_ERR_CORRUPT when it is damaged. */
enum sync_status rocks_digest_open(struct rocks_digest_reader *reader, struct slice key,
                                   struct slice value, unsigned level, uint64_t last);

/* Goes to the next record; false at the end, or when it is damaged. */
bool rocks_digest_next(struct rocks_digest_reader *reader);

#endif
