/* Interop: gRPC's standard cases of a client, on the generated stubs of grpc.testing.TestService.
 *
 * A case returns true when it went as the cases' description demands (grpc's own
 * interop-test-descriptions); else it says on standard error what did not. */
#ifndef TESTS_INTEROP_INTEROP_H
#define TESTS_INTEROP_INTEROP_H

#include <stdbool.h>

#include "grpc/testing/test.grpc-c.h"

/* Returns false from a case, saying what did not hold. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return interop_failed(__FILE__, __LINE__, #condition);                                 \
    } while (0)

/* Sizes that the description names. */
enum { LARGE_REQUEST = 271828, LARGE_RESPONSE = 314159, SIZES = 4 };
extern const int request_sizes[SIZES], response_sizes[SIZES];

/* A case and its name. */
struct interop_case {
    const char *name;
    bool (*run)(struct stub_channel *channel);
};

/* NULL-terminated tables. */
extern const struct interop_case unary_cases[], stream_cases[], loop_cases[];

/* Says where; false. */
bool interop_failed(const char *file, int line, const char *condition);

/* Makes `payload` hold `size` zero bytes, at most LARGE_REQUEST; static. */
void interop_payload(Grpc__Testing__Payload *payload, int size);

/* Tells whether a payload has this many bytes. */
bool interop_has_payload(const Grpc__Testing__Payload *payload, int size);

/* Metadata that the server sends back, and whether it has. */
extern const struct stub_metadata interop_metadata[2];
bool interop_has_metadata(const struct stub_status *status);

#endif
