/* Policies: who wins a field that both sides changed, as data. Pure. */
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
    FIELD_POLICY_UNION, /* arrays of scalars as sets */
    FIELD_POLICY_MANUAL,
};

/* The user's setting; the numbers are those of travelsense.sync.v1.ConflictStrategy. */
enum conflict_strategy {
    STRATEGY_SERVER = 1,
    STRATEGY_CLIENT = 2,
    STRATEGY_MERGE = 3,
    STRATEGY_MANUAL = 4
};

/* One rule: the first that matches a path counts. `path` is dotted; "*" is any one segment, a final
 * "**" any rest. */
struct policy_rule {
    enum data_type type;
    const char *path;
    enum field_policy policy;
};

/* Rules in order. Borrowed. */
struct policy_set {
    const struct policy_rule *rules;
    size_t count;
};

/* The rules that ship with the service. Static. */
const struct policy_set *policy_set_default(void);

/* The policy of a field. */
enum field_policy policy_find(const struct policy_set *policies, enum data_type type,
                              const struct slice *path, size_t path_size);

#endif
