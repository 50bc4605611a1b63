#include "service/core/policy.h"

#include <assert.h>

/* Each group says why. What no rule names is left to the user's strategy, by default the later
 * side. A rule of a path and one of what is below it go together, where a value may be either. */
static const struct policy_rule DEFAULT_RULES[] = {
    /* Whether the traveller may board, and for what money, is told by who sold it. */
    {DATA_TYPE_BOOKING, "reservationStatus", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationNumber", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "totalPrice", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "price", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "price.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "priceCurrency", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "ticketNumber", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "ticketToken", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservedTicket.ticketNumber", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservedTicket.ticketToken", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservedTicket.validFrom", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservedTicket.validUntil", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "token", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "boardingGroup", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "passengerSequenceNumber", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "validFrom", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "validUntil", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "modifiedTime", FIELD_POLICY_SERVER},
    /* The seat is the traveller's choice, also where the ticket repeats it. */
    {DATA_TYPE_BOOKING, "airplaneSeat", FIELD_POLICY_CLIENT},
    {DATA_TYPE_BOOKING, "airplaneSeatClass.**", FIELD_POLICY_CLIENT},
    {DATA_TYPE_BOOKING, "ticketedSeat.**", FIELD_POLICY_CLIENT},
    {DATA_TYPE_BOOKING, "reservedTicket.ticketedSeat.**", FIELD_POLICY_CLIENT},
    /* When and where the train, flight or hotel is, the carrier knows first. */
    {DATA_TYPE_BOOKING, "departureGate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "departureTerminal", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "checkinDate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "checkoutDate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "startDate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "startDate.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "endDate", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "endDate.**", FIELD_POLICY_SERVER},
    {DATA_TYPE_BOOKING, "reservationFor.**", FIELD_POLICY_SERVER},
    /* What a traveller writes down is kept word by word: nobody's words get lost. */
    {DATA_TYPE_BOOKING, "notes", FIELD_POLICY_TEXT},
    {DATA_TYPE_TRIP, "notes", FIELD_POLICY_TEXT},
    {DATA_TYPE_TRIP, "description", FIELD_POLICY_TEXT},
    {DATA_TYPE_PROFILE, "notes", FIELD_POLICY_TEXT},
    /* What grows from both sides is joined. */
    {DATA_TYPE_BOOKING, "tags", FIELD_POLICY_UNION},
    {DATA_TYPE_BOOKING, "subjectOf", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "tags", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "travellers", FIELD_POLICY_UNION},
    {DATA_TYPE_TRIP, "bookingIds", FIELD_POLICY_UNION},
    {DATA_TYPE_PREFERENCE, "tags", FIELD_POLICY_UNION},
    /* A wrong passport is found out at the gate: the traveller looks at it himself. */
    {DATA_TYPE_PROFILE, "passport", FIELD_POLICY_MANUAL},
    {DATA_TYPE_PROFILE, "passport.**", FIELD_POLICY_MANUAL},
    {DATA_TYPE_PROFILE, "passportNumber", FIELD_POLICY_MANUAL},
    /* The latest word on how to reach and how to please the traveller counts, whatever the user's
     * strategy is. */
    {DATA_TYPE_PROFILE, "contact.**", FIELD_POLICY_LATEST},
};

#define DAYS(count) (INT64_C(86400000000) * (count))

static const struct policy_set DEFAULT_POLICIES = {
    .rules = DEFAULT_RULES,
    .count = sizeof DEFAULT_RULES / sizeof *DEFAULT_RULES,
    .deletes =
        {
            /* A booking that its seller withdrew is gone, and one that he changed is not deleted by
             * who had not seen that. */
            [DATA_TYPE_BOOKING] = DELETE_POLICY_SERVICE,
            /* An option is no loss: the later word counts. */
            [DATA_TYPE_PREFERENCE] = DELETE_POLICY_LATEST,
        },
    .deadlines = {
        /* An open question helps nobody at the counter: a day before the journey the booking is as
         * its seller knows it, with all that nobody disputes. */
        [DATA_TYPE_BOOKING] = {DEADLINE_SUGGESTED, DAYS(14), DAYS(1)},
        /* A plan that was not looked at for a month, or that begins, is settled in the same way. */
        [DATA_TYPE_TRIP] = {DEADLINE_SUGGESTED, DAYS(30), DAYS(1)},
        /* The latest word on how to please the traveller counts in the end. */
        [DATA_TYPE_PREFERENCE] = {DEADLINE_LATEST, DAYS(30), 0},
        /* A passport is never decided without the traveller. */
        [DATA_TYPE_PROFILE] = {DEADLINE_KEEP, 0, 0},
    }};

const struct policy_set *policy_set_default(void) {
    return &DEFAULT_POLICIES;
}

const char *field_policy_name(enum field_policy policy) {
    static const char *const names[] = {
        [FIELD_POLICY_NONE] = "open",     [FIELD_POLICY_CLIENT] = "client",
        [FIELD_POLICY_SERVER] = "server", [FIELD_POLICY_LATEST] = "latest",
        [FIELD_POLICY_MAX] = "max",       [FIELD_POLICY_MIN] = "min",
        [FIELD_POLICY_UNION] = "union",   [FIELD_POLICY_KEYED] = "keyed",
        [FIELD_POLICY_TEXT] = "text",     [FIELD_POLICY_MANUAL] = "manual",
    };
    assert(policy <= FIELD_POLICY_LAST);
    return names[policy];
}

const char *delete_policy_name(enum delete_policy policy) {
    static const char *const names[] = {
        [DELETE_POLICY_NONE] = "open",     [DELETE_POLICY_CLIENT] = "client",
        [DELETE_POLICY_SERVER] = "server", [DELETE_POLICY_SERVICE] = "service",
        [DELETE_POLICY_LATEST] = "latest", [DELETE_POLICY_KEEP] = "keep",
        [DELETE_POLICY_DELETE] = "delete", [DELETE_POLICY_MANUAL] = "manual",
    };
    assert(policy <= DELETE_POLICY_LAST);
    return names[policy];
}

const char *deadline_action_name(enum deadline_action action) {
    static const char *const names[] = {
        [DEADLINE_KEEP] = "keep",           [DEADLINE_SERVER] = "server",
        [DEADLINE_CLIENT] = "client",       [DEADLINE_LATEST] = "latest",
        [DEADLINE_SUGGESTED] = "suggested",
    };
    assert(action <= DEADLINE_LAST);
    return names[action];
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
