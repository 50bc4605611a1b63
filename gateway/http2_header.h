/* HTTP/2 header: a header field as nghttp2 takes it, and which names HPACK's table should know.
 * Inline. */
#ifndef GATEWAY_HTTP2_HEADER_H
#define GATEWAY_HTTP2_HEADER_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "gateway/transcode.h"

/* A field; name and value are borrowed until it is submitted. */
static inline nghttp2_nv nv_of(struct slice name, struct slice value) {
    return (nghttp2_nv){(uint8_t *)name.data, (uint8_t *)value.data, name.size, value.size,
                        NGHTTP2_NV_FLAG_NONE};
}

/* What is known of the table of a session's encoder. Zeroed memory is a table without names. */
struct http2_names {
    size_t table_size;
    unsigned left; /* changes of the table until names are put there again */
};

enum { HTTP2_NAMES_CHANGES = 8 };

/* To be asked before each block of headers: tells whether it should put the names of what differs
 * in every block into the table, where they may not be, or not for long: at first, and when other
 * fields may have pushed them out. More often would fill the table with their values, all of which
 * the encoder passes when it looks for a field that shares a slot of its index: :status has that of
 * x-request-id. */
static inline bool http2_names_are_due(struct http2_names *names, nghttp2_session *session) {
    size_t table_size = nghttp2_session_get_hd_deflate_dynamic_table_size(session);
    if (table_size != names->table_size && names->left > 0)
        names->left--;
    names->table_size = table_size;
    return names->left == 0;
}

/* The next block puts them there. */
static inline void http2_names_put(struct http2_names *names) {
    names->left = HTTP2_NAMES_CHANGES;
}

/* A field of an answer. What differs in every answer would only push out of the table what does
 * not. `due`: where names are due, else NULL; the field goes there then all the same, for a name
 * that HPACK does not know by itself, which is then a byte of the answers that follow. */
static inline nghttp2_nv nv_of_answer(const struct transcode_header *header,
                                      struct http2_names *due) {
    nghttp2_nv nv = nv_of(header->name, header->value);
    bool is_id = slice_equal(header->name, SLICE("x-request-id"));
    if (is_id && due)
        http2_names_put(due);
    else if (is_id || slice_equal(header->name, SLICE("content-length")) ||
             slice_equal(header->name, SLICE("etag")))
        nv.flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    return nv;
}

#endif
