#include "service/rpc/record_check.h"

#include <stdio.h>

#include "base/id.h"
#include "service/core/model.h"

enum { FIELD_TEXT_MAX = 48 };

void record_check_user(struct violations *violations, const char *user_id) {
    if (!user_id[0])
        violations_add(violations, "userId", "REQUIRED", "is required: whose records");
    else if (!change_id_is_valid(slice_text(user_id)))
        violations_add(violations, "userId", "INVALID_FORMAT",
                       "must be 1 to %d bytes without control characters", USER_ID_MAX);
}

void record_check_count(struct violations *violations, const char *list, size_t count) {
    if (count == 0 || count > RECORD_KEYS_MAX)
        violations_add(violations, list, count == 0 ? "REQUIRED" : "TOO_MANY",
                       "must hold 1 to %d entries, holds %zu", RECORD_KEYS_MAX, count);
}

void record_check_key(struct violations *violations, const char *list, size_t index, int data_type,
                      const char *data_id) {
    char field[FIELD_TEXT_MAX];
    if (data_type < DATA_TYPE_FIRST || data_type > DATA_TYPE_LAST) {
        snprintf(field, sizeof field, "%s[%zu].dataType", list, index);
        violations_add(violations, field, data_type == 0 ? "REQUIRED" : "INVALID_VALUE",
                       "must be trip, profile, preference or booking");
    }
    if (!data_id_is_valid(slice_text(data_id))) {
        snprintf(field, sizeof field, "%s[%zu].dataId", list, index);
        violations_add(violations, field, data_id[0] ? "INVALID_FORMAT" : "REQUIRED",
                       "must be 1 to %d bytes without control characters", DATA_ID_MAX);
    }
}
