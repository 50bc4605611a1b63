/* The store in memory keeps the contract of stores. */
#include "tests/service/store/store_contract.h"
#include "tests/simulation/memory_store.h"

static enum sync_status open_empty(void *context, struct store **ret_store) {
    (void)context;
    return memory_store_open(7, (size_t)1 << 30, ret_store);
}

int main(void) {
    const struct store_factory factory = {.open = open_empty};
    return store_contract_run("memory_store keeps the contract", &factory);
}
