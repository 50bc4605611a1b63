#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "base/memory.h"
#include "gateway/route_index.h"
#include "gateway/schema_types.h"

enum { ROUTE_TABLE_BYTES_MAX = 64 << 20, ALLOWED_BYTES_MAX = 4096 };

/* One rule of one method. */
struct route_entry {
    struct route_template path_template;
    const struct schema_method *method;
    const struct schema_http_rule *rule;
    size_t alike; /* entries from here on that Accept alone tells apart, with this one */
};

struct route_table {
    struct arena arena;
    enum route_unescape unescape;
    struct route_entry *entries; /* in the order tried */
    size_t count;
    uint32_t *groups; /* where the entries of each template begin, and where the last ones end */
    size_t group_count;
    struct route_index index; /* of the templates, by their groups */
};

/* The templates that match a path: their groups, in the order tried. */
struct route_matches {
    uint32_t *groups;
    size_t count;
};

static int entry_compare(const void *a, const void *b) {
    const struct route_entry *x = a, *y = b;
    int order = route_template_compare(&x->path_template, &y->path_template);
    if (order == 0) /* a verb before any verb */
        order = slice_equal(x->rule->verb, SLICE("*")) - slice_equal(y->rule->verb, SLICE("*"));
    if (order == 0)
        order = slice_compare(x->rule->verb, y->rule->verb);
    if (order == 0) /* those that Accept selects first */
        order = (x->method->accept.size == 0) - (y->method->accept.size == 0);
    return order ? order : slice_compare(x->method->accept, y->method->accept);
}

static enum sync_status rule_refuse(const struct route_entry *entry, struct sync_error *error,
                                    struct slice name, const char *wrong) {
    return sync_error_set(error, SYNC_ERR_INVALID, "HTTP_RULE", NULL,
                          "the rule \"%.*s %.*s\" of %.*s is invalid: \"%.*s\" %s",
                          (int)entry->rule->verb.size, entry->rule->verb.data,
                          (int)entry->rule->path_template.size, entry->rule->path_template.data,
                          (int)entry->method->path.size, entry->method->path.data, (int)name.size,
                          name.data, wrong);
}

/* Whether a dotted path leads to a field that a path segment can fill. */
static bool variable_is_valid(const struct schema_message *message, struct slice path) {
    for (;;) {
        const uint8_t *dot = memchr(path.data, '.', path.size);
        struct slice name = slice_first(path, dot ? (size_t)(dot - path.data) : path.size);
        const struct schema_field *field = message ? schema_field_find(message, name) : NULL;
        if (!field || field->repeated || field->type == SCHEMA_GROUP)
            return false;
        if (!dot)
            return !field->message || (field->message->form != SCHEMA_FORM_FIELDS &&
                                       field->message->form != SCHEMA_FORM_ANY);
        path = slice_after(path, name.size + 1);
        message =
            field->message && field->message->form == SCHEMA_FORM_FIELDS ? field->message : NULL;
    }
}

static enum sync_status entry_check(const struct route_entry *entry, struct sync_error *error) {
    const struct route_template *path_template = &entry->path_template;
    const struct schema_http_rule *rule = entry->rule;
    for (size_t i = 0; i < path_template->variable_count; i++)
        if (!variable_is_valid(entry->method->request, path_template->variables[i].field_path))
            return rule_refuse(entry, error, path_template->variables[i].field_path,
                               "is no field that a path can fill");
    if (rule->body.size > 0 && !slice_equal(rule->body, SLICE("*"))) {
        const struct schema_field *body = schema_field_find(entry->method->request, rule->body);
        if (!body || body->type == SCHEMA_GROUP)
            return rule_refuse(entry, error, rule->body, "is no field of the request");
    }
    if (rule->response_body.size > 0 &&
        !schema_field_find(entry->method->response, rule->response_body))
        return rule_refuse(entry, error, rule->response_body, "is no field of the response");
    return SYNC_OK;
}

static enum sync_status entry_add(struct route_table *table, const struct schema_method *method,
                                  const struct schema_http_rule *rule, struct sync_error *error) {
    struct route_entry *entry = &table->entries[table->count];
    entry->method = method;
    entry->rule = rule;
    if (rule->verb.size == 0)
        return SYNC_OK; /* a rule that only says what it would be */
    enum sync_status status =
        route_template_parse(rule->path_template, &table->arena, error, &entry->path_template);
    if (status == SYNC_OK)
        status = entry_check(entry, error);
    if (status == SYNC_OK)
        table->count++;
    return status;
}

