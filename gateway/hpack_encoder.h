/* HPACK encoder: header fields as the blocks of HTTP/2 (RFC 7541). Pure, one thread.
 *
 * It is made for a connection on which many calls say nearly the same: what its user calls constant
 * is said once and referred to from then on, names likewise; what differs from call to call goes as
 * it is, without Huffman's code, which costs more time than the bytes are worth on the way to a
 * service nearby. What is secret never enters the table. */
#ifndef GATEWAY_HPACK_ENCODER_H
#define GATEWAY_HPACK_ENCODER_H

#include <stdint.h>

#include "base/bytes.h"

enum {
    HPACK_TABLE_SIZE = 4096, /* the table's bound as RFC 7541 section 4.1 counts */
    HPACK_ENTRY_OVERHEAD = 32,
    HPACK_ENTRIES_MAX = HPACK_TABLE_SIZE / HPACK_ENTRY_OVERHEAD,
    HPACK_TEXT_MAX = 96, /* name and value of an entry; what is longer is not kept */
    HPACK_SLOTS = 2 * HPACK_ENTRIES_MAX,
};

/* How a field is said. */
enum hpack_form {
    HPACK_CONSTANT, /* the same in many calls: once, then by reference */
    HPACK_VARYING,  /* the value is of this call alone, the name is kept */
    HPACK_SECRET,   /* never kept, by those who hand it on neither (section 7.1.3) */
};

/* An entry of the dynamic table. */
struct hpack_entry {
    uint8_t name_size, value_size;
    uint8_t text[HPACK_TEXT_MAX]; /* the name, then the value */
};

/* In the caller's memory; fields are the encoder's own. Entries are numbered from 1 as they come;
 * those from `oldest` on are in the table, each in the place of its number. */
struct hpack_encoder {
    uint64_t seed;
    size_t size, size_max;
    bool resized; /* the bound changed: the next block begins by telling so */
    uint64_t newest, oldest;
    uint64_t fields[HPACK_SLOTS], names[HPACK_SLOTS]; /* by hash: the last entry that has it */
    struct hpack_entry entries[HPACK_ENTRIES_MAX];
};

/* Prepares an encoder with an empty table. `seed` is that of its hashes. */
void hpack_encoder_init(struct hpack_encoder *encoder, uint64_t seed);

/* The other side keeps a table of at most so many bytes (SETTINGS_HEADER_TABLE_SIZE). */
void hpack_encoder_bound(struct hpack_encoder *encoder, uint32_t size_max);

/* Begins a block: what must stand before its first field. */
void hpack_encoder_begin(struct hpack_encoder *encoder, struct buffer *out);

/* Appends a field of a block. The name is in lower case. */
void hpack_encoder_put(struct hpack_encoder *encoder, struct buffer *out, struct slice name,
                       struct slice value, enum hpack_form form);

#endif
