/* Change release: changes that waited behind a conflict, applied when it is decided. Internal to
 * core; pure. */
#ifndef SERVICE_CORE_CHANGE_RELEASE_H
#define SERVICE_CORE_CHANGE_RELEASE_H

#include "service/core/conflict_hold.h"
#include "service/core/write_build.h"

/* The place where they are applied. */
struct change_release {
    const struct conflict *conflict; /* that has just been decided */
    const struct batch_context *context;
    const struct record_view *loaded; /* the record before that, with the history that is wanted */
    struct write_build *build;        /* has room for as many changes as are held */
    struct record_state *state;       /* the record after that */
};

/* Applies what is held, in order, unless another conflict still holds it; each as it would have
 * been after the decision. Where the client's side was taken, that is what they were made on. When
 * one gives a conflict, those behind it stay held by that. `ret_results` are of those that are not
 * held any more. Memory from the build's arena. SYNC_ERR_NO_MEMORY. */
enum sync_status change_release_apply(const struct change_release *release,
                                      struct conflict_hold *hold,
                                      struct change_result **ret_results, size_t *ret_count);

/* The lowest version that a held change is based on: what history is wanted after. */
uint64_t change_release_base(const struct conflict_hold *hold);

#endif