static enum sync_status conflicts_find(const struct route_table *table, struct sync_error *error) {
    for (size_t i = 0; i + 1 < table->count; i++) {
        const struct route_entry *a = &table->entries[i], *b = a + 1;
        if (entry_compare(a, b) != 0)
            continue;
        return sync_error_set(
            error, SYNC_ERR_INVALID, "HTTP_RULE", NULL,
            "two rules match the same requests: \"%.*s %.*s\" of %.*s and \"%.*s\" of %.*s",
            (int)a->rule->verb.size, a->rule->verb.data, (int)a->rule->path_template.size,
            a->rule->path_template.data, (int)a->method->path.size, a->method->path.data,
            (int)b->rule->path_template.size, b->rule->path_template.data,
            (int)b->method->path.size, b->method->path.data);
    }
    return SYNC_OK;
}

/* Counts at each entry those of the same template and verb from there on. */
static void alike_count(struct route_table *table) {
    for (size_t i = table->count; i-- > 0;) {
        struct route_entry *entry = &table->entries[i], *next = entry + 1;
        bool alike = i + 1 < table->count &&
                     route_template_compare(&entry->path_template, &next->path_template) == 0 &&
                     slice_equal(entry->rule->verb, next->rule->verb);
        entry->alike = 1 + (alike ? next->alike : 0);
    }
}

/* Notes where the entries of each template begin, and indexes the templates. */
static enum sync_status table_index(struct route_table *table, struct sync_error *error) {
    size_t segments = 0;
    alike_count(table);
    table->groups = arena_zalloc(&table->arena, table->count + 1, sizeof *table->groups);
    for (size_t i = 0; i < table->count && table->groups; i++) {
        const struct route_template *part = &table->entries[i].path_template;
        if (i > 0 && route_template_compare(&table->entries[i - 1].path_template, part) == 0)
            continue;
        table->groups[table->group_count++] = (uint32_t)i;
        segments += part->segment_count;
    }
    if (!table->groups ||
        !route_index_init(&table->index, &table->arena, table->group_count, segments))
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
    table->groups[table->group_count] = (uint32_t)table->count;
    for (size_t i = 0; i < table->group_count; i++)
        route_index_add(&table->index, &table->entries[table->groups[i]].path_template,
                        (uint32_t)i);
    return SYNC_OK;
}

static enum sync_status table_fill(struct route_table *table, const struct schema *schema,
                                   struct sync_error *error) {
    size_t max = 0;
    for (size_t i = 0; i < schema_method_count(schema); i++)
        max += schema_method_at(schema, i)->rule_count;
    table->entries = arena_zalloc(&table->arena, max, sizeof *table->entries);
    if (!table->entries)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
    for (size_t i = 0; i < schema_method_count(schema); i++) {
        const struct schema_method *method = schema_method_at(schema, i);
        for (size_t j = 0; j < method->rule_count; j++) {
            enum sync_status status = entry_add(table, method, &method->rules[j], error);
            if (status)
                return status;
        }
    }
    qsort(table->entries, table->count, sizeof *table->entries, entry_compare);
    enum sync_status status = conflicts_find(table, error);
    return status ? status : table_index(table, error);
}

enum sync_status route_table_open(const struct schema *schema, enum route_unescape unescape,
                                  struct sync_error *error, struct route_table **ret_table) {
    assert(schema);
    struct route_table *table = memory_zalloc(1, sizeof *table);
    if (!table)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory");
    arena_init(&table->arena, ROUTE_TABLE_BYTES_MAX);
    table->unescape = unescape;
    enum sync_status status = table_fill(table, schema, error);
    if (status)
        route_table_close(table);
    else
        *ret_table = table;
    return status;
}

struct route_table *route_table_close(struct route_table *table) {
    if (table)
        arena_done(&table->arena);
    memory_free(table);
    return NULL;
}

