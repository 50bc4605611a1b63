/* An operator's policies, by chance: a file that names some fields of the world's records, read as
 * the service reads one. */
#include <string.h>

#include "tests/simulation/sim.h"

enum { FILE_BYTES_MAX = POLICY_FILE_MAX, LINE_MAX_BYTES = 128 };

/* Whether a rule speaks of the path, said apart from the core: how many segments, then each, but
 * those that a final "**" stands for. */
static bool rule_speaks(struct slice rule, const struct slice *path, size_t depth) {
    bool is_open = slice_equal(rule, SLICE("**")) ||
                   (rule.size > 3 && memcmp(slice_end(rule) - 3, ".**", 3) == 0);
    size_t segments = 1;
    for (size_t i = 0; i < rule.size; i++)
        segments += rule.data[i] == '.';
    if (is_open ? depth < segments : depth != segments)
        return false;
    for (size_t i = 0; i < segments - is_open; i++) {
        const uint8_t *dot = memchr(rule.data, '.', rule.size);
        struct slice segment = dot ? slice_first(rule, (size_t)(dot - rule.data)) : rule;
        if (!slice_equal(segment, SLICE("*")) && !slice_equal(segment, path[i]))
            return false;
        rule = dot ? slice_after(rule, segment.size + 1) : SLICE_EMPTY;
    }
    return true;
}

enum field_policy sim_policy_of(const struct sim_world *world, enum data_type type,
                                const struct slice *path, size_t depth) {
    for (size_t i = 0; i < world->policies.count; i++) {
        const struct policy_rule *rule = &world->policies.rules[i];
        if (rule->type == type && rule_speaks(slice_text(rule->path), path, depth))
            return rule->policy;
    }
    return FIELD_POLICY_NONE;
}

static const char *const TYPES[] = {"", "trip", "profile", "preference", "booking"};

/* A line of a field: itself, or the object around it and what is in that. */
static void field_append(struct sim_random *random, const struct record_shape *shape,
                         struct buffer *file) {
    const char *path = shape->fields[sim_pick(random, (uint32_t)shape->field_count)].path;
    enum field_policy policy = (enum field_policy)sim_pick(random, FIELD_POLICY_LAST + 1);
    const char *dot = strchr(path, '.');
    char line[LINE_MAX_BYTES];
    uint32_t form = dot ? sim_pick(random, 4) : 0;
    int size = form < 2 ? (int)strlen(path) : (int)(dot - path);
    snprintf(line, sizeof line, "field %s %.*s%s ", TYPES[shape->type], size, path,
             form == 3 ? ".**" : "");
    /* A path may be named once. */
    bool is_there = memmem(file->data, file->size, line, strlen(line)) != NULL;
    if (!is_there)
        buffer_append_format(file, "%s%s\n", line, field_policy_name(policy));
}

/* A file that the service would read, of the fields that the world's records have. */
static void file_write(struct sim_world *world, struct sim_random *random, struct buffer *file) {
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        buffer_append_format(
            file, "delete %s %s\n", TYPES[type],
            delete_policy_name((enum delete_policy)sim_pick(random, DELETE_POLICY_LAST + 1)));
    for (uint32_t i = 0, count = sim_pick(random, 40); i < count; i++)
        field_append(random, world->shapes[sim_pick(random, SIM_RECORDS)], file);
    if (sim_once_in(random, 4))
        buffer_append_format(
            file, "field * ** %s # the rest\n",
            field_policy_name((enum field_policy)sim_pick(random, FIELD_POLICY_LAST + 1)));
}

static void file_read(struct sim_world *world, struct sim_random *random) {
    struct sync_error error;
    struct buffer file;
    buffer_init(&file, FILE_BYTES_MAX);
    file_write(world, random, &file);
    enum sync_status status =
        policy_set_parse(buffer_slice(&file), &world->arena, &error, &world->policies);
    SIM_HOLDS(world, status == SYNC_OK, "the operator's policies are refused: %s", error.message);
    for (size_t i = 0; i < file.size; i++)
        if (file.data[i] == '\n')
            file.data[i] = ';';
    sim_tell(world, "the operator's policies: %.*s", (int)file.size, (const char *)file.data);
    buffer_done(&file);
}

void sim_policies_choose(struct sim_world *world) {
    static const int64_t SPANS_S[] = {1, 60, 3600, 86400};
    static const int64_t SECOND_US = 1000000;
    struct sim_random random = sim_random_of(world->options->seed, UINT32_MAX - 3);
    world->policies = *policy_set_default();
    if (sim_once_in(&random, 2))
        file_read(world, &random);
    for (int type = DATA_TYPE_FIRST; type <= DATA_TYPE_LAST; type++)
        world->policies.deadlines[type] = (struct deadline_policy){
            .action = (enum deadline_action)sim_pick(&random, DEADLINE_LAST + 1),
            .span_us = SPANS_S[sim_pick(&random, 4)] * SECOND_US,
            .before_us = sim_once_in(&random, 2) ? 3600 * SECOND_US : 0,
        };
}
