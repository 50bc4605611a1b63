#include <assert.h>
#include <strings.h>

#include "base/hex.h"
#include "base/sha256.h"
#include "docs_page_css.h"
#include "docs_page_html.h"
#include "docs_page_js.h"
#include "gateway/exchange_types.h"

enum {
    HEALTH_TIMEOUT_US = 2000000,
    HEALTH_MESSAGE_MAX = 1024,
    METRICS_MAX = 8 << 20,
    ALLOWED_HEADERS_MAX = 1 << 10
};

static void serve_alive(struct exchange *exchange) {
    buffer_append(&exchange->out, SLICE("{\"status\":\"ok\"}"));
    exchange_answer_whole(exchange, 200, SLICE("application/json"));
}

void exchange_answer_health(struct exchange *exchange, bool serving) {
    buffer_clear(&exchange->out);
    if (serving) {
        buffer_append(&exchange->out, SLICE("{\"status\":\"ready\"}"));
        exchange_answer_whole(exchange, 200, SLICE("application/json"));
        return;
    }
    exchange_refuse_as(exchange, 503, GRPC_UNAVAILABLE, SLICE("NOT_READY"),
                       "the service is not ready");
}

/* A fresh check each time: what was true a moment ago may not be now. */
static void serve_ready(struct exchange *exchange) {
    if (atomic_load_explicit(&exchange->worker->gateway->draining, memory_order_relaxed)) {
        exchange_refuse_as(exchange, 503, GRPC_UNAVAILABLE, SLICE("DRAINING"),
                           "the gateway is about to stop");
        return;
    }
    static const uint8_t prefix[GRPC_PREFIX_SIZE];
    buffer_append(&exchange->wire, slice_of(prefix, sizeof(prefix)));
    if (exchange->wire.failed) {
        exchange_fail_memory(exchange);
        return;
    }
    exchange->is_health_check = true;
    exchange_call(exchange, SLICE("/grpc.health.v1.Health/Check"), HEALTH_TIMEOUT_US,
                  HEALTH_MESSAGE_MAX);
}

