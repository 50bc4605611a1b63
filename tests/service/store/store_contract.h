/* The contract of service/store/store.h as tests that any store must pass. */
#ifndef TESTS_SERVICE_STORE_STORE_CONTRACT_H
#define TESTS_SERVICE_STORE_STORE_CONTRACT_H

#include "service/store/store.h"

/* How to open the store under test: an empty one. */
struct store_factory {
    enum sync_status (*open)(void *context, struct store **ret_store);
    void *context;
    bool is_tried_without_memory; /* its commits: they must then change nothing, or be whole */
};

/* Runs all tests against one store; 0 when all passed. `name` shows in the report. */
int store_contract_run(const char *name, const struct store_factory *factory);

#endif
