/* API: what is served: a descriptor set with all that is made of it. Immutable, so that all threads
 * share it; counted, so that a request keeps the one it began with while another takes its place.
 */
#ifndef GATEWAY_API_H
#define GATEWAY_API_H

#include "gateway/gateway_metrics.h"
#include "gateway/schema.h"
#include "gateway/transcode.h"

/* Fields are read by all, written by none. */
struct api {
    struct schema *schema;
    struct schema *errors; /* google.rpc's details of errors; NULL where the schema has them */
    struct route_table *routes;
    struct slice openapi;   /* JSON */
    struct slice domain;    /* of the gateway's own errors, as google.rpc.ErrorInfo has it */
    struct slice challenge; /* WWW-Authenticate, for who shows no token */
    bool extended; /* the set has travelsense.http.v1: its service knows what belongs to it */
    struct method_metrics *metrics;
};

struct api_options {
    const char *path;             /* of a FileDescriptorSet; NULL: `embedded` */
    struct slice embedded;        /* outlives the API */
    struct slice errors;          /* a set with google.rpc's details; outlives the API; or empty */
    enum route_unescape unescape; /* in paths */
    const char *title, *version; /* of the OpenAPI document; title NULL: the first service's name */
    const char *domain;          /* as in struct api; outlives the API */
    const char *realm;           /* that tokens are for; NULL: the title */
    struct gateway_metrics *metrics; /* outlives the API */
};

/* Reads a descriptor set and makes everything of it. SYNC_ERR_INVALID, or SYNC_ERR_NO_MEMORY, with
 * one clear line in `error`. The caller has the first hold. */
enum sync_status api_open(const struct api_options *options, struct sync_error *error,
                          struct api **ret_api);

/* Takes a hold; returns the API. Any thread that has one, or keeps another from releasing its. */
struct api *api_hold(struct api *api);

/* Gives a hold back; the last closes. Any thread. NULL is allowed; returns NULL. */
struct api *api_release(struct api *api);

#endif
