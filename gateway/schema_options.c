/* The options that transcoding obeys: google.api's and travelsense.http.v1's. */
#include "gateway/schema_build.h"

enum {
    OPTION_FIELD_BEHAVIOR = 1052,
    OPTION_FILE = 50501,
    OPTION_METHOD = 50502,
    OPTION_FIELD = 50503,
    OPTION_ENUM_VALUE = 50504,
    OPTION_HTTP = 72295728,
    FIELD_PACKED = 2,
    BEHAVIOR_REQUIRED = 2,
    BEHAVIOR_OUTPUT_ONLY = 3,
};

static void field_behavior_set(struct schema_field *field, uint64_t behavior) {
    field->required |= behavior == BEHAVIOR_REQUIRED;
    field->output_only |= behavior == BEHAVIOR_OUTPUT_ONLY;
}

static void field_behaviors_read(struct schema_field *field, struct slice packed) {
    struct wire_reader reader = wire_reader_of(packed);
    uint64_t behavior;
    while (!wire_at_end(&reader) && wire_read_varint(&reader, &behavior))
        field_behavior_set(field, behavior);
}

static bool field_rule_read(struct schema_build *build, struct schema_field *field,
                            struct slice rule) {
    struct wire_reader reader = wire_reader_of(rule);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        switch (part.number) {
        case 1:
            field->request_header = part.bytes;
            break;
        case 2:
            field->response_header = part.bytes;
            break;
        case 3:
            field->always = part.bits != 0;
            break;
        case 4:
            field->i_json = part.bits != 0;
            break;
        case 5:
            field->iso8601 = part.bits != 0;
            break;
        case 6:
            field->enum_alias = (int)part.bits;
            break;
        case 7:
            field->comma_separated = part.bits != 0;
            break;
        case 8:
            field->event_id = part.bits != 0;
            break;
        case 9:
            if (!schema_constraint_read(build, part.bytes, &field->constraint))
                return false;
            break;
        case 10:
            field->hex = part.bits != 0;
            break;
        case 11:
            field->http_default = part.bytes;
            break;
        default:
            break;
        }
    }
    return !build->status;
}

bool schema_field_options(struct schema_build *build, struct schema_field *field,
                          struct slice options) {
    struct wire_reader reader = wire_reader_of(options);
    struct wire_field option;
    while (schema_build_next(build, &reader, &option)) {
        if (option.number == FIELD_PACKED)
            field->packed = option.bits != 0;
        else if (option.number == OPTION_FIELD_BEHAVIOR && option.type == WIRE_VARINT)
            field_behavior_set(field, option.bits);
        else if (option.number == OPTION_FIELD_BEHAVIOR)
            field_behaviors_read(field, option.bytes);
        else if (option.number == OPTION_FIELD && !field_rule_read(build, field, option.bytes))
            return false;
    }
    return !build->status;
}

/* Features that are not known, or UNKNOWN, change nothing. */
static void feature_set(struct schema_features *features, uint32_t number, uint64_t value) {
    enum { PRESENCE = 1, ENUM_TYPE = 2, REPEATED = 3, UTF8 = 4, MESSAGE = 5 };
    enum { IMPLICIT = 2, REQUIRED = 3, CLOSED = 2, PACKED = 1, NONE = 3, DELIMITED = 2 };
    if (value == 0)
        return;
    if (number == PRESENCE) {
        features->implicit = value == IMPLICIT;
        features->required = value == REQUIRED;
    } else if (number == ENUM_TYPE) {
        features->closed = value == CLOSED;
    } else if (number == REPEATED) {
        features->packed = value == PACKED;
    } else if (number == UTF8) {
        features->any_bytes = value == NONE;
    } else if (number == MESSAGE) {
        features->delimited = value == DELIMITED;
    }
}

bool schema_features_read(struct schema_build *build, struct slice options, uint32_t number,
                          struct schema_features *features) {
    struct wire_reader reader = wire_reader_of(options), set;
    struct wire_field option, feature;
    while (schema_build_next(build, &reader, &option)) {
        if (option.number != number || option.type != WIRE_LEN)
            continue;
        for (set = wire_reader_of(option.bytes); schema_build_next(build, &set, &feature);)
            if (feature.type == WIRE_VARINT)
                feature_set(features, feature.number, feature.bits);
    }
    return !build->status;
}

