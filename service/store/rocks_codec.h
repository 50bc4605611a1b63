/* Rocks codec: how heads, records and rows lie in the embedded store. Pure.
 *
 * Keys sort as the contract's scans want. Every value ends in the CRC-32C, little-endian, of its
 * key and of what comes before it, so that damage, and a value under a wrong key, are noticed on
 * reading. Integers are varints unless said otherwise. */
#ifndef SERVICE_STORE_ROCKS_CODEC_H
#define SERVICE_STORE_ROCKS_CODEC_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/wire.h"
#include "service/core/model.h"

enum {
    ROCKS_KEY_MAX = 1024,
    ROCKS_CRC_SIZE = 4,
    ROCKS_COMPRESS_MIN = 128,   /* shorter content is stored as it is */
    ROCKS_VALUE_MAX = 512 << 20 /* of a value, and of what it unpacks to */
};

_Static_assert(USER_ID_MAX + 2 + DATA_ID_MAX <= ROCKS_KEY_MAX, "a record's key fits");
_Static_assert(1 + USER_ID_MAX + 1 + DEVICE_ID_MAX + 2 + DATA_ID_MAX <= ROCKS_KEY_MAX,
               "the key of what a conflict holds back fits");

/* A key under construction; what does not fit sets `failed`. */
struct rocks_key {
    size_t size;
    bool failed;
    uint8_t bytes[ROCKS_KEY_MAX];
};

/* The key's bytes; the slice lives as long as the key. */
static inline struct slice rocks_key_slice(const struct rocks_key *key) {
    return slice_of(key->bytes, key->size);
}

/* The keys. A user is 1–USER_ID_MAX bytes without NUL, else `failed` is set.
 *   head      user
 *   record    user NUL type id
 *   numbered  user NUL 8-byte big-endian number: log by last sequence, settled by revision
 *   row       table key */
void rocks_key_user(struct rocks_key *key, struct slice user);
void rocks_key_record(struct rocks_key *key, struct slice user, enum data_type type,
                      struct slice id);
void rocks_key_numbered(struct rocks_key *key, struct slice user, uint64_t number);
void rocks_key_row(struct rocks_key *key, enum table table, struct slice row_key);

/* Turns a key into the first one that does not begin with it, for an upper bound. */
void rocks_key_successor(struct rocks_key *key);

/* Reads the number at the end of a numbered key, or the user's size; false when it is none. */
bool rocks_key_read_number(struct slice key, uint64_t *ret_number);

/* Append a whole value, checksum included, for `key`. Failures stay in the buffer. */
void rocks_head_encode(struct buffer *out, struct slice key, const struct user_head *head);
void rocks_record_encode(struct buffer *out, struct slice key, const struct record *record);
void rocks_row_encode(struct buffer *out, struct slice key, struct slice value);

/* Read a whole value. SYNC_ERR_CORRUPT when it is damaged. A record's id and data are copied to the
 * arena; a row's value borrows from `value`. */
enum sync_status rocks_head_decode(struct slice key, struct slice value,
                                   struct user_head *ret_head);
enum sync_status rocks_record_decode(struct slice key, struct slice value, struct arena *arena,
                                     struct record *ret_record);
/* Reads a record's version and time alone; its id borrows from the key. */
enum sync_status rocks_record_decode_version(struct slice key, struct slice value,
                                             struct record_version *ret_record,
                                             int64_t *ret_updated_us);
enum sync_status rocks_row_decode(struct slice key, struct slice value, struct slice *ret_value);

/* What the codecs are made of: the checksum of what was appended since `begin`; its check, which
 * cuts it off; content compressed when that saves (true), else not appended at all; the reverse,
 * into memory for `size` bytes, which rocks_unpacked_size told. */
void rocks_value_seal(struct buffer *out, size_t begin, struct slice key);
bool rocks_value_check(struct slice key, struct slice *value);
bool rocks_append_packed(struct buffer *out, struct slice content);
bool rocks_unpacked_size(struct slice packed, size_t *ret_size);
bool rocks_unpack(struct slice packed, uint8_t *out, size_t size);

/* Sticky-free helpers over a wire reader: false when truncated. */
bool rocks_read_bytes(struct wire_reader *reader, size_t size, struct slice *ret_bytes);
bool rocks_read_sized(struct wire_reader *reader, struct slice *ret_bytes);
void rocks_write_sized(struct buffer *out, struct slice bytes);

/* Big-endian numbers. */
static inline void rocks_put_be64(uint8_t *out, uint64_t number) {
    number = __builtin_bswap64(number);
    memcpy(out, &number, sizeof number);
}
static inline uint64_t rocks_get_be64(const uint8_t *at) {
    uint64_t number;
    memcpy(&number, at, sizeof number);
    return __builtin_bswap64(number);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the stored form is read by bswap");

#endif
