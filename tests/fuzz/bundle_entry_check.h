/* Bundle entry check: what must hold of every entry that is read from a container, whatever its
 * bytes were. */
#ifndef TESTS_FUZZ_BUNDLE_ENTRY_CHECK_H
#define TESTS_FUZZ_BUNDLE_ENTRY_CHECK_H

#include <assert.h>

#include "service/core/bundle_container.h"

/* Asserts that the entry names a record, says one thing of it, and is valid text. */
static inline void bundle_entry_check(const struct bundle_entry *entry) {
    assert(entry->key.id.size > 0 && entry->key.id.size <= DATA_ID_MAX);
    assert(entry->key.type >= DATA_TYPE_FIRST && entry->key.type <= DATA_TYPE_LAST);
    assert(entry->version > 0);
    assert(entry->deleted + (entry->json.size > 0) + (entry->patch_json.size > 0) +
               (entry->operation_count > 0) ==
           1);
    struct slice operation;
    size_t position = 0, operations = 0;
    while (bundle_entry_operation_next(entry, &position, &operation))
        operations++;
    assert(operations == entry->operation_count);
    assert(slice_is_utf8(entry->json) && slice_is_utf8(entry->patch_json));
}

#endif
