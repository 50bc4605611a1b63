#include "service/core/policy.h"

#include <assert.h>

/* What the carrier decides is the server's, what grows from both sides is joined, of how to reach
 * the traveller the latest counts. All else, above all what travellers write, is left to the
 * user's strategy. */
static const struct policy_rule DEFAULT_RULES[] = {
    {DATA_TYPE_BOOKING, "reservationStatus", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "departureGate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "departureTerminal", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.departureGate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.departureTerminal", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.departurePlatform", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.departureTime", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.departureTime.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.boardingTime", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.boardingTime.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.arrivalGate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.arrivalTerminal", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.arrivalPlatform", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.arrivalTime", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.arrivalTime.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "tags", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "tags", FIELD_POLICY_UNION},
    {DATA_TYPE_PROFILE, "contact", FIELD_POLICY_LATEST},
    {DATA_TYPE_PROFILE, "contact.**", FIELD_POLICY_LATEST},
    {DATA_TYPE_PREFERENCE, "tags", FIELD_POLICY_UNION},
};

static const struct policy_set DEFAULT_POLICIES = {DEFAULT_RULES,
                                                   sizeof DEFAULT_RULES / sizeof *DEFAULT_RULES};

const struct policy_set *policy_set_default(void) {
    return &DEFAULT_POLICIES;
}

/* Tells whether a rule's path matches: the segments in order, "*" any one, a final "**" one or
 * more.
 */
static bool rule_matches(const char *rule, const struct slice *path, size_t path_size) {
    for (size_t i = 0; i < path_size; i++) {
        size_t size = strcspn(rule, ".");
        struct slice segment = slice_of(rule, size);
        if (slice_equal(segment, SLICE("**")) && rule[size] == '\0')
            return true;
        if (!slice_equal(segment, SLICE("*")) && !slice_equal(segment, path[i]))
            return false;
        rule += size;
        if (*rule == '\0')
            return i + 1 == path_size;
        rule++;
    }
    return false;
}

enum field_policy policy_find(const struct policy_set *policies, enum data_type type,
                              const struct slice *path, size_t path_size) {
    assert(policies);
    assert(path || path_size == 0);
    for (size_t i = 0; i < policies->count; i++) {
        const struct policy_rule *rule = &policies->rules[i];
        if (rule->type == type && rule_matches(rule->path, path, path_size))
            return rule->policy;
    }
    return FIELD_POLICY_NONE;
}
