/* Load request: a whole HTTP request in one buffer, built once and sent again and again. An
 * upload's ids are overwritten in place before each sending, so that a request costs the load
 * generator next to nothing.
 *
 * Belongs to one thread. */
#ifndef TESTS_BENCH_LOAD_REQUEST_H
#define TESTS_BENCH_LOAD_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"

/* Who asks, and where. Texts are borrowed for the call. */
struct load_caller {
    const char *host; /* with the port */
    const char *token;
    const char *device;
};

/* In the caller's memory; `bytes` and `body_bytes` are for reading. */
struct load_request {
    struct buffer bytes;
    size_t body_bytes;
    size_t *stamps; /* where in `bytes` 16 hexadecimal digits are anew each time */
    size_t stamp_count;
    uint64_t random;
};

/* Builds the upload of `changes` new bookings, each a change of about 500 bytes of JSON. `seed`
 * makes the ids differ between clients and runs. SYNC_ERR_NO_MEMORY; the request may then be done.
 */
enum sync_status load_request_upload(struct load_request *request, const struct load_caller *caller,
                                     unsigned changes, uint64_t seed);

/* Builds a GET of `target`. `accept` may be NULL. Fails as above. */
enum sync_status load_request_get(struct load_request *request, const struct load_caller *caller,
                                  const char *target, const char *accept, const char *encoding);

/* Builds a POST of `body`, a JSON text, to `target`; no token goes with it. Fails as above. */
enum sync_status load_request_post(struct load_request *request, const struct load_caller *caller,
                                   const char *target, struct slice body);

/* Gives every id and barcode of an upload a new value; other requests have none. */
void load_request_stamp(struct load_request *request);

/* Releases the memory. */
void load_request_done(struct load_request *request);

#endif
