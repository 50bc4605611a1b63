/* Any bytes as the script of a Sync session: what the device sends, and what the transport and the
 * service do (tests/service/core/session_hostile.h). It answers, ends in order, and stays small. */
#include <stdlib.h>

#include "tests/service/core/session_hostile.h"

enum { MEMORY_BOUND = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct hostile_outcome outcome = hostile_run(slice_of(data, size));
    if (outcome.memory_bytes > MEMORY_BOUND)
        abort();
    return 0;
}
