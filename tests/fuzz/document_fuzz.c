/* Any bytes as documents: what is accepted is canonical, has JSON, and goes
 * through deltas, merge patches and merges without loss. The first byte says where the input parts
 * into two documents. */
#include <assert.h>

#include "service/core/delta.h"
#include "service/core/merge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A document in canonical form stays what it is. */
static void check_canonical(struct slice document, struct arena *arena) {
    struct slice again;
    enum sync_status status = document_normalize(document, arena, NULL, &again);
    assert(status == SYNC_OK);
    assert(again.data == document.data && again.size == document.size);
}

/* Canonical JSON always closes what it opens, and is UTF-8. */
static void check_json(struct slice document) {
    struct buffer json;
    buffer_init(&json, 64 << 20);
    document_append_json(document, &json);
    if (buffer_status(&json) == SYNC_OK) {
        assert(json.data[0] == '{' && json.data[json.size - 1] == '}');
        assert(slice_is_utf8(buffer_slice(&json)));
    }
    buffer_done(&json);
}

static void check_delta(struct slice before, struct slice after, struct arena *arena) {
    struct slice delta, result, patch;
    enum sync_status status = delta_between(before, after, arena, &delta);
    assert(status == SYNC_OK);
    status = delta_apply(before, delta, arena, &result);
    assert(status == SYNC_OK && slice_equal(result, after));
    if (!delta_to_merge_patch(delta, arena, &patch))
        return;
    check_canonical(patch, arena);
    status = document_merge_patch(before, patch, arena, &result);
    assert(status == SYNC_OK && slice_equal(result, after));
}

static void check_merge(struct slice ours, struct slice theirs, struct arena *arena) {
    struct merge_input input = {
        .type = DATA_TYPE_TRIP, .base = ours, .ours = theirs, .theirs = theirs};
    struct merge_result result;
    enum sync_status status =
        conflict_merge(&input, policy_set_default(), STRATEGY_MANUAL, arena, &result);
    assert(status == SYNC_OK && slice_equal(result.document, theirs));
    input = (struct merge_input){.type = DATA_TYPE_TRIP, .ours = ours, .theirs = theirs};
    status = conflict_merge(&input, policy_set_default(), STRATEGY_CLIENT, arena, &result);
    assert(status == SYNC_OK);
    check_canonical(result.document, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct sync_error error;
    struct slice first, second, result;
    if (size == 0)
        return 0;
    size_t part = data[0] < size - 1 ? data[0] : size - 1;
    struct slice input = slice_of(data + 1, size - 1);
    arena_init(&arena, 256 << 20);
    /* As a delta of any document too. */
    (void)delta_apply(SLICE_EMPTY, input, &arena, &result);
    if (document_normalize(slice_first(input, part), &arena, &error, &first) == SYNC_OK &&
        document_normalize(slice_after(input, part), &arena, &error, &second) == SYNC_OK) {
        check_canonical(first, &arena);
        check_canonical(second, &arena);
        check_json(first);
        check_json(second);
        check_delta(first, second, &arena);
        check_delta(second, first, &arena);
        check_merge(first, second, &arena);
        if (document_merge_patch(first, second, &arena, &result) == SYNC_OK)
            check_canonical(result, &arena);
    }
    arena_done(&arena);
    return 0;
}