/* Whether the Accept header names the media type literally. */
static bool accept_names(struct slice accept, struct slice media_type) {
    while (accept.size > 0) {
        const uint8_t *comma = memchr(accept.data, ',', accept.size);
        struct slice item =
            slice_first(accept, comma ? (size_t)(comma - accept.data) : accept.size);
        accept = slice_after(accept, item.size + (comma != NULL));
        const uint8_t *semicolon = item.size > 0 ? memchr(item.data, ';', item.size) : NULL;
        if (semicolon)
            item.size = (size_t)(semicolon - item.data);
        while (item.size > 0 && (item.data[0] == ' ' || item.data[0] == '\t'))
            item = slice_after(item, 1);
        while (item.size > 0 &&
               (item.data[item.size - 1] == ' ' || item.data[item.size - 1] == '\t'))
            item.size--;
        if (item.size == media_type.size &&
            strncasecmp((const char *)item.data, (const char *)media_type.data, item.size) == 0)
            return true;
    }
    return false;
}

/* Among the entries of one template and verb that begin at `first`, the one that Accept selects. */
static const struct route_entry *entry_select(const struct route_entry *first,
                                              struct slice accept) {
    const struct route_entry *plain = NULL;
    for (const struct route_entry *at = first; at < first + first->alike; at++) {
        if (at->method->accept.size == 0)
            plain = at;
        else if (accept_names(accept, at->method->accept))
            return at;
    }
    return plain ? plain : first;
}

static enum sync_status route_fill(const struct route_table *table, const struct route_entry *entry,
                                   const struct route_path *path, struct arena *arena,
                                   struct sync_error *error, struct route *ret_route) {
    struct route route = {.method = entry->method, .rule = entry->rule};
    for (size_t i = 0; i < entry->path_template.variable_count; i++) {
        const struct route_variable *variable = &entry->path_template.variables[i];
        struct route_binding *binding = &route.bindings[route.binding_count++];
        binding->field_path = variable->field_path;
        enum sync_status status = route_variable_value(&entry->path_template, variable, path,
                                                       table->unescape, arena, &binding->value);
        if (status)
            return sync_error_set(error, status, "BAD_ENCODING", NULL,
                                  "the address cannot be decoded");
    }
    *ret_route = route;
    return SYNC_OK;
}

/* Whether a comma-separated list has the name. */
static bool list_has(struct slice list, struct slice name) {
    while (list.size > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.size);
        struct slice item = slice_first(list, comma ? (size_t)(comma - list.data) : list.size);
        if (slice_equal(item, name))
            return true;
        list = slice_after(list, item.size + (comma ? strlen(", ") : 0));
    }
    return false;
}

static void list_add(struct buffer *list, struct slice name) {
    if (list_has(buffer_slice(list), name))
        return;
    buffer_append(list, list->size > 0 ? SLICE(", ") : SLICE_EMPTY);
    buffer_append(list, name);
}

/* Finds the templates that match a path; false without memory. */
static bool matches_find(const struct route_table *table, const struct route_path *path,
                         struct arena *arena, struct route_matches *ret_matches) {
    uint32_t *groups = arena_alloc(arena, table->group_count * sizeof *groups);
    if (!groups)
        return false;
    size_t found = route_index_find(&table->index, path, groups), count = 0;
    for (size_t i = 0; i < found; i++) {
        uint32_t group = groups[i];
        if (!route_template_matches(&table->entries[table->groups[group]].path_template, path))
            continue;
        size_t at = count++; /* they are few */
        for (; at > 0 && groups[at - 1] > group; at--)
            groups[at] = groups[at - 1];
        groups[at] = group;
    }
    *ret_matches = (struct route_matches){groups, count};
    return true;
}

/* The verbs of the first `count` templates that match, and OPTIONS, comma-separated. */
static bool allowed_list(const struct route_table *table, const struct route_matches *matches,
                         size_t count, struct arena *arena, struct slice *ret_allowed) {
    struct buffer list;
    buffer_init(&list, ALLOWED_BYTES_MAX);
    for (size_t i = 0; i < count; i++) {
        const uint32_t *group = &table->groups[matches->groups[i]];
        for (size_t at = group[0]; at < group[1]; at++) {
            struct slice verb = table->entries[at].rule->verb;
            list_add(&list, verb);
            if (slice_equal(verb, SLICE("GET")))
                list_add(&list, SLICE("HEAD"));
        }
    }
    if (list.size > 0)
        list_add(&list, SLICE("OPTIONS"));
    bool any = list.size > 0 && arena_copy(arena, buffer_slice(&list), ret_allowed);
    buffer_done(&list);
    return any;
}

