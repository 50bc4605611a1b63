/* What the other side sends to a client's end: frame by frame. */
#include "gateway/http2_client_types.h"

enum {
    HTTP2_HELD_KEEP = 16 << 10,
    HTTP2_REPLIES_MAX = 16 << 20, /* waiting for the socket when more replies are asked for */
    HTTP2_SETTING_SIZE = 6,
    HTTP2_PING_SIZE = 8,
    HTTP2_GOAWAY_SIZE_MIN = 8,
    HTTP2_PRIORITY_SIZE = 5,
};

void http2_client_greet(struct http2_client *client) {
    static const struct {
        uint16_t id;
        uint32_t value;
    } settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_CLIENT_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, HTTP2_CLIENT_FRAME_MAX},
    };
    enum { COUNT = sizeof(settings) / sizeof(settings[0]) };
    buffer_append(client->out, SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    http2_frame_head_put(client->out, &(struct http2_frame_head){COUNT * HTTP2_SETTING_SIZE,
                                                                 NGHTTP2_SETTINGS, 0, 0});
    for (size_t i = 0; i < COUNT; i++) {
        uint8_t bytes[HTTP2_SETTING_SIZE] = {0, (uint8_t)settings[i].id};
        http2_number_put(bytes + 2, settings[i].value);
        buffer_append(client->out, slice_of(bytes, sizeof(bytes)));
    }
    http2_client_number(client, NGHTTP2_WINDOW_UPDATE, 0,
                        HTTP2_CLIENT_WINDOW - HTTP2_WINDOW_DEFAULT);
}

/* Tells whether a stream of this id was never opened. */
static bool is_idle(const struct http2_client *client, int32_t id) {
    return id % 2 == 0 || (uint32_t)id >= client->next_id;
}

/* A window grows; false when it grows beyond what there is. */
static bool window_grow(struct http2_client_stream *stream, int64_t size) {
    int64_t window = stream->send_window + size;
    if (window > INT32_MAX)
        return false;
    bool was_shut = stream->send_window <= 0;
    stream->send_window = (int32_t)window;
    if (was_shut && window > 0)
        http2_stream_resume(stream);
    return true;
}

static bool windows_move(struct http2_client *client, uint32_t size) {
    if (size > INT32_MAX)
        return http2_client_fail(client, NGHTTP2_FLOW_CONTROL_ERROR);
    int64_t difference = (int64_t)size - client->stream_window;
    client->stream_window = (int32_t)size;
    for (size_t i = 0; i < HTTP2_CLIENT_BUCKETS; i++) {
        for (struct http2_client_stream *stream = client->buckets[i]; stream;
             stream = stream->next) {
            if (!window_grow(stream, difference))
                return http2_client_fail(client, NGHTTP2_FLOW_CONTROL_ERROR);
        }
    }
    return true;
}

static bool setting_take(struct http2_client *client, uint16_t id, uint32_t value) {
    switch (id) {
    case NGHTTP2_SETTINGS_HEADER_TABLE_SIZE:
        hpack_encoder_bound(&client->encoder, value);
        return true;
    case NGHTTP2_SETTINGS_ENABLE_PUSH: /* a server has nothing to say of it but that */
        return value == 0 || http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    case NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS:
        client->streams_max = value;
        return true;
    case NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE:
        return windows_move(client, value);
    case NGHTTP2_SETTINGS_MAX_FRAME_SIZE:
        if (value < HTTP2_FRAME_MAX_DEFAULT || value >= 1 << 24)
            return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
        /* Larger frames would only let one stream hold up the others. */
        return true;
    default:
        return true;
    }
}

/* Appends a reply, unless those before it are not even read. */
static bool reply(struct http2_client *client, uint8_t type, struct slice payload) {
    if (client->out->size > HTTP2_REPLIES_MAX)
        return http2_client_fail(client, NGHTTP2_ENHANCE_YOUR_CALM);
    http2_frame_head_put(client->out,
                         &(struct http2_frame_head){payload.size, type, NGHTTP2_FLAG_ACK, 0});
    buffer_append(client->out, payload);
    return true;
}

