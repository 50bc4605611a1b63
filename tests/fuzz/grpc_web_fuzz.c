/* Bodies of gRPC-Web in base64 from strangers: however they are cut, they say the same, and what is
 * taken is what a decoder of the whole takes, quartet by quartet. */
#include <stdlib.h>

#include "base/json_text.h"
#include "gateway/grpc_web.h"

enum { TEXT_MAX = 1 << 16 };

/* Decodes in pieces of `size`; false where it is no base64. */
static bool decode(struct slice text, size_t size, struct buffer *out) {
    struct grpc_web_decoder decoder = {.bits = 0};
    for (; text.size > 0; text = slice_after(text, size < text.size ? size : text.size)) {
        if (!grpc_web_decode(&decoder, slice_first(text, size < text.size ? size : text.size), out))
            return false;
    }
    return grpc_web_decode_at_end(&decoder);
}

/* The same, as base64 of the whole has it. */
static bool decode_whole(struct slice text, struct buffer *out) {
    for (; text.size >= 4; text = slice_after(text, 4)) {
        if (!base64_decode(slice_first(text, 4), out))
            return false;
    }
    return text.size == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > TEXT_MAX)
        return 0;
    struct slice text = slice_of(data + 1, size - 1);
    struct buffer pieces, whole, known, back;
    buffer_init(&pieces, 2 * TEXT_MAX);
    buffer_init(&whole, 2 * TEXT_MAX);
    buffer_init(&known, 2 * TEXT_MAX);
    buffer_init(&back, 2 * TEXT_MAX);
    bool well = decode(text, data[0] + 1U, &pieces);
    if (well != decode(text, TEXT_MAX, &whole))
        abort();
    if (well && !slice_equal(buffer_slice(&pieces), buffer_slice(&whole)))
        abort();
    /* What this takes is base64 to others as well, and to the same bytes. */
    if (well &&
        (!decode_whole(text, &known) || !slice_equal(buffer_slice(&whole), buffer_slice(&known))))
        abort();
    /* Any bytes come back as they went. */
    buffer_clear(&whole);
    base64_append(&back, text);
    if (!decode(buffer_slice(&back), data[0] + 1U, &whole) ||
        !slice_equal(buffer_slice(&whole), text))
        abort();
    buffer_done(&pieces);
    buffer_done(&whole);
    buffer_done(&known);
    buffer_done(&back);
    return 0;
}
