/* The oracle's own: a change under judgement, and its fields one by one. */
#ifndef TESTS_SIMULATION_SIM_ORACLE_H
#define TESTS_SIMULATION_SIM_ORACLE_H

#include "tests/simulation/document_path.h"
#include "tests/simulation/sim.h"

/* One change with all that bears on it. */
struct oracle {
    struct sim_world *world;
    const struct sim_change *change;
    struct sim_copy before, after;
    struct slice data; /* what the change says */
    uint64_t base;
    bool is_known;   /* the log has all since the base */
    bool is_old;     /* from before what the service remembers: sim_old.c */
    uint32_t others; /* changes by others since the base */
    bool is_kept;    /* `conflict` is what waits, or was decided without the user */
    struct conflict conflict;
    struct document_path path;
};

/* The value at the oracle's path; empty: there is none. */
struct slice oracle_value_at(const struct oracle *oracle, struct slice document);

/* The path, for what is told of it; static. */
const char *oracle_path_text(const struct oracle *oracle);

/* How much of the path is one field: an object that a rule names is decided as a whole. */
size_t oracle_field_depth(const struct oracle *oracle);

/* Whether others changed the field of the path since the base. */
bool oracle_is_touched(const struct oracle *oracle);

/* Whether the record has another value at the path than the device had: others changed it, after
 * the base or beside an earlier change of the device. */
bool oracle_is_others(const struct oracle *oracle);

/* Whether the device itself changed the value since the base, so that its base is not the one that
 * others saw. */
bool oracle_is_own_since(const struct oracle *oracle);

/* Whether a document has at the path what the change says: the value, or of a list that operations
 * changed what they say of its elements. */
bool oracle_says_so(const struct oracle *oracle, struct slice document, struct slice wanted);

/* A field that others changed as well: no value is invented; lists and long texts may be put
 * together from both. */
void oracle_check_disputed(struct oracle *oracle, struct slice wanted);

#endif
