/* Pull: which records a device gets, in which order, in which form. Pure. */
#ifndef SERVICE_CORE_PULL_H
#define SERVICE_CORE_PULL_H

#include "base/arena.h"
#include "service/core/model.h"

/* A record on its way to a device. */
struct pulled {
    struct record record;
    enum patch_form form; /* of `patch`, which stands for the data; NONE: there is none */
    struct slice patch;
    uint64_t rank; /* lower first */
};

/* The bytes of what stands for the record's data. */
static inline size_t pulled_bytes(const struct pulled *item) {
    return item->form ? item->patch.size : item->record.data.size;
}

/* The time at which the traveller needs a record: its start, which is looked for under the names
 * schema.org gives it (departureTime, departureDay, startDate, startTime, checkinTime, pickupTime
 * …, also inside reservationFor) and startsAt, start. False when the document has none. */
bool pull_start_time(struct slice document, int64_t *ret_time_us);

/* The rank of a record: type first (booking, trip, profile, preference), inside a type the start
 * time nearest to now; records without a start time come last. Tombstones come first of their
 * type. */
uint64_t pull_rank(const struct record *record, int64_t now_us);

/* The same with types in another order; those that it does not name come last. */
uint64_t pull_rank_by(const struct record *record, int64_t now_us, data_type_order order);

/* Orders by rank, then type, then id. */
void pull_sort(struct pulled *items, size_t count);

/* Makes the patch of a record from its state at a sequence to now, by its field stamps, in the form
 * `wanted` or, where that is smaller, one before it. `form` stays NONE where the record is new
 * since, deleted, was deleted at that sequence, or changed in too much or in what the form cannot
 * say, or where the patch is not smaller than the record. */
enum sync_status pull_make_patch(struct pulled *item, uint64_t since, enum patch_form wanted,
                                 struct arena *arena);

#endif
