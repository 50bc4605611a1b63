/* What holds of every merge, tried on documents by chance. The seed is printed; MERGE_SEED and
 * MERGE_ROUNDS set it and how long it goes on. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "service/core/document_read.h"
#include "service/core/merge.h"
#include "tests/service/core/list_merge.h"
#include "tests/service/core/merge_origin.h"
#include "tests/service/core/test_arena.h"

enum { ROUNDS = 20000, TEXT_MAX = 4096 };

/* A field of each kind; "free" has no rule. */
static const struct policy_rule RULES[] = {
    {DATA_TYPE_TRIP, "client", FIELD_POLICY_CLIENT},
    {DATA_TYPE_TRIP, "server", FIELD_POLICY_SERVER},
    {DATA_TYPE_TRIP, "latest", FIELD_POLICY_LATEST},
    {DATA_TYPE_TRIP, "max", FIELD_POLICY_MAX},
    {DATA_TYPE_TRIP, "min", FIELD_POLICY_MIN},
    {DATA_TYPE_TRIP, "union", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "keyed", FIELD_POLICY_KEYED},
    {DATA_TYPE_TRIP, "text", FIELD_POLICY_TEXT},
    {DATA_TYPE_TRIP, "manual", FIELD_POLICY_MANUAL},
};
static const struct policy_set POLICIES = {.rules = RULES, .count = sizeof RULES / sizeof *RULES};
static const char *const NAMES[] = {"client", "free", "keyed",  "latest", "manual", "max",
                                    "min",    "o",    "server", "text",   "union"};
enum { NAMES_COUNT = sizeof NAMES / sizeof *NAMES };

static uint64_t seed;

static unsigned chance(unsigned below) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

/* JSON of one field, by chance; empty: there is none. */
struct field {
    char json[256];
};

/* Appends to a field's JSON, which has room. */
static void add(struct field *field, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct field *field, const char *format, ...) {
    size_t size = strlen(field->json);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(field->json + size, sizeof field->json - size, format, arguments);
    va_end(arguments);
    assert_in_range(length, 1, sizeof field->json - size - 1);
}

/* A comma, unless the list has just begun. */
static const char *comma(const struct field *field) {
    return field->json[strlen(field->json) - 1] == '[' ? "" : ",";
}

static void add_text(struct field *field) {
    static const char *const words[] = {"a", "b", "c", "d", "e"};
    add(field, "\"");
    for (unsigned i = chance(6), first = i; i > 0; i--)
        add(field, "%s%s", i == first ? "" : " ", words[chance(5)]);
    add(field, "\"");
}

static void field_make(const char *name, struct field *field) {
    field->json[0] = '\0';
    if (chance(6) == 0)
        return;
    if (strcmp(name, "union") == 0) {
        add(field, "[");
        for (unsigned i = 0; i < 5; i++)
            if (chance(2))
                add(field, "%s%u", comma(field), i);
        add(field, "]");
    } else if (strcmp(name, "keyed") == 0) {
        add(field, "[");
        for (unsigned i = 0; i < 4; i++)
            if (chance(2))
                add(field, "%s{\"id\":\"%u\",\"v\":%u,\"w\":%u}", comma(field), i, chance(3),
                    chance(3));
        add(field, "]");
    } else if (strcmp(name, "o") == 0) {
        add(field, "{\"x\":%u,\"y\":{\"z\":%u}}", chance(3), chance(3));
    } else if (strcmp(name, "text") == 0 || chance(4) == 0) {
        add_text(field);
    } else {
        add(field, "%u", chance(5));
    }
}

/* A document's fields; a side is the base with some made anew. */
struct fields {
    struct field fields[NAMES_COUNT];
};

static void fields_make(struct fields *fields, unsigned of) {
    for (int i = 0; i < NAMES_COUNT; i++)
        if (chance(of) == 0)
            field_make(NAMES[i], &fields->fields[i]);
}

