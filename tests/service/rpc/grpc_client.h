/* Client: unary and streamed calls by libgrpc, one at a time and blocking, for tests. */
#ifndef TESTS_SERVICE_RPC_GRPC_CLIENT_H
#define TESTS_SERVICE_RPC_GRPC_CLIENT_H

#include "base/bytes.h"

struct grpc_client;

struct grpc_client_header {
    const char *key;
    struct slice value;
};

/* What is called and how. */
struct grpc_client_request {
    const char *path;
    struct slice message;
    struct slice second; /* another message behind it; empty: none */
    const struct grpc_client_header *headers;
    size_t header_count;
    int64_t deadline_ms;  /* from now; 0: ten seconds */
    int64_t cancel_ms;    /* after this long; 0: never */
    bool without_message; /* half-close at once */
    bool is_silent;       /* send neither message nor half-close */
};

/* What came back. Texts and bytes are the answer's. */
struct grpc_client_answer {
    int code;
    char message[1024];
    struct buffer details;  /* grpc-status-details-bin */
    bool details_come;      /* status-details: message */
    struct buffer messages; /* all messages, one after the other */
    size_t message_count;
};

/* Opens a channel to "unix:PATH" or HOST:PORT. */
struct grpc_client *grpc_client_open(const char *target);
struct grpc_client *grpc_client_close(struct grpc_client *client);

/* Calls and waits for the end. Release the answer with grpc_client_answer_done. */
void grpc_client_call(struct grpc_client *client, const struct grpc_client_request *request,
                      struct grpc_client_answer *ret_answer);
void grpc_client_answer_done(struct grpc_client_answer *answer);

/* Calls with a token and a message; returns the code. */
int grpc_client_code(struct grpc_client *client, const char *path, const char *token,
                     struct slice message);

#endif
