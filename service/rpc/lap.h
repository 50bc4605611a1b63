/* Lap: the pages of records of a Sync stream, read from the store. What a lap is, says
 * service/core/session.h.
 *
 * A lap of a few changes is read at once. For a longer one the keys of all that it brings are
 * collected once, in order, and kept while the stream goes from page to page; the records are read
 * when their page's turn comes. Blocks on the store. One thread at a time. */
#ifndef SERVICE_RPC_LAP_H
#define SERVICE_RPC_LAP_H

#include "service/core/session.h"
#include "service/rpc/lap_index.h"
#include "service/store/store.h"

/* Where a lap is read from. */
struct lap_source {
    struct store *store;
    struct slice user;
    int64_t now_us;         /* the service's clock: as of when a new lap is ordered */
    size_t index_bytes_max; /* of the keys that are kept */
};

/* A stream's lap, in the caller's memory; zeroed before the first page. */
struct lap {
    struct lap_index *index; /* NULL: to be collected */
    size_t next;             /* place in it */
    uint64_t records_left, bytes_left;
    data_type_set types;
    data_type_order order;
    /* what it is, from page to page */
    bool is_known;
    bool has_from;
    uint64_t from, target;
    int64_t rank_us;
    bool is_exact; /* no record of it has been left to the next */
    bool has_checksum;
    struct checksum checksum; /* at the target */
};

/* Reads the next page into `ret_answer` (its error, or its page); what it points to lives in the
 * arena. */
void lap_read(struct lap *lap, const struct lap_source *source,
              const struct session_page_want *want, struct arena *arena,
              struct session_answer *ret_answer);

/* Lets go of the keys; the next page collects them again. */
void lap_release(struct lap *lap);

#endif