static struct slice fields_document(const struct fields *fields) {
    struct buffer json;
    buffer_init(&json, TEXT_MAX);
    for (int i = 0; i < NAMES_COUNT; i++)
        if (fields->fields[i].json[0])
            buffer_append_format(&json, "%s\"%s\":%s", json.size > 0 ? "," : "{", NAMES[i],
                                 fields->fields[i].json);
    buffer_append(&json, json.size > 0 ? SLICE("}") : SLICE("{}"));
    char *text = arena_copy_text(&arena, buffer_slice(&json));
    assert_non_null(text);
    buffer_done(&json);
    return doc(text);
}

/* Three documents by chance, and when the sides changed. */
struct trial {
    struct slice base, ours, theirs;
    int64_t ours_us, theirs_us;
    enum conflict_strategy strategy;
};

static struct trial trial_make(void) {
    struct fields base = {0}, side;
    struct trial trial = {.strategy = (enum conflict_strategy)(1 + chance(4))};
    fields_make(&base, 1);
    trial.base = fields_document(&base);
    side = base;
    fields_make(&side, 2);
    trial.ours = fields_document(&side);
    side = base;
    fields_make(&side, 2);
    trial.theirs = fields_document(&side);
    trial.ours_us = 1000 + chance(2);
    trial.theirs_us = 2001 - trial.ours_us + 1000 - chance(1000);
    return trial;
}

static struct merge_result merge(const struct trial *trial, struct slice base, struct slice ours,
                                 struct slice theirs) {
    struct merge_input input = {.type = DATA_TYPE_TRIP,
                                .base = base,
                                .ours = ours,
                                .theirs = theirs,
                                .ours_us = trial->ours_us,
                                .theirs_us = trial->theirs_us};
    struct merge_result result;
    assert_int_equal(conflict_merge(&input, &POLICIES, trial->strategy, &arena, &result), SYNC_OK);
    struct slice again;
    assert_int_equal(document_normalize(result.document, &arena, NULL, &again), SYNC_OK);
    assert_ptr_equal(again.data, result.document.data); /* valid, and canonical already */
    assert_true(result.document.size <= ours.size + theirs.size);
    return result;
}

static void expect_equal(struct slice a, struct slice b) {
    assert_string_equal(json_text(a, &arena), json_text(b, &arena));
}

/* Runs a property on many trials. */
static void every(void (*property)(const struct trial *trial)) {
    const char *rounds = getenv("MERGE_ROUNDS"), *wished = getenv("MERGE_SEED");
    seed = wished ? strtoull(wished, NULL, 10) : (uint64_t)time(NULL) * 2 + 1;
    printf("MERGE_SEED=%llu\n", (unsigned long long)seed);
    for (long left = rounds ? strtol(rounds, NULL, 10) : ROUNDS; left > 0; left--) {
        arena_reset(&arena);
        struct trial trial = trial_make();
        property(&trial);
    }
}

static void identity_of(const struct trial *trial) {
    expect_equal(merge(trial, trial->base, trial->ours, trial->base).document, trial->ours);
    expect_equal(merge(trial, trial->base, trial->base, trial->theirs).document, trial->theirs);
    expect_equal(merge(trial, trial->base, trial->ours, trial->ours).document, trial->ours);
}

static void one_side_alone_and_equal_sides_give_that_side(void **state) {
    (void)state;
    every(identity_of);
}

/* Without the fields whose merge joins both sides' words. */
static struct slice without_text(struct slice document) {
    struct slice patched;
    assert_int_equal(document_merge_patch(document, doc("{\"text\":null}"), &arena, &patched),
                     SYNC_OK);
    return patched;
}

static void idempotence_of(const struct trial *trial) {
    struct slice base = without_text(trial->base), theirs = without_text(trial->theirs);
    struct slice once = merge(trial, base, without_text(trial->ours), theirs).document;
    expect_equal(merge(trial, base, once, theirs).document, once);
}

static void merging_the_same_again_changes_nothing(void **state) {
    (void)state;
    every(idempotence_of);
}