static bool take_settings(struct http2_client *client, struct slice payload) {
    const struct http2_frame_head *head = &client->input.head;
    bool is_ack = head->flags & NGHTTP2_FLAG_ACK;
    if (head->id != 0)
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    if (payload.size % HTTP2_SETTING_SIZE != 0 || (is_ack && payload.size != 0))
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    if (is_ack)
        return true;
    if (!client->greeted)
        client->streams_max = UINT32_MAX;
    client->greeted = true;
    for (; payload.size > 0; payload = slice_after(payload, HTTP2_SETTING_SIZE)) {
        uint16_t id = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
        if (!setting_take(client, id, http2_number_of(payload.data + 2)))
            return false;
    }
    if (!reply(client, NGHTTP2_SETTINGS, SLICE_EMPTY))
        return false;
    client->events->settings(client->context);
    return true;
}

static bool take_ping(struct http2_client *client, struct slice payload) {
    const struct http2_frame_head *head = &client->input.head;
    if (payload.size != HTTP2_PING_SIZE)
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    if (head->id != 0)
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    return (head->flags & NGHTTP2_FLAG_ACK) || reply(client, NGHTTP2_PING, payload);
}

/* The first stream that the other side will not process, of those opened. */
static struct http2_client_stream *find_behind(const struct http2_client *client, int32_t last_id) {
    for (size_t i = 0; i < HTTP2_CLIENT_BUCKETS; i++) {
        for (struct http2_client_stream *stream = client->buckets[i]; stream; stream = stream->next)
            if (stream->id > last_id)
                return stream;
    }
    return NULL;
}

static bool take_goaway(struct http2_client *client, struct slice payload) {
    if (payload.size < HTTP2_GOAWAY_SIZE_MIN)
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    if (client->input.head.id != 0)
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    int32_t last_id = (int32_t)(http2_number_of(payload.data) & INT32_MAX);
    http2_client_leave(client);
    struct http2_client_stream *stream;
    while ((stream = find_behind(client, last_id)))
        http2_client_close_stream(stream, NGHTTP2_REFUSED_STREAM);
    return true;
}

static bool take_reset(struct http2_client *client, struct slice payload) {
    int32_t id = client->input.head.id;
    if (payload.size != 4)
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    if (is_idle(client, id))
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    struct http2_client_stream *stream = http2_client_find(client, id);
    if (stream)
        http2_client_close_stream(stream, http2_number_of(payload.data));
    return true;
}

static bool take_window(struct http2_client *client, struct slice payload) {
    int32_t id = client->input.head.id;
    if (payload.size != 4)
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    uint32_t size = http2_number_of(payload.data) & INT32_MAX;
    if ((id != 0 && is_idle(client, id)) || (id == 0 && size == 0))
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    if (id == 0) {
        client->send_window += size;
        return client->send_window <= INT32_MAX ||
               http2_client_fail(client, NGHTTP2_FLOW_CONTROL_ERROR);
    }
    struct http2_client_stream *stream = http2_client_find(client, id);
    if (stream && size == 0)
        http2_client_fail_stream(stream, NGHTTP2_PROTOCOL_ERROR);
    else if (stream && !window_grow(stream, size))
        http2_client_fail_stream(stream, NGHTTP2_FLOW_CONTROL_ERROR);
    return true;
}

/* Cuts off padding and a priority; false where they are more than there is. */
static bool headers_cut(const struct http2_frame_head *head, struct slice *payload) {
    size_t padding = 0, before = 0;
    if (head->flags & NGHTTP2_FLAG_PADDED) {
        if (payload->size == 0)
            return false;
        padding = payload->data[0];
        before = 1;
    }
    if (head->flags & NGHTTP2_FLAG_PRIORITY)
        before += HTTP2_PRIORITY_SIZE;
    if (before + padding > payload->size)
        return false;
    *payload = slice_first(slice_after(*payload, before), payload->size - before - padding);
    return true;
}

static bool take_headers(struct http2_client *client, struct slice payload) {
    struct http2_client_input *input = &client->input;
    const struct http2_frame_head *head = &input->head;
    bool is_last = head->flags & NGHTTP2_FLAG_END_STREAM;
    if (is_idle(client, head->id) || !headers_cut(head, &payload))
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    if (head->flags & NGHTTP2_FLAG_END_HEADERS)
        return http2_client_head(client, head->id, is_last, payload);
    buffer_append(&input->block, payload);
    input->block_id = head->id;
    input->block_ends_stream = is_last;
    return true;
}