/* Reads an HttpRule into `rule`; its additional bindings are left to the caller. */
static bool http_rule_read(struct schema_build *build, struct schema_http_rule *rule,
                           struct slice bytes) {
    static const char *const VERBS[] = {NULL, NULL, "GET", "PUT", "POST", "DELETE", "PATCH"};
    struct wire_reader reader = wire_reader_of(bytes), custom;
    struct wire_field part, inner;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number >= 2 && part.number <= 6) {
            rule->verb = slice_text(VERBS[part.number]);
            rule->path_template = part.bytes;
        } else if (part.number == 7) {
            rule->body = part.bytes;
        } else if (part.number == 12) {
            rule->response_body = part.bytes;
        } else if (part.number == 8) {
            for (custom = wire_reader_of(part.bytes); schema_build_next(build, &custom, &inner);)
                *(inner.number == 1 ? &rule->verb : &rule->path_template) = inner.bytes;
        }
    }
    return !build->status;
}

static bool http_rules_read(struct schema_build *build, struct schema_method *method,
                            struct slice bytes) {
    enum { ADDITIONAL = 11 };
    size_t count = 1 + schema_build_count(build, bytes, ADDITIONAL);
    struct schema_http_rule *rules = schema_build_alloc(build, count, sizeof *rules);
    if (!rules || !http_rule_read(build, &rules[0], bytes))
        return false;
    struct wire_reader reader = wire_reader_of(bytes);
    struct wire_field part;
    size_t made = 1;
    while (schema_build_next(build, &reader, &part))
        if (part.number == ADDITIONAL && !http_rule_read(build, &rules[made++], part.bytes))
            return false;
    method->rules = rules;
    method->rule_count = count;
    return !build->status;
}

static bool method_rule_read(struct schema_build *build, struct schema_method *method,
                             struct slice rule) {
    struct wire_reader reader = wire_reader_of(rule);
    struct wire_field part;
    while (schema_build_next(build, &reader, &part)) {
        if (part.number == 1 && part.bits != 0)
            method->success_status = (int)part.bits;
        else if (part.number == 2)
            method->accept = part.bytes;
        else if (part.number == 3)
            method->faults_metadata = part.bytes;
        else if (part.number == 4)
            method->event_name = part.bytes;
        else if (part.number == 5)
            method->own_path = part.bits != 0;
    }
    return !build->status;
}

bool schema_method_options(struct schema_build *build, struct schema_method *method,
                           struct slice options) {
    struct wire_reader reader = wire_reader_of(options);
    struct wire_field option;
    while (schema_build_next(build, &reader, &option)) {
        if (option.number == OPTION_HTTP && !http_rules_read(build, method, option.bytes))
            return false;
        if (option.number == OPTION_METHOD && !method_rule_read(build, method, option.bytes))
            return false;
    }
    return !build->status;
}

bool schema_enum_value_options(struct schema_build *build, struct schema_enum_value *value,
                               struct slice options) {
    struct wire_reader reader = wire_reader_of(options), inner;
    struct wire_field option, part;
    while (schema_build_next(build, &reader, &option)) {
        if (option.number != OPTION_ENUM_VALUE)
            continue;
        size_t count = schema_build_count(build, option.bytes, 1);
        value->aliases = schema_build_alloc(build, count, sizeof *value->aliases);
        if (!value->aliases)
            return false;
        value->alias_count = 0;
        for (inner = wire_reader_of(option.bytes); schema_build_next(build, &inner, &part);)
            if (part.number == 1)
                value->aliases[value->alias_count++] = part.bytes;
    }
    return !build->status;
}

bool schema_file_options(struct schema_build *build, struct slice options) {
    struct wire_reader reader = wire_reader_of(options), inner;
    struct wire_field option, part;
    while (schema_build_next(build, &reader, &option)) {
        if (option.number != OPTION_FILE)
            continue;
        for (inner = wire_reader_of(option.bytes); schema_build_next(build, &inner, &part);)
            if (part.number == 1)
                build->short_enum_names = part.bits != 0;
            else if (part.number == 2)
                build->bearer_token = part.bits != 0;
    }
    return !build->status;
}
