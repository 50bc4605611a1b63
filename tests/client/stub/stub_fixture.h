/* Stub fixture: an echo server, a channel to it, and methods of every shape; all messages are
 * google.protobuf.Any. */
#ifndef TESTS_CLIENT_STUB_STUB_FIXTURE_H
#define TESTS_CLIENT_STUB_STUB_FIXTURE_H

#include "client/stub/call.h"
#include "google/protobuf/any.pb-c.h"
#include "tests/client/stub/echo_server.h"

struct stub_fixture {
    struct echo_server *server;
    struct stub_channel *channel;
};

extern const struct stub_method unary, idempotent_unary, download, idempotent_download, upload,
    exchange;

/* For cmocka: a fixture in `*state`. Its channel retries fast. */
int fixture_open(void **state);
int fixture_close(void **state);

/* Opens a channel with the fixture's fast retries. */
struct stub_channel *fixture_channel(const char *target, stub_token *token, void *context);

/* An entry of metadata with a text. */
struct stub_metadata entry(const char *key, const char *value);

/* Options with the entries: WITH(entry("x-code", "5")); a compound literal that lives as its
 * block. */
#define WITH(...)                                                                                  \
    (&(struct stub_options){.timeout_ms = 20000,                                                   \
                            .metadata = (struct stub_metadata[]){__VA_ARGS__},                     \
                            .metadata_count = sizeof((struct stub_metadata[]){__VA_ARGS__}) /      \
                                              sizeof(struct stub_metadata)})

/* A message with text as value; static per thread, until the next call. */
const struct ProtobufCMessage *text_message(const char *text);

/* Tells whether the message has that text; frees it. */
bool message_is(struct ProtobufCMessage *message, const char *text);

/* Calls `unary`; the code alone. */
enum stub_code unary_code(struct stub_channel *channel, const struct stub_options *options);

/* Opens a loop. */
struct stub_loop *open_loop(void);

/* What unary calls on a loop were told. */
struct answer {
    unsigned count, well;
    enum stub_code code; /* of the last */
};

/* A stub_answered that counts in a struct answer; well is an answer of "hi". */
void count_answer(void *context, struct ProtobufCMessage *response,
                  const struct stub_status *status);

/* Waits until it holds, at most ten seconds. */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        bool holds = false;                                                                        \
        for (int tries = 0; tries < 30000 && !(holds = (condition)); tries++)                      \
            nap_ms(1);                                                                             \
        assert_true(holds);                                                                        \
    } while (0)

/* Runs the loop until it holds; many seconds at most. */
#define RUN_UNTIL(loop, condition)                                                                 \
    do {                                                                                           \
        for (int runs = 0; runs < 20000 && !(condition); runs++)                                   \
            stub_loop_run_once(loop, 100);                                                         \
        assert_true(condition);                                                                    \
    } while (0)

/* Sleeps. */
void nap_ms(long ms);

#endif
