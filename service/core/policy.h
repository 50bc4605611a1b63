/* Policies: who wins a field that both sides changed, and a record that one side deleted, as data.
 * Pure. */
#ifndef SERVICE_CORE_POLICY_H
#define SERVICE_CORE_POLICY_H

#include "service/core/delta.h"
#include "service/core/model.h"

enum field_policy {
    FIELD_POLICY_NONE = 0, /* the user's strategy decides */
    FIELD_POLICY_CLIENT,
    FIELD_POLICY_SERVER,
    FIELD_POLICY_LATEST, /* by corrected time */
    FIELD_POLICY_MAX,
    FIELD_POLICY_MIN,
    FIELD_POLICY_UNION, /* arrays as sets: what either added, without what either removed; arrays of
                           objects by id */
    FIELD_POLICY_KEYED, /* what is inside by itself: objects by member, arrays of objects by id */
    FIELD_POLICY_TEXT,  /* word by word; where both changed the same words, the strategy */
    FIELD_POLICY_MANUAL,
    FIELD_POLICY_LAST = FIELD_POLICY_MANUAL,
};

/* What becomes of a record that one side deleted and the other changed. */
enum delete_policy {
    DELETE_POLICY_NONE = 0, /* the user's strategy decides */
    DELETE_POLICY_CLIENT,
    DELETE_POLICY_SERVER,
    DELETE_POLICY_SERVICE, /* what a service or a resolution did; between devices, the strategy */
    DELETE_POLICY_LATEST,  /* by corrected time */
    DELETE_POLICY_KEEP,    /* the change: the record lives */
    DELETE_POLICY_DELETE,
    DELETE_POLICY_MANUAL,
    DELETE_POLICY_LAST = DELETE_POLICY_MANUAL,
};

/* What is done with a conflict that nobody has decided in time; but for KEEP, the numbers of
 * travelsense.sync.v1.DeadlineAction. */
enum deadline_action {
    DEADLINE_KEEP = 0, /* nothing: it waits until somebody decides it */
    DEADLINE_SERVER,   /* the record stays as it is */
    DEADLINE_CLIENT,   /* the fields in dispute become the client's; the rest of both sides stays */
    DEADLINE_LATEST,   /* client or suggested, by whose change was the later by corrected time */
    DEADLINE_SUGGESTED, /* the suggested merge: of the fields in dispute the server's */
    DEADLINE_LAST = DEADLINE_SUGGESTED,
};

/* By when the conflicts of a data type are decided, and how then. */
struct deadline_policy {
    enum deadline_action action;
    int64_t span_us;   /* after the conflict was found; > 0 unless the action is KEEP */
    int64_t before_us; /* and so long before the record's start; 0: whenever that is */
};

/* The user's setting; the numbers are those of travelsense.sync.v1.ConflictStrategy. */
enum conflict_strategy {
    STRATEGY_SERVER = 1,
    STRATEGY_CLIENT = 2,
    STRATEGY_MERGE = 3,
    STRATEGY_MANUAL = 4
};

/* One rule: the first that matches a path counts. `path` is dotted; "*" is any one segment, a final
 * "**" any rest, of at least one. */
struct policy_rule {
    enum data_type type;
    const char *path;
    enum field_policy policy;
};

/* Rules in order, and a policy of deletions and of deadlines by type. Borrowed. */
struct policy_set {
    const struct policy_rule *rules;
    size_t count;
    enum delete_policy deletes[DATA_TYPE_LAST + 1];
    struct deadline_policy deadlines[DATA_TYPE_LAST + 1];
};

/* The rules that ship with the service. Static. */
const struct policy_set *policy_set_default(void);

/* The policy of a field. */
enum field_policy policy_find(const struct policy_set *policies, enum data_type type,
                              const struct slice *path, size_t path_size);

/* Names as in a policies file; "open" is NONE. Static. */
const char *field_policy_name(enum field_policy policy);
const char *delete_policy_name(enum delete_policy policy);
const char *deadline_action_name(enum deadline_action action);

enum { DEADLINE_DAYS_MAX = 3650 };
enum { POLICY_FILE_MAX = 64 << 10, POLICY_RULES_MAX = 1000 };

/* Reads a policies file. A line is one of
 *     field TYPE PATH POLICY
 *     delete TYPE POLICY
 *     deadline TYPE keep
 *     deadline TYPE ACTION SPAN [before SPAN]
 * or empty; "#" begins a comment. TYPE is trip, profile, preference, booking, or "*" for all. SPAN
 * is a number of days, hours, minutes or seconds: 14d, 36h, 90m, 30s. What is not named is open,
 * and has no deadline. `error` names the line and what is wrong with it. The set lives in the
 * arena. */
enum sync_status policy_set_parse(struct slice text, struct arena *arena, struct sync_error *error,
                                  struct policy_set *ret_policies);

#endif
