/* Reading a policies file. */
#include <assert.h>

#include "service/core/policy.h"

enum { WORDS_MAX = 7 }; /* one more than a line may have */

/* The set in the making. */
struct policy_parser {
    struct arena *arena;
    struct sync_error *error;
    unsigned line;
    struct policy_rule *rules;
    size_t count;
    enum delete_policy deletes[DATA_TYPE_LAST + 1];
    struct deadline_policy deadlines[DATA_TYPE_LAST + 1];
    data_type_set deletes_named, deadlines_named;
};

static enum sync_status refuse(const struct policy_parser *parser, const char *what,
                               struct slice word) {
    return sync_error_set(parser->error, SYNC_ERR_INVALID, "POLICY", NULL, "line %u: %s: \"%.*s\"",
                          parser->line, what, (int)(word.size < 200 ? word.size : 200),
                          (const char *)word.data);
}

/* The line's words; WORDS_MAX when there are more. */
static size_t line_split(struct slice line, struct slice words[WORDS_MAX]) {
    size_t count = 0, i = 0;
    while (count < WORDS_MAX) {
        while (i < line.size && (line.data[i] == ' ' || line.data[i] == '\t'))
            i++;
        size_t begin = i;
        if (i == line.size || line.data[i] == '#')
            break;
        while (i < line.size && line.data[i] != ' ' && line.data[i] != '\t')
            i++;
        words[count++] = slice_of(line.data + begin, i - begin);
    }
    return count;
}

/* The types that a word names; 0: none. */
static data_type_set types_read(struct slice word) {
    static const char *const names[] = {[DATA_TYPE_TRIP] = "trip",
                                        [DATA_TYPE_PROFILE] = "profile",
                                        [DATA_TYPE_PREFERENCE] = "preference",
                                        [DATA_TYPE_BOOKING] = "booking"};
    if (slice_equal(word, SLICE("*")))
        return DATA_TYPES_ALL;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        if (slice_equal(word, slice_text(names[type])))
            return (data_type_set)1 << type;
    return 0;
}

/* Whether no segment is empty, and "**" stands at the end only. */
static bool path_is_valid(struct slice path) {
    for (size_t begin = 0, end; begin <= path.size; begin = end + 1) {
        for (end = begin; end < path.size && path.data[end] != '.'; end++)
            ;
        struct slice segment = slice_of(path.data + begin, end - begin);
        if (segment.size == 0 || (slice_equal(segment, SLICE("**")) && end < path.size))
            return false;
    }
    return path.size <= DELTA_PATH_TEXT_MAX && !memchr(path.data, 0, path.size);
}

static enum sync_status rule_add(struct policy_parser *parser, enum data_type type,
                                 const char *path, enum field_policy policy) {
    for (size_t i = 0; i < parser->count; i++)
        if (parser->rules[i].type == type && strcmp(parser->rules[i].path, path) == 0)
            return refuse(parser, "the path has a policy already", slice_text(path));
    if (parser->count == POLICY_RULES_MAX)
        return refuse(parser, "there are more than 1000 rules at", slice_text(path));
    parser->rules[parser->count++] = (struct policy_rule){type, path, policy};
    return SYNC_OK;
}

static enum sync_status field_read(struct policy_parser *parser, data_type_set types,
                                   struct slice path, struct slice name) {
    if (!path_is_valid(path))
        return refuse(parser, "no path (names between dots, * for any, ** at the end)", path);
    int policy = 0;
    while (policy <= FIELD_POLICY_LAST &&
           !slice_equal(name, slice_text(field_policy_name((enum field_policy)policy))))
        policy++;
    if (policy > FIELD_POLICY_LAST)
        return refuse(parser,
                      "no policy of a field (client, server, latest, max, min, union, keyed, "
                      "text, manual, open)",
                      name);
    const char *text = arena_copy_text(parser->arena, path);
    enum sync_status status = text ? SYNC_OK : SYNC_ERR_NO_MEMORY;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST && status == SYNC_OK; type++)
        if (data_type_in(types, type))
            status = rule_add(parser, type, text, (enum field_policy)policy);
    return status;
}

static enum sync_status delete_read(struct policy_parser *parser, data_type_set types,
                                    struct slice name) {
    int policy = 0;
    while (policy <= DELETE_POLICY_LAST &&
           !slice_equal(name, slice_text(delete_policy_name((enum delete_policy)policy))))
        policy++;
    if (policy > DELETE_POLICY_LAST)
        return refuse(parser,
                      "no policy of deletions (client, server, service, latest, keep, delete, "
                      "manual, open)",
                      name);
    if (types & parser->deletes_named)
        return refuse(parser, "the type's deletions have a policy already", name);
    parser->deletes_named |= types;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        if (data_type_in(types, type))
            parser->deletes[type] = (enum delete_policy)policy;
    return SYNC_OK;
}

