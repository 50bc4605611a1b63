#include "gateway/api.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum {
    DESCRIPTOR_SET_MAX = 16 << 20,
    OPENAPI_MAX = 32 << 20,
    CHALLENGE_MAX = 1024,
    READ_BYTES = 64 << 10
};

/* What others need not see. */
struct api_private {
    struct api api;
    atomic_uint holds;
    struct buffer set; /* read from a file */
    struct buffer openapi;
    struct buffer challenge;
};

static struct api_private *private_of(struct api *api) {
    return (struct api_private *)((char *)api - offsetof(struct api_private, api));
}

static enum sync_status read_file(const char *path, struct buffer *out, struct sync_error *error) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return sync_error_set(error, SYNC_ERR_INVALID, "FILE", NULL, "cannot open %s: %s", path,
                              strerror(errno));
    size_t got = 1;
    while (got > 0 && !out->failed) {
        uint8_t *room = buffer_reserve(out, READ_BYTES);
        got = room ? fread(room, 1, READ_BYTES, file) : 0;
        buffer_advance(out, got);
    }
    bool failed = ferror(file);
    int failure = errno;
    fclose(file);
    if (failed || out->failed)
        return sync_error_set(error, SYNC_ERR_INVALID, "FILE", NULL, "cannot read %s: %s", path,
                              failed ? strerror(failure) : "it is too large");
    return SYNC_OK;
}

/* Ends an error's line with the file that it is about, whose path may be longer than the room. */
static enum sync_status error_in(const char *path, struct sync_error *error) {
    const struct sync_error inner = *error;
    return sync_error_set(error, inner.status, inner.reason, NULL, "%s, in %s", inner.message,
                          path);
}

static enum sync_status api_read(struct api_private *self, const struct api_options *options,
                                 struct sync_error *error) {
    struct api *api = &self->api;
    struct slice set = options->embedded;
    if (options->path) {
        enum sync_status status = read_file(options->path, &self->set, error);
        if (status != SYNC_OK)
            return status;
        set = buffer_slice(&self->set);
    }
    enum sync_status status = schema_open(set, error, &api->schema);
    bool has_details =
        status == SYNC_OK && schema_message_find(api->schema, SLICE("google.rpc.ErrorInfo"));
    if (status == SYNC_OK && !has_details && options->errors.size > 0)
        status = schema_open(options->errors, error, &api->errors);
    if (status == SYNC_OK)
        status = route_table_open(api->schema, options->unescape, error, &api->routes);
    return status != SYNC_OK && options->path ? error_in(options->path, error) : status;
}

/* The name of the first service, without its package. */
static struct slice service_title(const struct schema *schema) {
    if (schema_method_count(schema) == 0)
        return SLICE("gRPC");
    struct slice name = schema_method_at(schema, 0)->service;
    for (size_t i = name.size; i > 0; i--) {
        if (name.data[i - 1] == '.')
            return slice_after(name, i);
    }
    return name;
}

/* Writes the challenge with its realm as a quoted-string of RFC 9110; NULL: none. */
static void api_challenge(struct api_private *self, const char *realm) {
    buffer_append(&self->challenge, SLICE("Bearer realm=\""));
    for (; realm && *realm; realm++) {
        if (*realm == '"' || *realm == '\\')
            buffer_append_byte(&self->challenge, '\\');
        if ((unsigned char)*realm >= ' ')
            buffer_append_byte(&self->challenge, (uint8_t)*realm);
    }
    buffer_append_byte(&self->challenge, '"');
}

static enum sync_status api_describe(struct api_private *self, const struct api_options *options,
                                     struct sync_error *error) {
    struct api *api = &self->api;
    struct slice name = options->title ? slice_text(options->title) : service_title(api->schema);
    char *title = memory_copy_text(name.data, name.size);
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    if (title)
        status = openapi_render(api->schema, title, options->version, &self->openapi);
    api_challenge(self, options->realm ? options->realm : title);
    memory_free(title);
    if (status == SYNC_OK)
        status = buffer_status(&self->challenge);
    if (status != SYNC_OK)
        return sync_error_set(error, status, "OPENAPI", NULL, "cannot describe the API: %s",
                              sync_status_text(status));
    api->openapi = buffer_slice(&self->openapi);
    api->challenge = buffer_slice(&self->challenge);
    api->domain = slice_text(options->domain);
    api->extended =
        schema_message_find(api->schema, SLICE("travelsense.http.v1.ResponseHead")) != NULL;
    api->metrics = method_metrics_open(options->metrics, api->schema);
    if (!api->metrics)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for metrics");
    return SYNC_OK;
}

enum sync_status api_open(const struct api_options *options, struct sync_error *error,
                          struct api **ret_api) {
    struct api_private *self = memory_zalloc(1, sizeof(*self));
    if (!self)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL, "no memory for the API");
    atomic_init(&self->holds, 1);
    buffer_init(&self->set, DESCRIPTOR_SET_MAX);
    buffer_init(&self->openapi, OPENAPI_MAX);
    buffer_init(&self->challenge, CHALLENGE_MAX);
    enum sync_status status = api_read(self, options, error);
    if (status == SYNC_OK)
        status = api_describe(self, options, error);
    if (status != SYNC_OK) {
        api_release(&self->api);
        return status;
    }
    *ret_api = &self->api;
    return SYNC_OK;
}

struct api *api_hold(struct api *api) {
    atomic_fetch_add_explicit(&private_of(api)->holds, 1, memory_order_relaxed);
    return api;
}

struct api *api_release(struct api *api) {
    if (!api)
        return NULL;
    struct api_private *self = private_of(api);
    unsigned before = atomic_fetch_sub_explicit(&self->holds, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return NULL;
    method_metrics_close(api->metrics);
    route_table_close(api->routes);
    schema_close(api->errors);
    schema_close(api->schema);
    buffer_done(&self->challenge);
    buffer_done(&self->openapi);
    buffer_done(&self->set);
    memory_free(self);
    return NULL;
}
