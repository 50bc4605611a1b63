/* Gateway configuration: the options of the program, and the gateway built from them. */
#ifndef GATEWAY_GATEWAY_CONFIG_H
#define GATEWAY_GATEWAY_CONFIG_H

#include "base/config.h"
#include "gateway/gateway.h"

/* The program's options; static. */
const struct config_program *gateway_program(void);

/* A gateway with what it owns, for main. */
struct gateway_setup {
    struct gateway gateway;
    struct config *config;
    const char *descriptor_set; /* a file's path; NULL: the embedded one */
    bool has_http, has_grpc, has_https;
    struct address http, grpc, https; /* as configured */
    unsigned threads;
    int access_fd; /* of the access log's file, or -1 */
    enum route_unescape unescape;
    const char *ready_file; /* or NULL */
};

/* Builds everything that needs no socket: schema, routes, TLS, metrics, OpenAPI document. Takes
 * `config` over in any case. On error `error` holds one clear line. The setup is in the caller's
 * memory; gateway_setup_done releases it, also after a failure. */
enum sync_status gateway_setup_init(struct gateway_setup *setup, struct config *config,
                                    struct sync_error *error);

/* Opens the access log's file anew, after it was moved away. Threads may be writing. */
void gateway_setup_reopen_log(struct gateway_setup *setup);

/* Reads the descriptor set (again) and makes an API of it, which the caller then holds. Errors as
 * gateway_setup_init. */
enum sync_status gateway_setup_api(const struct gateway_setup *setup, struct sync_error *error,
                                   struct api **ret_api);

/* Releases everything; no thread uses it any more. */
void gateway_setup_done(struct gateway_setup *setup);

#endif