static bool take_continuation(struct http2_client *client, struct slice payload) {
    struct http2_client_input *input = &client->input;
    /* One that is empty is as good as a flood. */
    if (payload.size == 0 && !(input->head.flags & NGHTTP2_FLAG_END_HEADERS))
        return http2_client_fail(client, NGHTTP2_ENHANCE_YOUR_CALM);
    buffer_append(&input->block, payload);
    if (input->block.failed)
        return http2_client_fail(client, NGHTTP2_ENHANCE_YOUR_CALM);
    if (!(input->head.flags & NGHTTP2_FLAG_END_HEADERS))
        return true;
    input->block_id = 0;
    bool well = http2_client_head(client, input->head.id, input->block_ends_stream,
                                  buffer_slice(&input->block));
    buffer_done(&input->block);
    return well;
}

/* Takes a whole frame that is no DATA. */
static bool frame_take(struct http2_client *client, struct slice payload) {
    switch (client->input.head.type) {
    case NGHTTP2_HEADERS:
        return take_headers(client, payload);
    case NGHTTP2_CONTINUATION:
        return take_continuation(client, payload);
    case NGHTTP2_SETTINGS:
        return take_settings(client, payload);
    case NGHTTP2_PING:
        return take_ping(client, payload);
    case NGHTTP2_GOAWAY:
        return take_goaway(client, payload);
    case NGHTTP2_RST_STREAM:
        return take_reset(client, payload);
    case NGHTTP2_WINDOW_UPDATE:
        return take_window(client, payload);
    case NGHTTP2_PUSH_PROMISE:
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    default: /* PRIORITY, and what is not known */
        return true;
    }
}

/* The connection's window is not a stream's to hold: one slow call must not stop others. */
static void connection_consume(struct http2_client *client, size_t size) {
    client->consumed += (int32_t)size;
    if (client->consumed < HTTP2_CLIENT_WINDOW / 2)
        return;
    http2_client_number(client, NGHTTP2_WINDOW_UPDATE, 0, (uint32_t)client->consumed);
    client->receive_left += client->consumed;
    client->consumed = 0;
}

/* DATA counts when its head is read, padding and all (section 6.9). */
static bool data_begin(struct http2_client *client) {
    struct http2_client_input *input = &client->input;
    const struct http2_frame_head *head = &input->head;
    input->padding = 0;
    input->is_padding_told = !(head->flags & NGHTTP2_FLAG_PADDED);
    if (is_idle(client, head->id) || (!input->is_padding_told && head->size == 0))
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    if (head->size > (size_t)client->receive_left)
        return http2_client_fail(client, NGHTTP2_FLOW_CONTROL_ERROR);
    client->receive_left -= (int32_t)head->size;
    connection_consume(client, head->size);
    struct http2_client_stream *stream = http2_client_find(client, head->id);
    if (!stream)
        return true;
    if (!stream->has_head)
        http2_client_fail_stream(stream, NGHTTP2_PROTOCOL_ERROR);
    else if (head->size > (size_t)stream->receive_left)
        http2_client_fail_stream(stream, NGHTTP2_FLOW_CONTROL_ERROR);
    else
        stream->receive_left -= (int32_t)head->size;
    return true;
}

static void data_tell(struct http2_client *client, struct slice bytes) {
    struct http2_client_stream *stream = http2_client_find(client, client->input.head.id);
    if (!stream || bytes.size == 0)
        return;
    if (stream->has_length && bytes.size > stream->length_left) {
        http2_client_fail_stream(stream, NGHTTP2_PROTOCOL_ERROR);
        return;
    }
    stream->length_left -= stream->has_length ? bytes.size : 0;
    client->events->data(stream, bytes);
}

/* Padding is consumed as it comes. */
static void data_skip(struct http2_client *client, size_t size) {
    struct http2_client_stream *stream = http2_client_find(client, client->input.head.id);
    if (stream)
        http2_stream_consume(stream, size);
}

