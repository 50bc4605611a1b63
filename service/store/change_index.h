/* Change index: in memory, per user, the fingerprints of all settled changes and the revision each
 * was settled by. A change whose fingerprint is not there is certainly new, so the common case
 * reads nothing from the disk.
 *
 * A user's part is complete only after the caller has added all that is stored. To stay within the
 * bound, parts not in use are made thin, those longest unused first: of each fingerprint 16 bits
 * stay, which still tell most new changes from the settled ones but name no revision. When all are
 * thin, users are dropped by lot. Thread-safe.
 *
 * The order that keeps a part complete while others commit: a committer pins the user, with room
 * for what it settles, before its write can be seen, adds before the write, and unpins after it. So
 * whatever a scan, begun after its own pin, does not see is added by the committer. */
#ifndef SERVICE_STORE_CHANGE_INDEX_H
#define SERVICE_STORE_CHANGE_INDEX_H

#include "base/bytes.h"

struct change_index;
struct change_index_user;

/* Opens an empty index that keeps about `bytes_max` bytes of unpinned users. NULL without memory.
 */
struct change_index *change_index_open(size_t bytes_max, uint64_t seed);

/* Closes; nothing is pinned. Returns NULL. */
struct change_index *change_index_close(struct change_index *index);

/* The fingerprint of a change. */
uint64_t change_index_fingerprint(const struct change_index *index, struct slice device,
                                  struct slice change_id);

/* Pins a user's part, made when absent, with room for `room` more fingerprints. NULL without
 * memory. */
struct change_index_user *change_index_pin(struct change_index *index, struct slice user,
                                           size_t room);

/* Ends a pin with what is left of its room; the part may then be dropped. */
void change_index_unpin(struct change_index *index, struct change_index_user *user, size_t room);

/* Adds a fingerprint out of the pin's room. The same pair again changes nothing. */
void change_index_add(struct change_index *index, struct change_index_user *user,
                      uint64_t fingerprint, uint64_t revision);

/* Adds what a scan of the stored changes found; false without memory. */
bool change_index_add_stored(struct change_index *index, struct change_index_user *user,
                             uint64_t fingerprint, uint64_t revision);

/* Says that the part holds all that is stored. */
void change_index_set_complete(struct change_index *index, struct change_index_user *user);

/* Whether a change that change_index_find does not lead to is certainly new. Where it is not, the
 * caller adds all that is stored. */
bool change_index_excludes(struct change_index *index, struct change_index_user *user,
                           uint64_t fingerprint);

/* The revisions for a fingerprint, at most `max` of them; returns how many. Two changes may share a
 * fingerprint: compare the stored ones. Only the lower half of a revision is kept: each is widened
 * to the greatest possible one up to `newest`, so what was settled later gives a wrong one. */
size_t change_index_find(struct change_index *index, struct change_index_user *user,
                         uint64_t fingerprint, uint64_t newest, uint64_t *revisions, size_t max);

/* Forgets revisions up to and including this one. */
void change_index_trim(struct change_index *index, struct change_index_user *user,
                       uint64_t revision);

/* Bytes in use, and users held, thin ones included. */
void change_index_stats(struct change_index *index, size_t *ret_bytes, size_t *ret_users);

#endif