/* The first entry of the templates that match which has this verb, or any; none behind a method
 * that has its paths to itself: there the search ends, after `ret_count` of the templates. */
static const struct route_entry *entry_find(const struct route_table *table,
                                            const struct route_matches *matches, struct slice verb,
                                            size_t *ret_count) {
    bool alone = false;
    size_t i = 0;
    for (; i < matches->count && !alone; i++) {
        const uint32_t *group = &table->groups[matches->groups[i]];
        for (size_t at = group[0]; at < group[1]; at++) {
            const struct route_entry *entry = &table->entries[at];
            if (slice_equal(entry->rule->verb, verb) || slice_equal(entry->rule->verb, SLICE("*")))
                return entry;
            alone |= entry->method->own_path;
        }
    }
    *ret_count = i;
    return NULL;
}

enum sync_status route_match(const struct route_table *table,
                             const struct transcode_request *request, struct arena *arena,
                             struct route *ret_route, struct slice *ret_allowed,
                             struct sync_error *error) {
    assert(table);
    struct route_path path;
    enum sync_status status = route_path_parse(request->path, arena, error, &path);
    if (status == SYNC_ERR_INVALID || status == SYNC_ERR_NO_MEMORY)
        return status;
    struct route_matches matches = {.count = 0};
    if (status == SYNC_OK && !matches_find(table, &path, arena, &matches))
        return SYNC_ERR_NO_MEMORY;
    size_t count = 0;
    const struct route_entry *entry = entry_find(table, &matches, request->verb, &count);
    if (status == SYNC_OK && slice_equal(request->verb, SLICE("HEAD")) &&
        !(entry && slice_equal(entry->rule->verb, request->verb))) {
        const struct route_entry *get = entry_find(table, &matches, SLICE("GET"), &count);
        entry = get ? get : entry;
    }
    if (entry)
        return route_fill(table, entry_select(entry, request->accept), &path, arena, error,
                          ret_route);
    if (status == SYNC_OK && allowed_list(table, &matches, count, arena, ret_allowed))
        return sync_error_set(error, SYNC_ERR_UNIMPLEMENTED, "METHOD_NOT_ALLOWED", NULL,
                              "the path does not take %.*s; it takes %.*s", (int)request->verb.size,
                              request->verb.data, (int)ret_allowed->size, ret_allowed->data);
    return sync_error_set(error, SYNC_ERR_NOT_FOUND, "PATH_NOT_FOUND", NULL,
                          "there is nothing at this path");
}

/* What else a rule says, behind its line. */
static void notes_print(const struct route_entry *entry, struct buffer *out) {
    const struct schema_method *method = entry->method;
    const struct {
        bool said;
        struct slice what, value;
    } notes[] = {
        {method->accept.size > 0, SLICE("Accept: "), method->accept},
        {entry->rule->body.size > 0, SLICE("body: "), entry->rule->body},
        {entry->rule->response_body.size > 0, SLICE("response body: "), entry->rule->response_body},
        {method->client_streaming, SLICE("takes a stream"), SLICE_EMPTY},
        {method->server_streaming, SLICE("answers with a stream"), SLICE_EMPTY},
    };
    struct slice mark = SLICE("  # ");
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++) {
        if (!notes[i].said)
            continue;
        buffer_append(out, mark);
        buffer_append(out, notes[i].what);
        buffer_append(out, notes[i].value);
        mark = SLICE("; ");
    }
}

void route_table_print(const struct route_table *table, struct buffer *out) {
    for (size_t i = 0; i < table->count; i++) {
        const struct route_entry *entry = &table->entries[i];
        buffer_append(out, entry->rule->verb);
        buffer_append_byte(out, ' ');
        buffer_append(out, entry->rule->path_template);
        buffer_append(out, SLICE(" -> "));
        buffer_append(out, entry->method->path);
        notes_print(entry, out);
        buffer_append_byte(out, '\n');
    }
}