/* The member of a document as JSON; NULL when there is none. A list's elements in order. */
static const char *member_json(struct slice document, const char *name) {
    struct value value, element;
    struct buffer json;
    size_t position = 0;
    unsigned elements = 0;
    if (!document_find(document, slice_text(name), &value))
        return NULL;
    if (value.kind == VALUE_LIST) {
        while (document_list_next(value.list, &position, &element))
            elements |= 1u << (unsigned)element.number;
        return arena_format(&arena, "%x", elements);
    }
    buffer_init(&json, TEXT_MAX);
    value_append_json(&value, &json);
    const char *text = arena_copy_text(&arena, buffer_slice(&json));
    buffer_done(&json);
    return text;
}

static void commutativity_of(const struct trial *trial) {
    static const char *const commutative[] = {"latest", "max", "min", "union"};
    struct trial turned = *trial;
    turned.ours_us = trial->theirs_us;
    turned.theirs_us = trial->ours_us;
    /* Where the policies have no answer, as of a text and a number, the strategy has: the later. */
    turned.strategy = STRATEGY_MERGE;
    struct trial straight = *trial;
    straight.strategy = STRATEGY_MERGE;
    if (trial->ours_us == trial->theirs_us)
        return; /* then the server's stays */
    struct slice one = merge(&straight, trial->base, trial->ours, trial->theirs).document;
    struct slice other = merge(&turned, trial->base, trial->theirs, trial->ours).document;
    for (size_t i = 0; i < sizeof commutative / sizeof *commutative; i++) {
        const char *a = member_json(one, commutative[i]), *b = member_json(other, commutative[i]);
        assert_int_equal(a == NULL, b == NULL);
        if (a)
            assert_string_equal(a, b);
    }
}

static void latest_max_min_and_union_do_not_care_who_is_the_server(void **state) {
    (void)state;
    every(commutativity_of);
}

static void origin_of(const struct trial *trial) {
    struct slice merged = merge(trial, trial->base, trial->ours, trial->theirs).document;
    assert_true(merge_has_origin(merged, trial->ours, trial->theirs));
}

static void no_value_is_invented(void **state) {
    (void)state;
    every(origin_of);
}

/* A field in dispute: what each side has of it, and what it became; empty: nothing. */
struct dispute {
    const struct trial *trial;
    enum field_policy policy;
    struct slice base, ours, theirs, merged;
};

static struct slice bytes_at(struct slice document, const char *name) {
    struct value value;
    return document_find(document, slice_text(name), &value) ? value.bytes : SLICE_EMPTY;
}

static void expect_side(const struct dispute *dispute, bool is_theirs) {
    assert_true(slice_equal(dispute->merged, is_theirs ? dispute->theirs : dispute->ours));
}

/* Where a policy has no answer. */
static void expect_strategy(const struct dispute *dispute) {
    enum conflict_strategy strategy = dispute->trial->strategy;
    bool is_later = dispute->trial->theirs_us > dispute->trial->ours_us;
    expect_side(dispute, strategy == STRATEGY_CLIENT || (strategy == STRATEGY_MERGE && is_later));
}

static void expect_extreme(const struct dispute *dispute) {
    struct value ours, theirs;
    bool is_max = dispute->policy == FIELD_POLICY_MAX, is_larger;
    if (dispute->ours.size == 0 || dispute->theirs.size == 0 || !value_read(dispute->ours, &ours) ||
        !value_read(dispute->theirs, &theirs) || ours.kind != theirs.kind) {
        expect_strategy(dispute);
        return;
    }
    assert_true(ours.kind == VALUE_NUMBER || ours.kind == VALUE_STRING);
    is_larger = ours.kind == VALUE_NUMBER ? theirs.number > ours.number
                                          : slice_compare(theirs.text, ours.text) > 0;
    expect_side(dispute, is_larger == is_max);
}

