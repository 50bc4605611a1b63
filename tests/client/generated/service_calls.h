/* Service calls: the generated stubs of SyncService and RecordService, against the real service.
 *
 * A case returns true when all went as it should; else it says on standard error what did not. */
#ifndef TESTS_CLIENT_GENERATED_SERVICE_CALLS_H
#define TESTS_CLIENT_GENERATED_SERVICE_CALLS_H

#include <stdbool.h>

#include "travelsense/sync/v1/record_service.grpc-c.h"
#include "travelsense/sync/v1/sync_service.grpc-c.h"

#define PB(Name) Travelsense__Sync__V1__##Name
#define PB_INIT(NAME) TRAVELSENSE__SYNC__V1__##NAME##__INIT
#define TRIP TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP

/* Returns false from a case, saying what did not hold. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return calls_failed(__FILE__, __LINE__, #condition);                                   \
    } while (0)

/* What a case works with. */
struct calls {
    const char *user;
    struct stub_channel *traveller; /* with the user's token */
    struct stub_channel *service;   /* with a service's */
    struct stub_channel *nobody;    /* with none */
};

/* A case and its name. */
struct calls_case {
    const char *name;
    bool (*run)(const struct calls *calls);
};

/* NULL-terminated tables. */
extern const struct calls_case unary_cases[], stream_cases[], loop_cases[];

/* Says where; false. */
bool calls_failed(const char *file, int line, const char *condition);

/* Puts a trip of the user whose data are {"name": name}; its cursor goes to `ret_cursor` (128
 * bytes) unless that is NULL. */
bool calls_put(const struct calls *calls, const char *id, const char *name, char *ret_cursor);

#endif
