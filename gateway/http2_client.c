#include <assert.h>
#include <stddef.h>

#include "base/id.h"
#include "base/memory.h"
#include "gateway/http2_client_types.h"

enum {
    HTTP2_HEAD_MAX = 64 << 10, /* of a request's head that waits */
    HTTP2_HELD_MAX = HTTP2_CLIENT_FRAME_MAX,
    HTTP2_BLOCK_MAX = 256 << 10,
};

static struct http2_client_stream **bucket_of(struct http2_client *client, int32_t id) {
    return &client->buckets[(uint32_t)id / 2 % HTTP2_CLIENT_BUCKETS];
}

struct http2_client_stream *http2_client_find(const struct http2_client *client, int32_t id) {
    struct http2_client_stream *stream = *bucket_of((struct http2_client *)client, id);
    while (stream && stream->id != id)
        stream = stream->next;
    return stream;
}

struct http2_client *http2_client_open(const struct http2_client_events *events, void *context,
                                       struct buffer *out) {
    assert(events && out);
    struct http2_client *client = memory_zalloc(1, sizeof(*client));
    if (!client)
        return NULL;
    if (nghttp2_hd_inflate_new(&client->inflater) != 0) {
        memory_free(client);
        return NULL;
    }
    client->events = events;
    client->context = context;
    client->out = out;
    client->next_id = 1;
    client->waiting_tail = &client->waiting;
    client->turns_tail = &client->turns;
    client->frame_max = HTTP2_FRAME_MAX_DEFAULT;
    client->send_window = client->stream_window = HTTP2_WINDOW_DEFAULT;
    client->receive_left = HTTP2_CLIENT_WINDOW;
    buffer_init(&client->input.held, HTTP2_HELD_MAX);
    buffer_init(&client->input.block, HTTP2_BLOCK_MAX);
    uint64_t seed;
    const struct random_source *random = random_system();
    random->fill(random->context, (uint8_t *)&seed, sizeof(seed));
    hpack_encoder_init(&client->encoder, seed);
    http2_client_greet(client);
    return client;
}

struct http2_client *http2_client_close(struct http2_client *client) {
    if (!client)
        return NULL;
    buffer_done(&client->input.held);
    buffer_done(&client->input.block);
    nghttp2_hd_inflate_del(client->inflater);
    memory_free(client);
    return NULL;
}

uint32_t http2_client_streams_max(const struct http2_client *client) {
    return client->streams_max;
}

void http2_frame_head_put(struct buffer *out, const struct http2_frame_head *head) {
    uint8_t *at = buffer_reserve(out, HTTP2_FRAME_HEAD_SIZE);
    if (!at)
        return;
    at[0] = (uint8_t)(head->size >> 16);
    at[1] = (uint8_t)(head->size >> 8);
    at[2] = (uint8_t)head->size;
    at[3] = head->type;
    at[4] = head->flags;
    http2_number_put(at + 5, (uint32_t)head->id);
    buffer_advance(out, HTTP2_FRAME_HEAD_SIZE);
}

void http2_client_number(struct http2_client *client, uint8_t type, int32_t id, uint32_t number) {
    uint8_t bytes[4];
    http2_number_put(bytes, number);
    http2_frame_head_put(client->out, &(struct http2_frame_head){4, type, 0, id});
    buffer_append(client->out, slice_of(bytes, sizeof(bytes)));
}

static void turn_add(struct http2_client_stream *stream) {
    struct http2_client *client = stream->client;
    if (stream->turn_link)
        return;
    stream->turn_next = NULL;
    stream->turn_link = client->turns_tail;
    *client->turns_tail = stream;
    client->turns_tail = &stream->turn_next;
}

static void turn_remove(struct http2_client_stream *stream) {
    struct http2_client *client = stream->client;
    if (!stream->turn_link)
        return;
    *stream->turn_link = stream->turn_next;
    if (stream->turn_next)
        stream->turn_next->turn_link = stream->turn_link;
    else
        client->turns_tail = stream->turn_link;
    stream->turn_link = NULL;
}

static void stream_detach(struct http2_client_stream *stream) {
    struct http2_client *client = stream->client;
    turn_remove(stream);
    *stream->link = stream->next;
    if (stream->next)
        stream->next->link = stream->link;
    else if (stream->id == 0)
        client->waiting_tail = stream->link;
    client->open_count -= stream->id != 0;
    if (client->current == stream)
        client->current = NULL;
    buffer_done(&stream->head);
    stream->client = NULL;
}