/* Takes some of a DATA frame's payload. */
static bool data_take(struct http2_client *client, struct slice *bytes) {
    struct http2_client_input *input = &client->input;
    if (!input->is_padding_told && bytes->size > 0) {
        input->is_padding_told = true;
        input->padding = bytes->data[0];
        input->left--;
        *bytes = slice_after(*bytes, 1);
        if (input->padding > input->left)
            return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
        data_skip(client, input->padding + 1);
    }
    size_t data = input->left > input->padding ? input->left - input->padding : 0;
    size_t told = data < bytes->size ? data : bytes->size;
    data_tell(client, slice_first(*bytes, told));
    *bytes = slice_after(*bytes, told);
    input->left -= told;
    size_t skipped = input->left <= input->padding ? input->left : 0;
    if (skipped > bytes->size)
        skipped = bytes->size;
    *bytes = slice_after(*bytes, skipped);
    input->left -= skipped;
    input->padding -= skipped;
    if (input->left > 0 || !(input->head.flags & NGHTTP2_FLAG_END_STREAM))
        return true;
    struct http2_client_stream *stream = http2_client_find(client, input->head.id);
    if (stream)
        http2_client_finish_stream(stream);
    return true;
}

/* A frame's head is read: looks whether it may stand here. */
static bool frame_begin(struct http2_client *client) {
    struct http2_client_input *input = &client->input;
    const uint8_t *at = input->head_bytes;
    struct http2_frame_head *head = &input->head;
    *head = (struct http2_frame_head){.size = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2],
                                      .type = at[3],
                                      .flags = at[4],
                                      .id = (int32_t)(http2_number_of(at + 5) & INT32_MAX)};
    input->left = head->size;
    if (head->size > HTTP2_CLIENT_FRAME_MAX)
        return http2_client_fail(client, NGHTTP2_FRAME_SIZE_ERROR);
    bool is_greeting = head->type == NGHTTP2_SETTINGS && !(head->flags & NGHTTP2_FLAG_ACK);
    bool is_rest = head->type == NGHTTP2_CONTINUATION && head->id == input->block_id;
    bool wants_rest = input->block_id != 0 || head->type == NGHTTP2_CONTINUATION;
    if ((!client->greeted && !is_greeting) || (wants_rest && (!is_rest || input->block_id == 0)))
        return http2_client_fail(client, NGHTTP2_PROTOCOL_ERROR);
    return head->type != NGHTTP2_DATA || data_begin(client);
}

/* Takes some of another frame's payload. */
static bool payload_take(struct http2_client *client, struct slice *bytes) {
    struct http2_client_input *input = &client->input;
    size_t size = input->left < bytes->size ? input->left : bytes->size;
    struct slice payload = slice_first(*bytes, size);
    *bytes = slice_after(*bytes, size);
    input->left -= size;
    if (input->held.size > 0 || input->left > 0) {
        buffer_append(&input->held, payload);
        if (input->held.failed)
            return http2_client_fail(client, NGHTTP2_INTERNAL_ERROR);
        payload = buffer_slice(&input->held);
    }
    if (input->left > 0)
        return true;
    bool well = frame_take(client, payload);
    if (input->held.capacity > HTTP2_HELD_KEEP)
        buffer_done(&input->held);
    else
        buffer_clear(&input->held);
    return well;
}

/* Takes bytes of a frame's head; true once it is whole. */
static bool frame_head_take(struct http2_client_input *input, struct slice *bytes) {
    size_t size = HTTP2_FRAME_HEAD_SIZE - input->head_size;
    if (size > bytes->size)
        size = bytes->size;
    memcpy(input->head_bytes + input->head_size, bytes->data, size);
    input->head_size += size;
    *bytes = slice_after(*bytes, size);
    return input->head_size == HTTP2_FRAME_HEAD_SIZE;
}

bool http2_client_receive(struct http2_client *client, struct slice bytes) {
    struct http2_client_input *input = &client->input;
    while (bytes.size > 0 && !client->failed) {
        if (input->head_size < HTTP2_FRAME_HEAD_SIZE) {
            if (!frame_head_take(input, &bytes))
                break;
            if (!frame_begin(client))
                return false;
        }
        bool well = input->head.type == NGHTTP2_DATA ? data_take(client, &bytes)
                                                     : payload_take(client, &bytes);
        if (!well)
            return false;
        if (input->left == 0)
            input->head_size = 0;
    }
    return !client->failed;
}
