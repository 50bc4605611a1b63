#include "service/rpc/page_token.h"

#include <assert.h>

#include "base/json_text.h"
#include "base/limits.h"
#include "base/sha256.h"

enum { TOKEN_VERSION = 1, CRC_SIZE = 4, TOKEN_BYTES_MAX = PAGE_TOKEN_PAYLOAD_MAX + 1 + CRC_SIZE };

_Static_assert((TOKEN_BYTES_MAX + 2) / 3 * 4 <= PAGE_TOKEN_MAX, "a token fits its own bound");

/* The check over what the token is bound to and its position. */
static uint32_t token_check(const struct page_binding *binding, struct slice position) {
    const struct slice nul = slice_of("", 1);
    uint32_t crc = crc32c(0, slice_text(binding->list));
    crc = crc32c(crc, nul);
    crc = crc32c(crc, binding->user);
    crc = crc32c(crc, nul);
    crc = crc32c(crc, binding->parameters);
    crc = crc32c(crc, nul);
    return crc32c(crc, position);
}

char *page_token_format(struct arena *arena, const struct page_binding *binding,
                        struct slice position) {
    assert(binding->list);
    assert(position.size <= PAGE_TOKEN_PAYLOAD_MAX);
    struct buffer bytes, text;
    buffer_init(&bytes, TOKEN_BYTES_MAX);
    buffer_init(&text, PAGE_TOKEN_MAX);
    buffer_append_byte(&bytes, TOKEN_VERSION);
    uint32_t crc = token_check(binding, position);
    for (int shift = 24; shift >= 0; shift -= 8)
        buffer_append_byte(&bytes, (uint8_t)(crc >> shift));
    buffer_append(&bytes, position);
    base64url_append(&text, buffer_slice(&bytes));
    bool is_well = buffer_status(&bytes) == SYNC_OK && buffer_status(&text) == SYNC_OK;
    char *token = is_well ? arena_copy_text(arena, buffer_slice(&text)) : NULL;
    buffer_done(&bytes);
    buffer_done(&text);
    return token;
}

enum sync_status page_token_parse(struct slice text, const struct page_binding *binding,
                                  struct arena *arena, struct slice *ret_position) {
    if (text.size > PAGE_TOKEN_MAX)
        return SYNC_ERR_INVALID;
    struct buffer bytes;
    buffer_init(&bytes, PAGE_TOKEN_MAX);
    bool is_ours =
        base64_decode(text, &bytes) && bytes.size > CRC_SIZE && bytes.data[0] == TOKEN_VERSION;
    struct slice position = SLICE_EMPTY;
    if (is_ours) {
        uint32_t crc = 0;
        for (size_t i = 1; i <= CRC_SIZE; i++)
            crc = crc << 8 | bytes.data[i];
        position = slice_after(buffer_slice(&bytes), 1 + CRC_SIZE);
        is_ours = crc == token_check(binding, position);
    }
    enum sync_status status = SYNC_OK;
    if (bytes.failed || (is_ours && !arena_copy(arena, position, ret_position)))
        status = SYNC_ERR_NO_MEMORY;
    else if (!is_ours)
        status = SYNC_ERR_INVALID;
    buffer_done(&bytes);
    return status;
}
