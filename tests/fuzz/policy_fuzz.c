/* Any bytes as a policies file: refused with the line, or rules that are found by their own paths
 * and read the same when they are written again. */
#include <assert.h>
#include <string.h>

#include "service/core/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 64 << 20 };

static const char *const TYPES[] = {"", "trip", "profile", "preference", "booking"};

/* The segments of a rule's path. */
static size_t path_split(const char *path, struct slice segments[DELTA_PATH_TEXT_MAX + 1]) {
    size_t count = 0;
    for (;; path++) {
        size_t length = strcspn(path, ".");
        segments[count++] = slice_of(path, length);
        path += length;
        if (*path == '\0')
            return count;
    }
}

/* A rule speaks of the path that it is; an earlier one may come before it. */
static void check_found(const struct policy_set *policies) {
    struct slice segments[DELTA_PATH_TEXT_MAX + 1];
    for (size_t i = 0; i < policies->count; i++) {
        const struct policy_rule *rule = &policies->rules[i];
        size_t count = path_split(rule->path, segments), j = 0;
        enum field_policy found = policy_find(policies, rule->type, segments, count);
        while (j < i &&
               (policies->rules[j].type != rule->type || policies->rules[j].policy != found))
            j++;
        assert(j < i || found == rule->policy);
    }
}

static void check_again(const struct policy_set *policies, struct arena *arena) {
    struct sync_error error = {.status = SYNC_OK};
    struct policy_set again;
    struct buffer text;
    buffer_init(&text, POLICY_FILE_MAX);
    for (size_t i = 0; i < policies->count; i++)
        buffer_append_format(&text, "field %s %s %s\n", TYPES[policies->rules[i].type],
                             policies->rules[i].path, field_policy_name(policies->rules[i].policy));
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        buffer_append_format(&text, "delete %s %s\n", TYPES[type],
                             delete_policy_name(policies->deletes[type]));
    if (buffer_status(&text) == SYNC_OK) {
        enum sync_status status = policy_set_parse(buffer_slice(&text), arena, &error, &again);
        assert(status == SYNC_OK && again.count == policies->count);
        for (size_t i = 0; i < again.count; i++)
            assert(again.rules[i].type == policies->rules[i].type &&
                   again.rules[i].policy == policies->rules[i].policy &&
                   strcmp(again.rules[i].path, policies->rules[i].path) == 0);
        assert(memcmp(again.deletes, policies->deletes, sizeof again.deletes) == 0);
    }
    buffer_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sync_error error = {.status = SYNC_OK};
    struct policy_set policies;
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    if (policy_set_parse(slice_of(data, size), &arena, &error, &policies) == SYNC_OK) {
        assert(policies.count <= POLICY_RULES_MAX);
        check_found(&policies);
        check_again(&policies, &arena);
    } else {
        assert(error.message[0]);
    }
    arena_done(&arena);
    return 0;
}
