/* Any two documents, a line of JSON each: the delta from one to the other makes the other of the
 * one, exactly, as does the merge patch where there is one; each field of a delta can be shown. Any
 * bytes as a delta are applied within bounds or refused. */
#include <assert.h>

#include "service/core/delta.h"
#include "tests/fuzz/fuzz_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 256 << 20 };

static void check_fields(struct slice delta, struct arena *arena) {
    struct delta_field field;
    size_t position = 0, count = 0;
    while (delta_next(delta, &position, &field)) {
        struct slice path = delta_path_text(&field, arena);
        assert(field.path_size > 0 && path.data && path.size <= DELTA_PATH_TEXT_MAX);
        assert(field.removed || field.value.size > 0);
        count++;
    }
    assert(position == delta.size && (count > 0 || delta.size == 0));
}

static void check_way(struct slice before, struct slice after, struct arena *arena) {
    struct slice delta, result, patch;
    enum sync_status status = delta_between(before, after, arena, &delta);
    assert(status == SYNC_OK);
    assert((delta.size == 0) == slice_equal(before, after));
    check_fields(delta, arena);
    status = delta_apply(before, delta, arena, &result);
    assert(status == SYNC_OK && slice_equal(result, after));
    if (!delta_to_merge_patch(delta, arena, &patch))
        return;
    status = document_merge_patch(before, patch, arena, &result);
    assert(status == SYNC_OK && slice_equal(result, after));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct slice text = slice_of(data, size), one, other, result;
    arena_init(&arena, ARENA_MAX);
    struct slice last = fuzz_line_cut(&text);
    if (fuzz_document(last, &arena, &other) && fuzz_document(text, &arena, &one)) {
        check_way(one, other, &arena);
        check_way(other, one, &arena);
        check_way(SLICE_EMPTY, one, &arena);
        check_way(one, SLICE_EMPTY, &arena);
    } else if (fuzz_document(text, &arena, &one)) {
        (void)delta_apply(one, last, &arena, &result);
    }
    arena_done(&arena);
    return 0;
}
