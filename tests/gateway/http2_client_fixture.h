/* HTTP/2 client fixture: a client's end, calls on it, and frames put together by hand. Every
 * function ends the test where something goes wrong. */
#ifndef TESTS_GATEWAY_HTTP2_CLIENT_FIXTURE_H
#define TESTS_GATEWAY_HTTP2_CLIENT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "gateway/http2_client.h"

enum { BUFFER_MAX = 64 << 20, FILL = 512 << 10, STREAMS = 40, ALL = INT32_MAX };

/* A call: what it sends, and what it was told as text. */
struct call {
    struct http2_client_stream stream;
    struct slice request;
    size_t sent;
    bool streamed; /* the request has no end yet */
    bool consumes;
    struct buffer told;
    size_t received;
    uint64_t sum; /* of the bytes received, in order */
};

struct fixture {
    struct http2_client *client;
    struct buffer out, input;
    size_t out_read; /* what a server has taken of `out` */
    struct call calls[STREAMS];
    int settings, goaways;
};

extern struct fixture fixture;

/* What the calls are told. */
extern const struct http2_client_events call_events;

/* Opens a client, whose calls are not started; teardown resets them. */
int setup(void **state);
int teardown(void **state);

/* The same, in the midst of a test. */
void start_anew(void);

/* Starts a call; it is sent by the next fill. */
enum sync_status call_start(struct call *call);

/* Starts the first call and lets it be sent. */
struct call *call_first(void);

/* Puts a frame into `input`. */
void put(uint8_t type, uint8_t flags, uint8_t id, struct slice payload);

/* Gives the client what was put, in pieces of this size; false once it is broken. */
bool feed(size_t piece);

/* The server's SETTINGS, which say nothing. */
void greet(void);

/* The last frame of `out` of this type; false where there is none. */
bool sent(uint8_t type, struct slice *ret_payload, uint8_t *ret_id);

/* The stream was reset with this code, and no other since. */
void assert_reset(uint8_t id, uint8_t code);

/* The call was told this. */
void assert_told(const struct call *call, const char *expected);

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
