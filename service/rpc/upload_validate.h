/* Upload validation: from the message to changes the core can apply. What only the state can show
 * is not its matter. Pure but for the random ids of creates without one. */
#ifndef SERVICE_RPC_UPLOAD_VALIDATE_H
#define SERVICE_RPC_UPLOAD_VALIDATE_H

#include "service/core/change_batch.h"
#include "service/rpc/messages.h"
#include "service/rpc/violations.h"

/* A checked upload; changes live in the arena of the violations. */
struct upload_content {
    struct change *changes;
    size_t count;
    data_type_set types;
    int64_t clock_offset_us;
};

/* What a device sends. */
struct upload_message {
    PB(Change) **changes;
    size_t count;
    const Google__Protobuf__Timestamp *sent_at; /* NULL: not said */
};

/* Time and randomness as arguments. */
struct upload_rules {
    int64_t received_us;
    const struct random_source *random;
};

/* Checks everything syntactic of the changes and sent_at, and adds a violation per fault under
 * paths such as "changes[3].dataType". The content counts only when there is no violation. */
void upload_validate(const struct upload_message *message, const struct upload_rules *rules,
                     struct violations *violations, struct upload_content *ret_content);

#endif
