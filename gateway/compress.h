/* Compress: content codings of HTTP bodies. The only user of zlib.h and zstd.h. */
#ifndef GATEWAY_COMPRESS_H
#define GATEWAY_COMPRESS_H

#include "base/bytes.h"
#include "base/status.h"

/* The content codings that the gateway reads and writes. */
enum content_coding {
    CODING_IDENTITY,
    CODING_GZIP,
    CODING_ZSTD,
    CODING_UNKNOWN,
};

/* Reads one Content-Encoding; empty is identity. */
enum content_coding coding_parse(struct slice text);

/* The coding's name in a header. Static. */
struct slice coding_name(enum content_coding coding);

/* Chooses by an Accept-Encoding header (RFC 9110 section 12.5.3): the best weighted of zstd, gzip
 * and identity, in this order where weights are equal; identity when the header is empty or
 * accepts none. */
enum content_coding coding_negotiate(struct slice accept_encoding);

/* Tells whether an Accept-Encoding header rules identity out, by itself or with all it does not
 * name (RFC 9110 section 12.5.3). Where no other coding is left, identity is answered all the
 * same. */
bool coding_refuses_identity(struct slice accept_encoding);

struct compressor;

/* Opens the state kept between bodies, or NULL. One thread. */
struct compressor *compressor_open(void);

/* Closes; returns NULL. */
struct compressor *compressor_close(struct compressor *compressor);

/* Appends `body` in the coding, which is gzip or zstd. SYNC_ERR_NO_MEMORY or SYNC_ERR_TOO_LARGE. */
enum sync_status compressor_pack(struct compressor *compressor, enum content_coding coding,
                                 struct slice body, struct buffer *out);

/* Packs what is in `body`, in its place, where that makes it smaller or `must` says so; true when
 * that is done. */
bool compressor_replace(struct compressor *compressor, enum content_coding coding, bool must,
                        struct buffer *body);

/* Appends what `body` holds, up to the buffer's bound and to a hundredfold of its size.
 * SYNC_ERR_INVALID when it is not whole and well-formed, SYNC_ERR_TOO_LARGE past a bound. */
enum sync_status compressor_unpack(struct compressor *compressor, enum content_coding coding,
                                   struct slice body, struct buffer *out);

#endif
