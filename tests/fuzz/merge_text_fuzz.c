/* Any three texts merged by words: a side that did not change leaves the other's, and no word comes
 * from nowhere. The first two bytes say where the input parts. */
#include <assert.h>

#include "service/core/merge_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 64 << 20 };

static struct merged_text merge(struct slice base, struct slice ours, struct slice theirs,
                                bool takes_theirs, struct arena *arena) {
    struct merged_text merged;
    enum sync_status status = merge_text(base, ours, theirs, takes_theirs, arena, &merged);
    assert(status == SYNC_OK);
    assert(!merged.is_merged ||
           merged.text.size <= ours.size + theirs.size + (size_t)MERGE_TEXT_EXTRA);
    return merged;
}

/* Where one side is the base, the merge is the other. */
static void check_identity(struct slice base, struct slice side, struct arena *arena) {
    struct merged_text merged = merge(base, side, base, true, arena);
    assert(!merged.is_merged || (!merged.is_disputed && slice_equal(merged.text, side)));
    merged = merge(base, base, side, false, arena);
    assert(!merged.is_merged || (!merged.is_disputed && slice_equal(merged.text, side)));
    merged = merge(base, side, side, false, arena);
    assert(!merged.is_merged || (!merged.is_disputed && slice_equal(merged.text, side)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    if (size < 2)
        return 0;
    struct slice rest = slice_of(data + 2, size - 2);
    struct slice base = slice_first(rest, rest.size * data[0] / 256);
    rest = slice_after(rest, base.size);
    struct slice ours = slice_first(rest, rest.size * data[1] / 256);
    struct slice theirs = slice_after(rest, ours.size);
    arena_init(&arena, ARENA_MAX);
    check_identity(base, ours, &arena);
    check_identity(base, theirs, &arena);
    struct merged_text merged = merge(base, ours, theirs, true, &arena);
    if (merged.is_merged && slice_is_utf8(base) && slice_is_utf8(ours) && slice_is_utf8(theirs))
        assert(slice_is_utf8(merged.text));
    arena_done(&arena);
    return 0;
}
