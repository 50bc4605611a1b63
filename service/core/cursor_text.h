/* Cursor text: what plain and lap cursors have in common: numbers in bytes, and the bytes as
 * base64url without padding. Pure. */
#ifndef SERVICE_CORE_CURSOR_TEXT_H
#define SERVICE_CORE_CURSOR_TEXT_H

#include "base/bytes.h"

/* Writes `size` bytes, big endian; returns where to go on. */
uint8_t *cursor_put_number(uint8_t *at, uint64_t value, int size);

/* Reads `size` bytes, big endian, and moves on. */
uint64_t cursor_get_number(const uint8_t **at, int size);

/* Writes base64url, NUL-terminated, into room for 4 characters per 3 bytes begun, and the NUL;
 * returns its length. */
size_t cursor_text_write(struct slice bytes, char *ret_text);

/* Reads base64url of at most `size_max` bytes; false when it is none, or not as it is written
 * here. The bytes are then undefined. */
bool cursor_text_read(struct slice text, size_t size_max, uint8_t *ret_bytes, size_t *ret_size);

#endif
