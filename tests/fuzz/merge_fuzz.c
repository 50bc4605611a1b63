/* Any three documents, policies and strategy: the merge is a canonical document within its bounds,
 * made of what the sides have; a side that changed nothing leaves the other's; merging again
 * changes nothing. The text is a line of figures (strategy, type, whose side is later), a policies
 * file, and the base, ours and theirs as a line of JSON each. */
#include <assert.h>

#include "service/core/merge.h"
#include "tests/fuzz/fuzz_json.h"
#include "tests/service/core/merge_origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 256 << 20, JSON_MAX = 64 << 20 };

/* What to merge, and how. */
struct trial {
    struct arena arena;
    struct merge_input input;
    struct policy_set policies;
    enum conflict_strategy strategy;
};

/* A figure of the text's first line, 1 to `most`. */
static unsigned figure(struct slice *text, unsigned most) {
    unsigned digit = text->size > 0 && *text->data != '\n' ? *text->data : 0;
    *text = slice_after(*text, digit > 0);
    return 1 + digit % most;
}

/* Makes the trial; false: the text is none. */
static bool trial_read(struct trial *trial, struct slice text) {
    struct sync_error error = {.status = SYNC_OK};
    struct merge_input *input = &trial->input;
    struct slice theirs = fuzz_line_cut(&text), ours = fuzz_line_cut(&text);
    struct slice base = fuzz_line_cut(&text);
    trial->strategy = (enum conflict_strategy)figure(&text, STRATEGY_MANUAL);
    input->type = (enum data_type)figure(&text, DATA_TYPE_LAST);
    input->ours_us = 1000 + figure(&text, 3);
    input->theirs_us = 1002;
    if (policy_set_parse(text, &trial->arena, &error, &trial->policies) != SYNC_OK)
        trial->policies = *policy_set_default();
    return fuzz_document(base, &trial->arena, &input->base) &&
           fuzz_document(ours, &trial->arena, &input->ours) &&
           fuzz_document(theirs, &trial->arena, &input->theirs);
}

/* The document is valid I-JSON in canonical form, no deeper than allowed. */
static void check_document(struct slice document, struct arena *arena) {
    struct slice again;
    struct buffer json;
    enum sync_status status = document_normalize(document, arena, NULL, &again);
    assert(status == SYNC_OK && again.data == document.data && again.size == document.size);
    buffer_init(&json, JSON_MAX);
    document_append_json(document, &json);
    assert(buffer_status(&json) == SYNC_OK && slice_is_utf8(buffer_slice(&json)));
    buffer_done(&json);
}

static struct merge_result merge(struct trial *trial, struct slice base, struct slice ours,
                                 struct slice theirs) {
    struct merge_input input = trial->input;
    struct merge_result result;
    input.base = base;
    input.ours = ours;
    input.theirs = theirs;
    enum sync_status status =
        conflict_merge(&input, &trial->policies, trial->strategy, &trial->arena, &result);
    assert(status == SYNC_OK);
    assert(result.document.size <= ours.size + theirs.size);
    check_document(result.document, &trial->arena);
    return result;
}

static void check_identity(struct trial *trial) {
    const struct merge_input *input = &trial->input;
    assert(slice_equal(merge(trial, input->base, input->ours, input->base).document, input->ours));
    assert(
        slice_equal(merge(trial, input->base, input->base, input->theirs).document, input->theirs));
    assert(slice_equal(merge(trial, input->base, input->ours, input->ours).document, input->ours));
}

/* Decisions say what they are; `ret_joins_text`: words of both were put together. */
static void check_decisions(const struct trial *trial, const struct merge_result *result,
                            bool *ret_joins_text) {
    size_t undecided = 0;
    *ret_joins_text = false;
    for (size_t i = 0; i < result->decision_count; i++) {
        const struct merge_decision *decision = &result->decisions[i];
        assert(decision->path.data);
        assert(!decision->undecided || !decision->took_theirs);
        assert(!decision->undecided || decision->policy == FIELD_POLICY_MANUAL ||
               (decision->policy == FIELD_POLICY_NONE && trial->strategy == STRATEGY_MANUAL));
        undecided += decision->undecided;
        *ret_joins_text |= decision->policy == FIELD_POLICY_TEXT;
    }
    assert(undecided == result->undecided_count || result->decision_count >= 1000);
}

/* What one side did, put into the other, whatever the policies, or into nothing: none of it waits.
 */
static void check_own(struct trial *trial) {
    const struct merge_input *input = &trial->input;
    trial->input.theirs_win = true;
    trial->strategy = STRATEGY_CLIENT;
    struct merge_result own = merge(trial, input->base, input->ours, input->theirs);
    assert(own.undecided_count == 0);
    own = merge(trial, input->base, SLICE_EMPTY, input->theirs);
    assert(own.undecided_count == 0);
    check_identity(trial);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct trial trial = {.strategy = STRATEGY_MERGE};
    arena_init(&trial.arena, ARENA_MAX);
    if (trial_read(&trial, slice_of(data, size))) {
        const struct merge_input *input = &trial.input;
        bool joins_text;
        struct merge_result once = merge(&trial, input->base, input->ours, input->theirs);
        assert(merge_has_origin(once.document, input->ours, input->theirs));
        check_decisions(&trial, &once, &joins_text);
        check_identity(&trial);
        struct slice twice = merge(&trial, input->base, once.document, input->theirs).document;
        assert(joins_text || slice_equal(twice, once.document));
        check_own(&trial);
    }
    arena_done(&trial.arena);
    return 0;
}
