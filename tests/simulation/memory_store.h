/* Memory store: the contract of service/store/store.h kept in memory, for tests. Nothing outlives
 * the close. A commit keeps copies of what it was given; readers keep the state they began with.
 * Thread-safe. */
#ifndef TESTS_SIMULATION_MEMORY_STORE_H
#define TESTS_SIMULATION_MEMORY_STORE_H

#include "service/store/store.h"

/* Opens an empty store of this epoch (not 0), which holds at most `bytes_max` of data.
 * SYNC_ERR_NO_MEMORY. */
enum sync_status memory_store_open(uint64_t epoch, size_t bytes_max, struct store **ret_store);

#endif
