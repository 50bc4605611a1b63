/* HTTP client: one kept connection that sends a request and reads its answer without blocking. As
 * much of HTTP/1.1 as a gateway's answers need; for measuring. */
#ifndef TESTS_BENCH_HTTP_CLIENT_H
#define TESTS_BENCH_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* A connection. In the caller's memory. */
struct http_client {
    int fd;
    const char *request; /* borrowed until it is sent */
    size_t request_size, sent;
    char *answer; /* head and body as they came */
    size_t answer_size, answer_room;
    size_t head_size; /* 0: the head is not complete */
    size_t body_size; /* when not chunked */
    bool chunked;
    int status;
};

/* What a turn led to. */
enum http_progress {
    HTTP_WAITING,  /* for the socket */
    HTTP_ANSWERED, /* the answer is complete */
    HTTP_BROKEN,   /* the connection is of no more use */
};

/* Connects to HOST:PORT, an IPv4 address. False with errno when it cannot. */
bool http_client_open(struct http_client *client, const char *address);

/* Closes the connection and frees the answer. */
void http_client_close(struct http_client *client);

/* Begins to send a request, which stays the caller's and must live until the answer. */
void http_client_send(struct http_client *client, const char *request, size_t size);

/* Goes on as far as the socket lets it; for an edge-triggered event. */
enum http_progress http_client_turn(struct http_client *client);

#endif