void http2_client_close_stream(struct http2_client_stream *stream, uint32_t error_code) {
    struct http2_client *client = stream->client;
    stream_detach(stream);
    client->events->closed(stream, error_code);
}

void http2_client_fail_stream(struct http2_client_stream *stream, uint32_t error_code) {
    http2_client_number(stream->client, NGHTTP2_RST_STREAM, stream->id, error_code);
    http2_client_close_stream(stream, error_code);
}

void http2_client_finish_stream(struct http2_client_stream *stream) {
    if (stream->has_length && stream->length_left != 0) {
        http2_client_fail_stream(stream, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    if (!stream->request_ended)
        http2_client_number(stream->client, NGHTTP2_RST_STREAM, stream->id, NGHTTP2_CANCEL);
    http2_client_close_stream(stream, NGHTTP2_NO_ERROR);
}

void http2_stream_reset(struct http2_client_stream *stream, uint32_t error_code) {
    struct http2_client *client = stream->client;
    if (!client)
        return;
    if (stream->id != 0)
        http2_client_number(client, NGHTTP2_RST_STREAM, stream->id, error_code);
    stream_detach(stream);
}

/* Writes the frames of a block that stands at the end of `out`, behind room for the first one's
 * head. */
static void head_frame(struct http2_client *client, int32_t id, size_t at) {
    struct buffer *out = client->out;
    if (out->failed)
        return;
    size_t size = out->size - at - HTTP2_FRAME_HEAD_SIZE;
    struct http2_frame_head head = {size, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id};
    struct buffer rest;
    buffer_init(&rest, size);
    if (size > client->frame_max) {
        /* A head that is larger than a frame goes on in others. */
        head.size = client->frame_max;
        head.flags = NGHTTP2_FLAG_NONE;
        buffer_append(&rest,
                      slice_after(buffer_slice(out), at + HTTP2_FRAME_HEAD_SIZE + head.size));
    }
    size_t end = at + HTTP2_FRAME_HEAD_SIZE + head.size;
    buffer_truncate(out, at);
    http2_frame_head_put(out, &head);
    buffer_truncate(out, end);
    for (struct slice left = buffer_slice(&rest); left.size > 0;) {
        head.size = left.size < client->frame_max ? left.size : client->frame_max;
        head.type = NGHTTP2_CONTINUATION;
        head.flags = head.size == left.size ? NGHTTP2_FLAG_END_HEADERS : NGHTTP2_FLAG_NONE;
        http2_frame_head_put(out, &head);
        buffer_append(out, slice_first(left, head.size));
        left = slice_after(left, head.size);
    }
    client->failed |= rest.failed;
    buffer_done(&rest);
}

/* How a field is kept until its stream is opened; the name and the value follow. */
struct field_record {
    uint32_t name_size, value_size;
    enum hpack_form form;
};

/* Keeps the fields of a head; false without memory. */
static bool head_keep(struct buffer *head, const struct http2_client_field *fields, size_t count) {
    size_t size = count * sizeof(struct field_record);
    for (size_t i = 0; i < count; i++)
        size += fields[i].name.size + fields[i].value.size;
    buffer_init(head, HTTP2_HEAD_MAX);
    if (!buffer_reserve(head, size))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct field_record record = {(uint32_t)fields[i].name.size,
                                            (uint32_t)fields[i].value.size, fields[i].form};
        buffer_append(head, slice_of(&record, sizeof(record)));
        buffer_append(head, fields[i].name);
        buffer_append(head, fields[i].value);
    }
    return true;
}

/* Encodes the fields that were kept. */
static void head_put(struct http2_client *client, struct slice head) {
    hpack_encoder_begin(&client->encoder, client->out);
    while (head.size > 0) {
        struct field_record record;
        memcpy(&record, head.data, sizeof(record));
        head = slice_after(head, sizeof(record));
        struct slice name = slice_first(head, record.name_size);
        head = slice_after(head, name.size);
        struct slice value = slice_first(head, record.value_size);
        head = slice_after(head, value.size);
        hpack_encoder_put(&client->encoder, client->out, name, value, record.form);
    }
}

/* Gives the stream its id and writes its head. */
static void stream_begin(struct http2_client *client, struct http2_client_stream *stream) {
    static const uint8_t room[HTTP2_FRAME_HEAD_SIZE];
    size_t at = client->out->size;
    stream->id = (int32_t)client->next_id;
    client->next_id += 2;
    stream->send_window = client->stream_window;
    stream->receive_left = HTTP2_CLIENT_STREAM_WINDOW;
    buffer_append(client->out, slice_of(room, sizeof(room)));
    head_put(client, buffer_slice(&stream->head));
    head_frame(client, stream->id, at);
    buffer_done(&stream->head);
    stream->link = bucket_of(client, stream->id);
    stream->next = *stream->link;
    if (stream->next)
        stream->next->link = &stream->next;
    *stream->link = stream;
    client->open_count++;
    turn_add(stream);
}

void http2_client_leave(struct http2_client *client) {
    client->leaving = true;
    client->events->goaway(client->context);
    while (client->waiting)
        http2_client_close_stream(client->waiting, NGHTTP2_REFUSED_STREAM);
}

/* Opens the streams that wait, as far as is allowed. */
static void open_waiting(struct http2_client *client, size_t size_max) {
    while (client->waiting && client->open_count < client->streams_max &&
           client->out->size < size_max) {
        struct http2_client_stream *stream = client->waiting;
        if (client->next_id > INT32_MAX) {
            http2_client_leave(client);
            return;
        }
        client->waiting = stream->next;
        if (stream->next)
            stream->next->link = &client->waiting;
        else
            client->waiting_tail = &client->waiting;
        stream_begin(client, stream);
    }
}

enum sync_status http2_stream_open(struct http2_client *client, struct http2_client_stream *stream,
                                   const struct http2_client_field *fields, size_t count) {
    assert(!stream->client && count > 0);
    if (client->failed || client->leaving)
        return SYNC_ERR_UNAVAILABLE;
    *stream = (struct http2_client_stream){.client = NULL};
    if (!head_keep(&stream->head, fields, count))
        return SYNC_ERR_NO_MEMORY;
    stream->client = client;
    stream->link = client->waiting_tail;
    *client->waiting_tail = stream;
    client->waiting_tail = &stream->next;
    return SYNC_OK;
}

void http2_stream_resume(struct http2_client_stream *stream) {
    if (stream->client && stream->id != 0 && !stream->request_ended)
        turn_add(stream);
}

void http2_stream_consume(struct http2_client_stream *stream, size_t size) {
    struct http2_client *client = stream->client;
    if (!client)
        return;
    assert(size <= (size_t)(HTTP2_CLIENT_STREAM_WINDOW - stream->receive_left - stream->consumed));
    stream->consumed += (int32_t)size;
    if (stream->consumed < HTTP2_CLIENT_STREAM_WINDOW / 2)
        return;
    http2_client_number(client, NGHTTP2_WINDOW_UPDATE, stream->id, (uint32_t)stream->consumed);
    stream->receive_left += stream->consumed;
    stream->consumed = 0;
}

static size_t size_min(size_t a, size_t b) {
    return a < b ? a : b;
}

/* One stream's turn: a frame of what it has. */
static void stream_send(struct http2_client *client, struct http2_client_stream *stream) {
    bool last = false;
    turn_remove(stream);
    struct slice ready = client->events->ready(stream, &last);
    if ((ready.size == 0 && !last) || (ready.size > 0 && stream->send_window <= 0))
        return; /* it is resumed */
    size_t size = size_min(ready.size, client->frame_max);
    size = size_min(size, (size_t)client->send_window);
    if (ready.size > 0)
        size = size_min(size, (size_t)stream->send_window);
    stream->request_ended = last && size == ready.size;
    uint8_t flags = stream->request_ended ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE;
    http2_frame_head_put(client->out,
                         &(struct http2_frame_head){size, NGHTTP2_DATA, flags, stream->id});
    buffer_append(client->out, slice_first(ready, size));
    client->send_window -= (int64_t)size;
    stream->send_window -= (int32_t)size;
    if (size < ready.size)
        turn_add(stream);
    client->events->taken(stream, size, stream->request_ended);
}

bool http2_client_fill(struct http2_client *client, size_t size_max) {
    open_waiting(client, size_max);
    while (client->turns && client->send_window > 0 && client->out->size < size_max &&
           !client->out->failed && !client->failed)
        stream_send(client, client->turns);
    return !client->out->failed && !client->failed;
}

bool http2_client_fail(struct http2_client *client, uint32_t error_code) {
    uint8_t bytes[8];
    if (client->failed)
        return false;
    client->failed = client->leaving = true;
    http2_number_put(bytes, 0); /* nothing of the other side's is ever processed */
    http2_number_put(bytes + 4, error_code);
    http2_frame_head_put(client->out,
                         &(struct http2_frame_head){sizeof(bytes), NGHTTP2_GOAWAY, 0, 0});
    buffer_append(client->out, slice_of(bytes, sizeof(bytes)));
    return false;
}