static void expect_list(const struct dispute *dispute) {
    struct list_merge lists = {dispute->base, dispute->ours, dispute->theirs, dispute->merged};
    bool is_disputed;
    if (!list_merge_are_lists(&lists))
        expect_strategy(dispute);
    else if (dispute->policy == FIELD_POLICY_UNION)
        assert_null(list_merge_union_fault(&lists));
    else
        assert_null(list_merge_keyed_fault(&lists, &is_disputed));
}

/* What the policy says of the field; true where it has an answer of its own. */
static bool policy_holds(const struct dispute *dispute) {
    switch (dispute->policy) {
    case FIELD_POLICY_CLIENT:
    case FIELD_POLICY_SERVER:
    case FIELD_POLICY_MANUAL:
        expect_side(dispute, dispute->policy == FIELD_POLICY_CLIENT);
        return true;
    case FIELD_POLICY_LATEST:
        expect_side(dispute, dispute->trial->theirs_us > dispute->trial->ours_us);
        return true;
    case FIELD_POLICY_MAX:
    case FIELD_POLICY_MIN:
        expect_extreme(dispute);
        return true;
    case FIELD_POLICY_UNION:
    case FIELD_POLICY_KEYED:
        expect_list(dispute);
        return true;
    case FIELD_POLICY_TEXT: /* whose words they are, no_value_is_invented says */
        return dispute->ours.size > 0 && dispute->theirs.size > 0;
    case FIELD_POLICY_NONE:
        break;
    }
    return false;
}

static unsigned disputes[FIELD_POLICY_LAST + 1];

static void policies_of(const struct trial *trial) {
    struct slice merged = merge(trial, trial->base, trial->ours, trial->theirs).document;
    for (int i = 0; i < NAMES_COUNT; i++) {
        struct slice path = slice_text(NAMES[i]);
        struct dispute dispute = {
            .trial = trial,
            .policy = policy_find(&POLICIES, DATA_TYPE_TRIP, &path, 1),
            .base = bytes_at(trial->base, NAMES[i]),
            .ours = bytes_at(trial->ours, NAMES[i]),
            .theirs = bytes_at(trial->theirs, NAMES[i]),
            .merged = bytes_at(merged, NAMES[i]),
        };
        if (slice_equal(dispute.ours, dispute.theirs) || slice_equal(dispute.base, dispute.theirs))
            expect_side(&dispute, false);
        else if (slice_equal(dispute.base, dispute.ours))
            expect_side(&dispute, true);
        else
            disputes[dispute.policy] += policy_holds(&dispute);
    }
}

static void each_policy_decides_as_it_says(void **state) {
    (void)state;
    memset(disputes, 0, sizeof disputes);
    every(policies_of);
    for (int policy = FIELD_POLICY_NONE + 1; policy <= FIELD_POLICY_LAST; policy++)
        assert_true(disputes[policy] > 0);
}

/* What is undecided is as the server has it, and only policies and strategy leave things so. */
static void decisions_of(const struct trial *trial) {
    struct merge_result result = merge(trial, trial->base, trial->ours, trial->theirs);
    size_t undecided = 0;
    for (size_t i = 0; i < result.decision_count; i++) {
        const struct merge_decision *decision = &result.decisions[i];
        undecided += decision->undecided;
        if (decision->undecided)
            assert_true(decision->policy == FIELD_POLICY_MANUAL ||
                        trial->strategy == STRATEGY_MANUAL);
        assert_false(decision->undecided && decision->took_theirs);
    }
    assert_int_equal(undecided, result.undecided_count);
}

static void every_dispute_is_told_with_its_policy(void **state) {
    (void)state;
    every(decisions_of);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        ARENA_TEST(one_side_alone_and_equal_sides_give_that_side),
        ARENA_TEST(merging_the_same_again_changes_nothing),
        ARENA_TEST(latest_max_min_and_union_do_not_care_who_is_the_server),
        ARENA_TEST(no_value_is_invented),
        ARENA_TEST(each_policy_decides_as_it_says),
        ARENA_TEST(every_dispute_is_told_with_its_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
