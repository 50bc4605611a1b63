#include "service/rpc/bundle_stream.h"

#include <assert.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "google/api/httpbody.pb-c.h"
#include "service/rpc/bundle_store.h"
#include "service/rpc/http_range.h"
#include "service/rpc/messages.h"
#include "service/rpc/sync_metrics.h"
#include "travelsense/http/v1/annotations.pb-c.h"

enum {
    HTTP_OK = 200,
    HTTP_PARTIAL = 206,
    HTTP_NOT_MODIFIED = 304,
    HTTP_RANGE_REFUSED = 416,
    HEADERS_MAX = 12,
    ETAG_BYTES = 16, /* of the container's SHA-256 */
    PART_ARENA_MAX = 4 * BUNDLE_PART_BYTES,
};

#define CONTENT_TYPE "application/vnd.travelsense.bundle"

/* A stream on its way; owns itself, for the call's memory ends with the call. */
struct bundle_stream {
    struct rpc_call *call;
    struct service *service;
    struct bundle bundle; /* slices live in the call's arena */
    uint64_t next, end;   /* the bytes to send */
    struct arena arena;   /* of the part at hand */
    struct slice part;
    uint32_t part_index;
    bool has_part;
    struct buffer piece; /* the message at hand */
};

/* The head of the HTTP answer; lives in the call's arena. */
struct stream_head {
    struct arena *arena;
    Travelsense__Http__V1__ResponseHead message;
    Travelsense__Http__V1__Header headers[HEADERS_MAX];
    Travelsense__Http__V1__Header *list[HEADERS_MAX];
    bool no_memory;
};

static void head_add(struct stream_head *head, const char *name, char *value) {
    if (!value) {
        head->no_memory = true;
        return;
    }
    assert(head->message.n_headers < HEADERS_MAX);
    size_t i = head->message.n_headers++;
    travelsense__http__v1__header__init(&head->headers[i]);
    head->headers[i].name = (char *)name;
    head->headers[i].value = value;
    head->list[i] = &head->headers[i];
}

/* "sha-256=" and the digest of the whole container (RFC 3230). */
static char *digest_text(const struct bundle *bundle, struct arena *arena) {
    struct buffer text;
    buffer_init(&text, 2 * SHA256_SIZE);
    base64_append(&text, slice_of(bundle->sha256, SHA256_SIZE));
    char *digest = buffer_status(&text) == SYNC_OK
                       ? arena_format(arena, "sha-256=%.*s", (int)text.size, text.data)
                       : NULL;
    buffer_done(&text);
    return digest;
}

