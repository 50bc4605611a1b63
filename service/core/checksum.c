#include "service/core/checksum.h"

#include <assert.h>

#include "base/limits.h"
#include "base/sha256.h"
#include "service/core/document.h"

enum sync_status checksum_element(const struct record_key *key, struct slice document,
                                  struct buffer *scratch, struct checksum *ret_element) {
    assert(key && key->id.size <= DATA_ID_MAX);
    assert(scratch && ret_element);
    buffer_clear(scratch);
    document_append_json(document, scratch);
    enum sync_status status = buffer_status(scratch);
    if (status)
        return status;
    uint8_t element[1 + DATA_ID_MAX + 1 + SHA256_SIZE];
    size_t size = 0;
    element[size++] = (uint8_t)key->type;
    if (key->id.size > 0)
        memcpy(element + size, key->id.data, key->id.size);
    size += key->id.size;
    element[size++] = '\0';
    sha256_of(buffer_slice(scratch), element + size);
    uint8_t digest[SHA256_SIZE];
    sha256_of(slice_of(element, size + SHA256_SIZE), digest);
    *ret_element = checksum_read(digest);
    return SYNC_OK;
}

struct checksum checksum_add(struct checksum sum, struct checksum element) {
    struct checksum result = {.low = sum.low + element.low};
    result.high = sum.high + element.high + (result.low < sum.low);
    return result;
}

struct checksum checksum_subtract(struct checksum sum, struct checksum element) {
    struct checksum result = {.low = sum.low - element.low};
    result.high = sum.high - element.high - (sum.low < element.low);
    return result;
}

void checksum_format(struct checksum sum, char ret_text[2 * CHECKSUM_SIZE + 1]) {
    static const char HEX[] = "0123456789abcdef";
    uint8_t bytes[CHECKSUM_SIZE];
    checksum_write(sum, bytes);
    for (size_t i = 0; i < CHECKSUM_SIZE; i++) {
        ret_text[2 * i] = HEX[bytes[i] >> 4];
        ret_text[2 * i + 1] = HEX[bytes[i] & 15];
    }
    ret_text[2 * CHECKSUM_SIZE] = '\0';
}

void checksum_write(struct checksum sum, uint8_t ret_bytes[CHECKSUM_SIZE]) {
    for (size_t i = 0; i < 8; i++) {
        ret_bytes[i] = (uint8_t)(sum.high >> (56 - 8 * i));
        ret_bytes[8 + i] = (uint8_t)(sum.low >> (56 - 8 * i));
    }
}

struct checksum checksum_read(const uint8_t bytes[CHECKSUM_SIZE]) {
    struct checksum sum = {0, 0};
    for (size_t i = 0; i < 8; i++) {
        sum.high = sum.high << 8 | bytes[i];
        sum.low = sum.low << 8 | bytes[8 + i];
    }
    return sum;
}
