/* The operations of an update, as they come from outside. */
#ifndef SERVICE_RPC_CHANGE_OPERATIONS_H
#define SERVICE_RPC_CHANGE_OPERATIONS_H

#include "service/rpc/messages.h"
#include "service/rpc/violations.h"

/* Checks the operations of the batch's change number `index`, an update of message->data_id: at
 * most CHANGE_OPERATIONS_MAX, of CHANGE_DATA_MAX bytes together, each of sound form and none of
 * them to another id. Adds what is at fault; without any `ret_packed` (patch_operation.h) is
 * canonical and lives in the violations' arena. */
void change_operations_check(const PB(Change) *message, size_t index, struct violations *violations,
                             struct slice *ret_packed);

#endif
