/* HTTP/2 header: a header field as nghttp2 takes it. Inline. */
#ifndef GATEWAY_HTTP2_HEADER_H
#define GATEWAY_HTTP2_HEADER_H

#include <nghttp2/nghttp2.h>

#include "gateway/transcode.h"

/* A field; name and value are borrowed until it is submitted. */
static inline nghttp2_nv nv_of(struct slice name, struct slice value) {
    return (nghttp2_nv){(uint8_t *)name.data, (uint8_t *)value.data, name.size, value.size,
                        NGHTTP2_NV_FLAG_NONE};
}

/* A field of an answer. What differs in every answer would only push out of the table what does
 * not. `named`: it goes there all the same, for a name that HPACK does not know by itself, which is
 * then a byte of the answers that follow. */
static inline nghttp2_nv nv_of_answer(const struct transcode_header *header, bool named) {
    nghttp2_nv nv = nv_of(header->name, header->value);
    if ((!named && slice_equal(header->name, SLICE("x-request-id"))) ||
        slice_equal(header->name, SLICE("content-length")) ||
        slice_equal(header->name, SLICE("etag")))
        nv.flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return nv;
}

#endif
