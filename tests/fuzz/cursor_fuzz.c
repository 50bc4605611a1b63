/* Any text as a cursor: it is refused, or it is exactly what its position is written as. */
#include <assert.h>

#include "service/core/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cursor cursor;
    char text[CURSOR_TEXT_MAX];
    if (cursor_parse(slice_of(data, size), &cursor) != SYNC_OK)
        return 0;
    size_t written = cursor_format(&cursor, text);
    assert(slice_equal(slice_of(text, written), slice_of(data, size)));
    return 0;
}
