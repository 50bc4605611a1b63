/* Audit reading: the answer to an AuditRange, read from one snapshot of the store. Blocks on the
 * store. */
#ifndef SERVICE_RPC_AUDIT_READ_H
#define SERVICE_RPC_AUDIT_READ_H

#include "service/rpc/messages.h"
#include "service/rpc/violations.h"

/* What is asked for. Slices live as long as the answer. */
struct audit_question {
    struct slice user;
    enum data_type first, last; /* kinds of data */
    struct slice from, to;      /* ids, of each kind; empty: the start, the end */
    size_t parts_max;           /* ranges of each kind, 1 to AUDIT_PARTS_MAX */
    bool include_records;       /* of ranges that hold one */
};

/* Makes the question of a user's request, and adds the request's faults but those of its device:
 * where there are any, the question is good for nothing. Slices borrow from the request. */
struct audit_question audit_question_of(const PB(AuditRangeRequest) *request, struct slice user,
                                        struct violations *violations);

/* Answers; what the response points to lives in the arena. On failure the response is good for
 * nothing. SYNC_ERR_NO_MEMORY, or what the store says. */
enum sync_status audit_read(struct service *service, const struct audit_question *question,
                            struct arena *arena, PB(AuditRangeResponse) *ret_response);

#endif