static void serve_metrics(struct exchange *exchange) {
    gateway_metrics_render(exchange->worker->gateway->metrics, &exchange->out);
    exchange_answer_whole(exchange, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"));
}

/* A tag of what is to be answered, which is the same as long as the program and its API are. */
static void tag_answer(struct exchange *exchange) {
    enum { TAG_BYTES = 16 };
    uint8_t digest[SHA256_SIZE];
    struct buffer tag;
    struct slice copy;
    sha256_of(buffer_slice(&exchange->out), digest);
    buffer_init(&tag, 2 * TAG_BYTES + 2);
    buffer_append_byte(&tag, '"');
    hex_append(&tag, slice_of(digest, TAG_BYTES));
    buffer_append_byte(&tag, '"');
    if (!tag.failed && exchange_copy(exchange, buffer_slice(&tag), &copy))
        exchange_header(exchange, SLICE("etag"), copy);
    buffer_done(&tag);
}

static void serve_openapi(struct exchange *exchange) {
    buffer_append(&exchange->out, exchange->api->openapi);
    exchange_header(exchange, SLICE("cache-control"), SLICE("no-cache"));
    tag_answer(exchange);
    exchange_answer_json(exchange, 200);
}

/* The page takes nothing from elsewhere and is shown nowhere else. */
static void serve_page(struct exchange *exchange, const uint8_t *data, size_t size,
                       const char *type) {
    buffer_append(&exchange->out, slice_of(data, size));
    exchange_header(exchange, SLICE("cache-control"), SLICE("no-cache"));
    exchange_header(exchange, SLICE("content-security-policy"),
                    SLICE("default-src 'none'; script-src 'self'; style-src 'self'; "
                          "connect-src 'self'; base-uri 'none'; form-action 'none'; "
                          "frame-ancestors 'none'"));
    exchange_header(exchange, SLICE("referrer-policy"), SLICE("no-referrer"));
    tag_answer(exchange);
    exchange_answer_text(exchange, 200, slice_text(type));
}

static void serve_docs(struct exchange *exchange) {
    serve_page(exchange, docs_page_html, docs_page_html_size, "text/html; charset=utf-8");
}

static void serve_docs_script(struct exchange *exchange) {
    serve_page(exchange, docs_page_js, docs_page_js_size, "text/javascript; charset=utf-8");
}

static void serve_docs_style(struct exchange *exchange) {
    serve_page(exchange, docs_page_css, docs_page_css_size, "text/css; charset=utf-8");
}

static void serve_index(struct exchange *exchange) {
    buffer_append(&exchange->out,
                  SLICE("{\"links\":{\"docs\":\"/docs\",\"openapi\":\"/openapi.json\","
                        "\"alive\":\"/healthz\",\"ready\":\"/readyz\",\"metrics\":\"/metrics\"}}"));
    exchange_answer_whole(exchange, 200, SLICE("application/json"));
}

static bool origin_is_allowed(const struct exchange *exchange) {
    const struct gateway *gateway = exchange->worker->gateway;
    if (exchange->known.origin.size == 0)
        return false;
    for (size_t i = 0; i < gateway->cors_origin_count; i++) {
        if (slice_equal(gateway->cors_origins[i], SLICE("*")) ||
            slice_equal(gateway->cors_origins[i], exchange->known.origin))
            return true;
    }
    return false;
}

void exchange_add_cors(struct exchange *exchange) {
    if (exchange->worker->gateway->cors_origin_count == 0)
        return;
    exchange_header(exchange, SLICE("vary"), SLICE("origin"));
    if (!origin_is_allowed(exchange))
        return;
    exchange_header(exchange, SLICE("access-control-allow-origin"), exchange->known.origin);
    exchange_header(exchange, SLICE("access-control-expose-headers"),
                    SLICE("etag, retry-after, x-request-id, content-range, digest, "
                          "www-authenticate, ratelimit, ratelimit-policy, grpc-status, "
                          "grpc-message, grpc-status-details-bin, *"));
}

static bool is_preflight(const struct exchange *exchange) {
    return slice_equal(exchange->method, SLICE("OPTIONS")) && exchange->known.origin.size &&
           exchange->known.access_control_method.size &&
           exchange->worker->gateway->cors_origin_count > 0;
}

/* A list of header names, as far as an answer may repeat it. */
static bool names_are_well(struct slice names) {
    for (size_t i = 0; i < names.size; i++) {
        uint8_t byte = names.data[i];
        if (!(byte >= 'a' && byte <= 'z') && !(byte >= 'A' && byte <= 'Z') &&
            !(byte >= '0' && byte <= '9') && !strchr("-_.!#$%&'*+^`|~, ", byte))
            return false;
    }
    return names.size > 0 && names.size <= ALLOWED_HEADERS_MAX &&
           memchr(names.data, '\0', names.size) == NULL;
}

/* Which headers a page may send is the service's to know: an origin that may call may send any. */
static void serve_preflight(struct exchange *exchange) {
    struct slice asked = exchange->known.access_control_headers;
    if (origin_is_allowed(exchange)) {
        exchange_header(exchange, SLICE("access-control-allow-methods"),
                        SLICE("GET, HEAD, POST, PUT, PATCH, DELETE"));
        if (names_are_well(asked))
            exchange_header(exchange, SLICE("access-control-allow-headers"), asked);
        exchange_header(exchange, SLICE("access-control-max-age"), SLICE("86400"));
    }
    exchange_header(exchange, SLICE("vary"), SLICE("access-control-request-headers"));
    exchange_answer_whole(exchange, 204, SLICE_EMPTY);
}

void exchange_answer_options(struct exchange *exchange) {
    exchange_header(exchange, SLICE("allow"), exchange->allowed);
    exchange_answer_whole(exchange, 204, SLICE_EMPTY);
}

/* Answers a request for one of the gateway's own paths by a method that it does not serve. */
static void serve_otherwise(struct exchange *exchange) {
    exchange->allowed = SLICE("GET, HEAD, OPTIONS");
    if (slice_equal(exchange->method, SLICE("OPTIONS")))
        exchange_answer_options(exchange);
    else
        exchange_refuse_as(exchange, 405, GRPC_UNIMPLEMENTED, SLICE("METHOD_NOT_ALLOWED"),
                           "this path takes GET, HEAD, OPTIONS");
}

bool exchange_serve_own(struct exchange *exchange) {
    static const struct {
        const char *path;
        void (*serve)(struct exchange *exchange);
    } paths[] = {
        {"/", serve_index},
        {"/docs", serve_docs},
        {"/docs/docs_page.css", serve_docs_style},
        {"/docs/docs_page.js", serve_docs_script},
        {"/healthz", serve_alive},
        {"/metrics", serve_metrics},
        {"/openapi.json", serve_openapi},
        {"/readyz", serve_ready},
    };
    if (is_preflight(exchange)) {
        serve_preflight(exchange);
        return true;
    }
    if (slice_equal(exchange->request.path, SLICE("*")) &&
        slice_equal(exchange->method, SLICE("OPTIONS"))) {
        exchange->allowed = SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        exchange_answer_options(exchange);
        return true;
    }
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (!slice_equal(exchange->request.path, slice_text(paths[i].path)))
            continue;
        if (slice_equal(exchange->request.verb, SLICE("GET")))
            paths[i].serve(exchange);
        else
            serve_otherwise(exchange);
        return true;
    }
    return false;
}
