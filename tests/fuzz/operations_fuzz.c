/* Any two documents, a line of JSON each: operations from one to the other make the other of the
 * one, exactly. Any bytes as packed operations are applied within bounds or refused. */
#include <assert.h>

#include "service/core/delta.h"
#include "service/core/field_stamps.h"
#include "service/core/patch_operation.h"
#include "tests/fuzz/fuzz_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 256 << 20, OPERATIONS_MAX = 2 * FIELD_STAMPS_MAX };

static void check_canonical(struct slice document, struct arena *arena) {
    struct sync_error error;
    struct slice again;
    enum sync_status status = document_normalize(document, arena, &error, &again);
    assert(status == SYNC_OK && slice_equal(document, again));
}

/* What operations take away is what the document then lacks, and marks of it are a document. */
static void check_taken(struct slice document, const struct patch_operation *operations,
                        size_t count, struct arena *arena) {
    struct slice rest, removals;
    enum sync_status status = patch_operations_take(document, operations, count, arena, &rest);
    assert(status == SYNC_OK || status == SYNC_ERR_INVALID || status == SYNC_ERR_TOO_LARGE);
    if (status)
        return;
    check_canonical(rest, arena);
    status = document_removals(document, rest, true, arena, &removals);
    assert(status == SYNC_OK);
    check_canonical(removals, arena);
}

/* Reads the packed operations and applies them. */
static enum sync_status apply(struct slice document, struct slice packed, struct arena *arena,
                              struct slice *ret_document) {
    struct patch_operation operations[OPERATIONS_MAX];
    struct sync_error error = {0};
    struct slice message;
    size_t position = 0, count = 0, failed;
    while (count < OPERATIONS_MAX && patch_operations_next(packed, &position, &message)) {
        enum sync_status status =
            patch_operation_read(message, arena, &error, &operations[count++]);
        if (status)
            return status;
    }
    check_taken(document, operations, count, arena);
    enum sync_status status =
        patch_operations_apply(document, operations, count, arena, &error, &failed, ret_document);
    assert(status != SYNC_ERR_INVALID || failed < count || count == 0 || error.reason[0]);
    return status;
}

static void check_way(struct slice before, struct slice after, struct arena *arena) {
    struct record record = {.version = 1, .data = before};
    struct field_change change = {.before = &record, .document = after, .version = 2};
    struct slice packed, result;
    bool is_found;
    enum sync_status status = delta_between(after, before, arena, &change.undo);
    assert(status == SYNC_OK);
    status = field_stamps_after(&change, arena, &record.stamps);
    assert(status == SYNC_OK);
    record.version = 2;
    record.data = after;
    status = field_stamps_operations(&record, 1, arena, &packed, &is_found);
    assert(status == SYNC_OK);
    if (!is_found)
        return;
    status = apply(before, packed, arena, &result);
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
    } else if (fuzz_document(text, &arena, &one) && apply(one, last, &arena, &result) == SYNC_OK) {
        check_canonical(result, &arena);
    }
    arena_done(&arena);
    return 0;
}
