/* Record check: the syntax that requests of RecordService share. */
#ifndef SERVICE_RPC_RECORD_CHECK_H
#define SERVICE_RPC_RECORD_CHECK_H

#include "service/rpc/violations.h"

/* A required user id. */
void record_check_user(struct violations *violations, const char *user_id);

/* 1 to RECORD_KEYS_MAX entries under the path `list`. */
void record_check_count(struct violations *violations, const char *list, size_t count);

/* The key of the entry at `index` of the list. */
void record_check_key(struct violations *violations, const char *list, size_t index, int data_type,
                      const char *data_id);

#endif