static char *etag_text(const struct bundle *bundle, struct arena *arena) {
    char hex[2 * ETAG_BYTES + 1];
    for (size_t i = 0; i < ETAG_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", bundle->sha256[i]);
    return arena_format(arena, "\"%s\"", hex);
}

/* An IMF-fixdate (RFC 9110 section 5.6.7). */
static char *http_date(int64_t time_us, struct arena *arena) {
    static const char *const days[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char text[TIME_TEXT_MAX];
    time_format(time_us, text);
    unsigned year, month, day, hour, minute, second;
    int count = sscanf(text, "%u-%u-%uT%u:%u:%u", &year, &month, &day, &hour, &minute, &second);
    assert(count == 6 && month >= 1 && month <= 12);
    (void)count;
    uint64_t days_since = (uint64_t)(time_us / 1000000 / 86400);
    return arena_format(arena, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[days_since % 7], day,
                        months[month - 1], year, hour, minute, second);
}

/* Headers that every answer about the bundle has. */
static void head_describe(struct stream_head *head, const struct bundle *bundle,
                          struct service *service, char *etag) {
    struct arena *arena = head->arena;
    head_add(head, "etag", etag);
    head_add(head, "accept-ranges", "bytes");
    head_add(head, "x-bundle-id", arena_copy_text(arena, bundle->id));
    head_add(head, "x-cursor", message_cursor_of(service, arena, bundle->sequence, bundle->types));
    head_add(head, "expires", http_date(bundle->expires_us, arena));
}

/* Headers of an answer that has a body. */
static void head_describe_body(struct stream_head *head, const struct bundle_stream *stream) {
    struct arena *arena = head->arena;
    const struct bundle *bundle = &stream->bundle;
    head_add(head, "digest", digest_text(bundle, arena));
    head_add(head, "content-disposition",
             arena_format(arena, "attachment; filename=\"%.*s.tsb\"", (int)bundle->id.size,
                          bundle->id.data));
    head_add(head, "content-length",
             arena_format(arena, "%llu", (unsigned long long)(stream->end - stream->next)));
    if (head->message.status == HTTP_PARTIAL)
        head_add(head, "content-range",
                 arena_format(arena, "bytes %llu-%llu/%llu", (unsigned long long)stream->next,
                              (unsigned long long)stream->end - 1,
                              (unsigned long long)bundle->size));
}

/* Decides by the conditions what is sent. */
static int stream_decide(struct bundle_stream *stream, const struct bundle_conditions *conditions,
                         struct slice etag) {
    uint64_t size = stream->bundle.size;
    if (conditions->if_none_match.size > 0 && http_tags_match(conditions->if_none_match, etag))
        return HTTP_NOT_MODIFIED;
    struct http_range range = {.kind = HTTP_RANGE_WHOLE, .end = size};
    if (conditions->range.size > 0 && http_if_range_holds(conditions->if_range, etag))
        range = http_range_parse(conditions->range, size);
    else if (conditions->range.size == 0 && conditions->offset > 0)
        range = (struct http_range){.kind = conditions->offset < size ? HTTP_RANGE_PART
                                                                      : HTTP_RANGE_UNSATISFIABLE,
                                    .begin = conditions->offset,
                                    .end = size};
    stream->next = range.begin;
    stream->end = range.end;
    if (range.kind == HTTP_RANGE_UNSATISFIABLE)
        return HTTP_RANGE_REFUSED;
    return range.kind == HTTP_RANGE_PART ? HTTP_PARTIAL : HTTP_OK;
}

static struct bundle_stream *stream_free(struct bundle_stream *stream) {
    arena_done(&stream->arena);
    buffer_done(&stream->piece);
    memory_free(stream);
    return NULL;
}

static void stream_fail(struct bundle_stream *stream, enum sync_status status) {
    struct rpc_call *call = stream->call;
    stream_free(stream);
    call_fail_status(call, status);
}

/* All is sent, or nothing was to be. */
static void stream_end(struct bundle_stream *stream, bool counts) {
    struct rpc_call *call = stream->call;
    if (counts)
        bundle_count_download(stream->service, stream->bundle.id, stream->bundle.user);
    stream_free(stream);
    rpc_stream_end(call);
}

/* Loads the part that holds the next byte. Blocks. */
static enum sync_status stream_load_part(struct bundle_stream *stream) {
    uint32_t index = (uint32_t)(stream->next / BUNDLE_PART_BYTES);
    assert(index < stream->bundle.part_count);
    arena_reset(&stream->arena);
    struct row wanted = {.table = TABLE_BUNDLE_PART};
    if (!key_of_bundle_part(&stream->arena, stream->bundle.id, index, &wanted.key))
        return SYNC_ERR_NO_MEMORY;
    struct touched want = {.user = stream->bundle.user, .rows = &wanted, .row_count = 1};
    struct user_view view;
    enum sync_status status =
        store_load(stream->service->store, NULL, &want, &stream->arena, &view);
    if (status != SYNC_OK)
        return status;
    bool is_last = index + 1 == stream->bundle.part_count;
    uint64_t size =
        is_last ? stream->bundle.size - (uint64_t)index * BUNDLE_PART_BYTES : BUNDLE_PART_BYTES;
    if (!view.rows[0].found || view.rows[0].value.size != size)
        return SYNC_ERR_CORRUPT;
    stream->part = view.rows[0].value;
    stream->part_index = index;
    stream->has_part = true;
    return SYNC_OK;
}

/* Whether the part at hand holds the next byte. */
static bool stream_holds_next(const struct bundle_stream *stream) {
    return stream->has_part && stream->part_index == stream->next / BUNDLE_PART_BYTES;
}

/* Packs a body into the stream's buffer. */
static bool stream_pack(struct bundle_stream *stream, Google__Api__HttpBody *body) {
    buffer_clear(&stream->piece);
    size_t size = google__api__http_body__get_packed_size(body);
    uint8_t *room = buffer_reserve(&stream->piece, size);
    if (!room)
        return false;
    buffer_advance(&stream->piece, google__api__http_body__pack(body, room));
    return true;
}

static void stream_send(struct bundle_stream *stream);

static void stream_written(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    struct bundle_stream *stream = context;
    if (!ok) {
        stream_fail(stream, SYNC_ERR_CANCELLED);
        return;
    }
    if (stream->next < stream->end)
        stream_send(stream);
    else
        stream_end(stream, stream->end > 0 && stream->end == stream->bundle.size);
}

/* Sends the next piece. */
static void stream_send(struct bundle_stream *stream) {
    enum sync_status status = stream_holds_next(stream) ? SYNC_OK : stream_load_part(stream);
    if (status != SYNC_OK) {
        stream_fail(stream, status);
        return;
    }
    struct slice rest = slice_after(stream->part, stream->next % BUNDLE_PART_BYTES);
    uint64_t size = stream->end - stream->next;
    size = size < rest.size ? size : rest.size;
    size = size < STREAM_PIECE_BYTES ? size : STREAM_PIECE_BYTES;
    Google__Api__HttpBody body = GOOGLE__API__HTTP_BODY__INIT;
    body.data = message_bytes(slice_first(rest, size));
    if (!stream_pack(stream, &body)) {
        stream_fail(stream, SYNC_ERR_NO_MEMORY);
        return;
    }
    stream->next += size;
    if (stream->service->sync_metrics)
        metric_add(stream->service->sync_metrics->download_bytes, (double)size);
    rpc_stream_write(stream->call, buffer_slice(&stream->piece), stream_written, stream);
}

/* Sends the head, alone; the bytes follow. */
static void stream_send_head(struct bundle_stream *stream, const struct stream_head *head) {
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    Google__Protobuf__Any *extensions[] = {&any};
    struct slice bytes;
    if (head->no_memory || !message_pack(&head->message.base, head->arena, &bytes)) {
        stream_fail(stream, SYNC_ERR_NO_MEMORY);
        return;
    }
    any.type_url = "type.googleapis.com/travelsense.http.v1.ResponseHead";
    any.value = message_bytes(bytes);
    Google__Api__HttpBody body = GOOGLE__API__HTTP_BODY__INIT;
    body.content_type = CONTENT_TYPE;
    body.extensions = extensions;
    body.n_extensions = 1;
    if (!stream_pack(stream, &body)) {
        stream_fail(stream, SYNC_ERR_NO_MEMORY);
        return;
    }
    rpc_stream_write(stream->call, buffer_slice(&stream->piece), stream_written, stream);
}

void bundle_stream_start(struct rpc_call *call, const struct bundle *bundle,
                         const struct bundle_conditions *conditions) {
    assert(bundle->is_built && bundle->size > 0 && bundle->part_count > 0);
    struct arena *arena = rpc_call_arena(call);
    struct bundle_stream *stream = memory_zalloc(1, sizeof *stream);
    struct stream_head *head = arena_zalloc(arena, 1, sizeof *head);
    char *etag = etag_text(bundle, arena);
    if (!stream || !head || !etag) {
        memory_free(stream);
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
        return;
    }
    stream->call = call;
    stream->service = rpc_call_service(call);
    stream->bundle = *bundle;
    arena_init(&stream->arena, PART_ARENA_MAX);
    buffer_init(&stream->piece, 2 * STREAM_PIECE_BYTES);
    head->arena = arena;
    travelsense__http__v1__response_head__init(&head->message);
    head->message.headers = head->list;
    head->message.status = stream_decide(stream, conditions, slice_text(etag));
    head_describe(head, bundle, stream->service, etag);
    if (head->message.status == HTTP_RANGE_REFUSED)
        head_add(head, "content-range",
                 arena_format(arena, "bytes */%llu", (unsigned long long)bundle->size));
    if (head->message.status == HTTP_NOT_MODIFIED || head->message.status == HTTP_RANGE_REFUSED)
        stream->next = stream->end = 0;
    else
        head_describe_body(head, stream);
    stream_send_head(stream, head);
}
