#include "tests/client/stub/stub_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/memory.h"

#define ANY &google__protobuf__any__descriptor

const struct stub_method unary = {.path = "/test.Echo/Unary", .request = ANY, .response = ANY};
const struct stub_method idempotent_unary = {
    .path = "/test.Echo/Get", .request = ANY, .response = ANY, .is_idempotent = true};
const struct stub_method download = {
    .path = "/test.Echo/Download", .request = ANY, .response = ANY, .server_streams = true};
const struct stub_method idempotent_download = {.path = "/test.Echo/Watch",
                                                .request = ANY,
                                                .response = ANY,
                                                .server_streams = true,
                                                .is_idempotent = true};
const struct stub_method upload = {
    .path = "/test.Echo/Upload", .request = ANY, .response = ANY, .client_streams = true};
const struct stub_method exchange = {.path = "/test.Echo/Exchange",
                                     .request = ANY,
                                     .response = ANY,
                                     .client_streams = true,
                                     .server_streams = true};

struct stub_channel *fixture_channel(const char *target, stub_token *token, void *context) {
    static const struct stub_retry fast = {.attempts_max = 4,
                                           .backoff_ms = 2,
                                           .backoff_max_ms = 10,
                                           .multiplier = 2,
                                           .codes = {STUB_UNAVAILABLE}};
    struct stub_channel *channel = NULL;
    assert_int_equal(stub_channel_open(&(struct stub_channel_options){.target = target,
                                                                      .retry = &fast,
                                                                      .token = token,
                                                                      .token_context = context},
                                       NULL, &channel),
                     STUB_OK);
    return channel;
}

int fixture_open(void **state) {
    struct stub_fixture *fixture = memory_zalloc(1, sizeof *fixture);
    fixture->server = echo_server_open(NULL);
    fixture->channel = fixture_channel(echo_server_target(fixture->server), NULL, NULL);
    *state = fixture;
    return 0;
}

int fixture_close(void **state) {
    struct stub_fixture *fixture = *state;
    stub_channel_close(fixture->channel);
    echo_server_close(fixture->server);
    memory_free(fixture);
    return 0;
}

struct stub_metadata entry(const char *key, const char *value) {
    return (struct stub_metadata){key, value, strlen(value)};
}

const ProtobufCMessage *text_message(const char *text) {
    static __thread Google__Protobuf__Any message;
    google__protobuf__any__init(&message);
    message.type_url = "text";
    message.value = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    return &message.base;
}

bool message_is(ProtobufCMessage *message, const char *text) {
    const Google__Protobuf__Any *any = (const Google__Protobuf__Any *)message;
    bool is = any && slice_equal(slice_of(any->value.data, any->value.len), slice_text(text));
    stub_message_free(message);
    return is;
}

enum stub_code unary_code(struct stub_channel *channel, const struct stub_options *options) {
    return stub_unary(channel, &unary, text_message("?"), options, NULL, NULL);
}

void nap_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

struct stub_loop *open_loop(void) {
    struct stub_loop *loop = NULL;
    assert_int_equal(stub_loop_open(&loop), STUB_OK);
    return loop;
}

void count_answer(void *context, ProtobufCMessage *response, const struct stub_status *status) {
    struct answer *answer = context;
    answer->count++;
    answer->code = status->code;
    assert_true(!response == (status->code != STUB_OK));
    assert_non_null(status->message);
    if (status->code == STUB_OK)
        answer->well += message_is(response, "hi");
}
