/* Record shapes: documents and edits that look like real ones, by chance.
 *
 * The model (record_model.c) ships with the project: which fields the records of a kind have, how
 * often, and which of them travellers and services change most. Bookings and events follow the
 * schema.org reservations that booking mails carry. */
#ifndef TESTS_SIMULATION_RECORD_SHAPE_H
#define TESTS_SIMULATION_RECORD_SHAPE_H

#include "base/arena.h"
#include "service/core/model.h"
#include "tests/simulation/sim_random.h"

/* What a field holds. */
enum field_kind {
    FIELD_CODE,   /* a few capitals: an airport, a gate, a booking number */
    FIELD_NAME,   /* a word or two */
    FIELD_TEXT,   /* some words */
    FIELD_TIME,   /* ISO 8601 */
    FIELD_NUMBER, /* a whole number */
    FIELD_PRICE,  /* with two decimals */
    FIELD_BOOL,
    FIELD_STATUS, /* of a reservation */
    FIELD_TOKEN,  /* a barcode's content; never edited */
    FIELD_TAGS,   /* an array of words */
    FIELD_ITEMS,  /* an array of objects with an id */
};

/* One field. The fields of a shape are in the order of their paths, so that those inside one object
 * are neighbours. */
struct record_field {
    const char *path; /* dotted */
    uint8_t percent;  /* of the records that have it */
    enum field_kind kind;
    uint8_t traveller, service; /* rank among those that each changes, 1 the most often; 0: never */
};

/* A kind of records. */
struct record_shape {
    const char *name; /* schema.org's, or ours */
    enum data_type type;
    uint8_t percent; /* of the records of the type */
    const struct record_field *fields;
    size_t field_count;
};

/* The model. Static. */
extern const struct record_shape record_shapes[];
extern const size_t record_shape_count;

enum record_editor { EDITOR_TRAVELLER, EDITOR_SERVICE };

/* A shape of a type. */
const struct record_shape *record_shape_pick(struct sim_random *random, enum data_type type);

/* A new record. `percent` of the usual number of fields. */
struct slice record_shape_document(const struct record_shape *shape, struct sim_random *random,
                                   uint32_t percent, struct arena *arena);

/* A merge patch of a few fields that the editor changes; some are removed by it. */
struct slice record_shape_patch(const struct record_shape *shape, struct sim_random *random,
                                enum record_editor editor, struct arena *arena);

/* The same of a document at hand: one time in three, where it has a list of objects, only elements
 * of that change, come or go. */
struct slice record_shape_edit(const struct record_shape *shape, struct sim_random *random,
                               enum record_editor editor, struct slice document,
                               struct arena *arena);

#endif
