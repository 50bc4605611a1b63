/* Any text as a cursor: it is refused, or it is exactly what its position is written as, or was
 * written as earlier. */
#include <assert.h>

#include "service/core/cursor.h"

enum { EARLIER_TEXT_SIZE = 28 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor cursor;
    char text[CURSOR_TEXT_MAX];
    if (cursor_parse(slice_of(data, size), &cursor) != SYNC_OK)
        return 0;
    struct cursor again;
    size_t written = cursor_format(&cursor, text);
    if (slice_equal(slice_of(text, written), slice_of(data, size)))
        return 0;
    assert(size == EARLIER_TEXT_SIZE);
    assert(cursor_parse(slice_of(text, written), &again) == SYNC_OK);
    assert(again.epoch == cursor.epoch && again.sequence == cursor.sequence &&
           again.types == cursor.types);
    return 0;
}