/* Reads a number with a unit, such as 14d; false when it is none, 0 or too long. */
static bool span_read(struct slice word, int64_t *ret_us) {
    static const struct {
        uint8_t unit;
        int64_t seconds;
    } UNITS[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
    const int64_t seconds_max = (int64_t)DEADLINE_DAYS_MAX * UNITS[0].seconds;
    int64_t number = 0, unit = 0;
    for (size_t i = 0; i + 1 < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9' || number > seconds_max)
            return false;
        number = 10 * number + (word.data[i] - '0');
    }
    for (size_t i = 0; word.size > 0 && i < sizeof UNITS / sizeof *UNITS; i++)
        if (word.data[word.size - 1] == UNITS[i].unit)
            unit = UNITS[i].seconds;
    if (number == 0 || unit == 0 || number > seconds_max / unit)
        return false;
    *ret_us = number * unit * 1000000;
    return true;
}

/* The words behind the type: "keep", or "ACTION SPAN [before SPAN]". */
static enum sync_status deadline_read(struct policy_parser *parser, data_type_set types,
                                      const struct slice *words, size_t count) {
    struct deadline_policy deadline = {0};
    int action = 0;
    while (action <= DEADLINE_LAST &&
           !slice_equal(words[0], slice_text(deadline_action_name((enum deadline_action)action))))
        action++;
    if (action > DEADLINE_LAST)
        return refuse(parser, "no action at a deadline (keep, server, client, latest, suggested)",
                      words[0]);
    deadline.action = (enum deadline_action)action;
    if ((action == DEADLINE_KEEP) != (count == 1) ||
        (count == 4 && !slice_equal(words[2], SLICE("before"))))
        return refuse(parser, "must be \"keep\" or \"ACTION SPAN [before SPAN]\"", words[0]);
    if (count > 1 && !span_read(words[1], &deadline.span_us))
        return refuse(parser, "no span of time (14d, 36h, 90m, 30s; at most 3650d)", words[1]);
    if (count > 3 && !span_read(words[3], &deadline.before_us))
        return refuse(parser, "no span of time (14d, 36h, 90m, 30s; at most 3650d)", words[3]);
    if (types & parser->deadlines_named)
        return refuse(parser, "the type's conflicts have a deadline already", words[0]);
    parser->deadlines_named |= types;
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        if (data_type_in(types, type))
            parser->deadlines[type] = deadline;
    return SYNC_OK;
}

static enum sync_status line_read(struct policy_parser *parser, struct slice line) {
    struct slice words[WORDS_MAX];
    size_t count = line_split(line, words);
    if (count == 0)
        return SYNC_OK;
    bool is_field = slice_equal(words[0], SLICE("field")) && count == 4;
    bool is_delete = slice_equal(words[0], SLICE("delete")) && count == 3;
    bool is_deadline =
        slice_equal(words[0], SLICE("deadline")) && (count == 3 || count == 4 || count == 6);
    if (!is_field && !is_delete && !is_deadline)
        return refuse(parser,
                      "must be \"field TYPE PATH POLICY\", \"delete TYPE POLICY\" or \"deadline "
                      "TYPE keep|ACTION SPAN [before SPAN]\"",
                      line);
    data_type_set types = types_read(words[1]);
    if (types == 0)
        return refuse(parser, "no type (trip, profile, preference, booking, *)", words[1]);
    return is_field    ? field_read(parser, types, words[2], words[3])
           : is_delete ? delete_read(parser, types, words[2])
                       : deadline_read(parser, types, words + 2, count - 2);
}

enum sync_status policy_set_parse(struct slice text, struct arena *arena, struct sync_error *error,
                                  struct policy_set *ret_policies) {
    assert(arena && error);
    assert(ret_policies);
    struct policy_parser parser = {.arena = arena, .error = error};
    if (text.size > POLICY_FILE_MAX)
        return sync_error_set(error, SYNC_ERR_TOO_LARGE, "POLICY", NULL,
                              "the policies are more than 64 KiB");
    parser.rules = arena_alloc(arena, POLICY_RULES_MAX * sizeof *parser.rules);
    if (!parser.rules)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = SYNC_OK;
    for (size_t begin = 0, end; begin < text.size && status == SYNC_OK; begin = end + 1) {
        for (end = begin; end < text.size && text.data[end] != '\n'; end++)
            ;
        size_t size = end - begin - (end > begin && text.data[end - 1] == '\r');
        parser.line++;
        status = line_read(&parser, slice_of(text.data + begin, size));
    }
    if (status != SYNC_OK)
        return status;
    *ret_policies = (struct policy_set){.rules = parser.rules, .count = parser.count};
    memcpy(ret_policies->deletes, parser.deletes, sizeof parser.deletes);
    memcpy(ret_policies->deadlines, parser.deadlines, sizeof parser.deadlines);
    return SYNC_OK;
}
