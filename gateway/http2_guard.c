#include "gateway/http2_guard.h"

#include <stdbool.h>
#include <string.h>

#include "base/limits.h"

enum {
    GUARD_RESET_BURST = 200, /* of streams that the client resets */
    GUARD_RESET_RATE = 33,   /* a second, beyond the burst */
    GUARD_OUTBOUND_ACK_MAX = 1000,
    GUARD_SETTINGS_MAX = 32, /* entries of one frame */
    GUARD_CONTINUATIONS_MAX = 8,
    GUARD_ALLOWANCE_PER_S = 200,
    GUARD_SPENT_WELL_MAX = 40,        /* at the begin of a connection, say */
    GUARD_ALLOWANCE_PER_DATA = 4,     /* earned by a frame of DATA that we send */
    GUARD_ALLOWANCE_PER_HEADERS = 16, /* and by one of HEADERS */
    GUARD_OUR_RESETS_TIME_US = 10000000,
    GUARD_TURN_FRAMES = 16, /* but for those of DATA, which cost what their bytes cost */
};

static void guard_options(nghttp2_option *option) {
    nghttp2_option_set_stream_reset_rate_limit(option, GUARD_RESET_BURST, GUARD_RESET_RATE);
    nghttp2_option_set_max_continuations(option, GUARD_CONTINUATIONS_MAX);
    nghttp2_option_set_max_settings(option, GUARD_SETTINGS_MAX);
    nghttp2_option_set_max_outbound_ack(option, GUARD_OUTBOUND_ACK_MAX);
    /* Closed streams would be kept for what the guard knows without them. */
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_no_auto_window_update(option, 1);
}

int http2_guard_open(struct http2_guard *guard, const struct loop *loop,
                     const nghttp2_session_callbacks *callbacks, void *context, nghttp2_mem *memory,
                     nghttp2_session **ret_session) {
    *guard = (struct http2_guard){
        .loop = loop,
        .allowance = HTTP2_IDLE_FRAMES_MAX,
        .allowance_us = loop_now_us(loop),
        .left = NGHTTP2_CLIENT_MAGIC_LEN,
        .kind = NGHTTP2_SETTINGS, /* the preface is as small */
        .begun_us = loop_now_us(loop),
    };
    nghttp2_option *option = NULL;
    int rc = nghttp2_option_new(&option);
    if (rc != 0)
        return rc;
    guard_options(option);
    rc = nghttp2_session_server_new3(ret_session, callbacks, context, option, memory);
    nghttp2_option_del(option);
    return rc;
}

static void guard_earn(struct http2_guard *guard, uint64_t frames) {
    uint64_t all = guard->allowance + frames;
    guard->allowance = all < HTTP2_IDLE_FRAMES_MAX ? (unsigned)all : HTTP2_IDLE_FRAMES_MAX;
}

/* Draws one frame on the allowance; false when there is none left. */
static bool guard_spend(struct http2_guard *guard) {
    uint64_t now_us = loop_now_us(guard->loop);
    uint64_t earned = (now_us - guard->allowance_us) * GUARD_ALLOWANCE_PER_S / 1000000;
    if (earned > 0) {
        guard_earn(guard, earned);
        guard->allowance_us = now_us;
    }
    if (guard->allowance == 0)
        return false;
    guard->allowance--;
    return true;
}

/* Tells whether a frame carries nothing of a request. */
static bool frame_is_idle(const nghttp2_frame_hd *head) {
    switch (head->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return false;
    case NGHTTP2_DATA:
        return (head->length == 0 || head->flags & NGHTTP2_FLAG_PADDED) &&
               !(head->flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return true;
    }
}

static nghttp2_frame_hd head_read(const uint8_t *bytes) {
    uint32_t stream_id =
        (uint32_t)bytes[5] << 24 | (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 8 | bytes[8];
    return (nghttp2_frame_hd){
        .length = (size_t)bytes[0] << 16 | (size_t)bytes[1] << 8 | bytes[2],
        .type = bytes[3],
        .flags = bytes[4],
        .stream_id = (int32_t)(stream_id & INT32_MAX),
    };
}

static bool head_is_homeless(nghttp2_session *session, const nghttp2_frame_hd *head) {
    return (head->type == NGHTTP2_DATA || head->type == NGHTTP2_HEADERS) &&
           !nghttp2_session_find_stream(session, head->stream_id);
}

/* Tells whether a frame for no stream is for one that the client has ended: RFC 9113 section 5.1
 * has a connection error for it. On streams that we reset a client still speaks that does not know
 * yet. */
static bool head_is_late(const struct http2_guard *guard, nghttp2_session *session,
                         const nghttp2_frame_hd *head) {
    return head->stream_id % 2 == 1 && head->stream_id > guard->reset_up_to &&
           head->stream_id <= nghttp2_session_get_last_proc_stream_id(session);
}

/* Looks at a frame's head once the session has seen all before it. */
static void guard_judge(struct http2_guard *guard, nghttp2_session *session,
                        const nghttp2_frame_hd *head) {
    if (head_is_homeless(session, head) && head_is_late(guard, session, head))
        nghttp2_session_terminate_session(session, NGHTTP2_STREAM_CLOSED);
    else if (frame_is_idle(head) && !guard_spend(guard))
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

/* Goes on to the end of the frame, or of `bytes`, from `at` on. */
static void guard_skip(struct http2_guard *guard, struct slice bytes, size_t *at) {
    size_t skipped = bytes.size - *at < guard->left ? bytes.size - *at : guard->left;
    guard->left -= skipped;
    *at += skipped;
}

/* Goes on to the end of the next head within `bytes`, from `at` on; false when there is none. */
static bool guard_next(struct http2_guard *guard, struct slice bytes, size_t *at) {
    guard_skip(guard, bytes, at);
    size_t room = sizeof(guard->head) - guard->head_size;
    size_t size = bytes.size - *at < room ? bytes.size - *at : room;
    memcpy(guard->head + guard->head_size, bytes.data + *at, size);
    guard->head_size += size;
    *at += size;
    return guard->head_size == sizeof(guard->head);
}

static void guard_note(struct http2_guard *guard, const nghttp2_frame_hd *head) {
    guard->left = head->length;
    guard->kind = head->type;
    if (head->type != NGHTTP2_CONTINUATION)
        guard->begun_us = loop_now_us(guard->loop);
    if (head->type == NGHTTP2_HEADERS || head->type == NGHTTP2_CONTINUATION)
        guard->block_open = !(head->flags & NGHTTP2_FLAG_END_HEADERS);
}

bool http2_guard_is_partial(const struct http2_guard *guard) {
    return guard->head_size > 0 || guard->block_open ||
           (guard->left > 0 && guard->kind != NGHTTP2_DATA);
}

bool http2_guard_is_wary(const struct http2_guard *guard) {
    return guard->allowance < HTTP2_IDLE_FRAMES_MAX - GUARD_SPENT_WELL_MAX;
}

/* Tells whether a frame may be the last of its stream. */
static bool head_ends_stream(const nghttp2_frame_hd *head) {
    return head->type == NGHTTP2_RST_STREAM ||
           ((head->type == NGHTTP2_DATA || head->type == NGHTTP2_HEADERS) &&
            (head->flags & NGHTTP2_FLAG_END_STREAM));
}

/* Feeds the session up to `end`, from `fed` on; false on its error. */
static bool guard_feed(nghttp2_session *session, struct slice bytes, size_t *fed, size_t end,
                       ssize_t *ret_error) {
    if (end <= *fed)
        return true;
    ssize_t used = nghttp2_session_mem_recv(session, bytes.data + *fed, end - *fed);
    if (used < 0)
        *ret_error = used;
    *fed = end;
    return used >= 0;
}

ssize_t http2_guard_receive(struct http2_guard *guard, nghttp2_session *session,
                            struct slice bytes) {
    size_t at = 0, fed = 0;
    ssize_t error = 0;
    int frames = 0;
    while (frames < GUARD_TURN_FRAMES && guard_next(guard, bytes, &at)) {
        const nghttp2_frame_hd head = head_read(guard->head);
        guard->head_size = 0;
        guard_note(guard, &head);
        if (guard->ended || head_is_homeless(session, &head)) {
            /* A frame before this one may open its stream, or end it. */
            size_t before = at > sizeof(guard->head) ? at - sizeof(guard->head) : 0;
            if (!guard_feed(session, bytes, &fed, before, &error))
                return error;
        }
        guard->ended = head_ends_stream(&head);
        guard_judge(guard, session, &head);
        frames += head.type != NGHTTP2_DATA || frame_is_idle(&head);
    }
    guard_skip(guard, bytes, &at);
    return guard_feed(session, bytes, &fed, at, &error) ? (ssize_t)at : error;
}

void http2_guard_invalid(struct http2_guard *guard, const nghttp2_frame_hd *head) {
    if (head->stream_id > guard->reset_up_to)
        guard->reset_up_to = head->stream_id;
}

/* Streams that the client makes us reset cost us a request each and him a frame (CVE-2025-8671). */
static void guard_count_reset(struct http2_guard *guard, nghttp2_session *session,
                              uint32_t error_code) {
    if (error_code == NGHTTP2_NO_ERROR)
        return;
    uint64_t now_us = loop_now_us(guard->loop);
    if (now_us - guard->resets_us > GUARD_OUR_RESETS_TIME_US) {
        guard->resets_us = now_us;
        guard->resets = 0;
    }
    if (++guard->resets > HTTP2_PROVOKED_RESETS_MAX)
        nghttp2_session_terminate_session(session, NGHTTP2_ENHANCE_YOUR_CALM);
}

void http2_guard_sent(struct http2_guard *guard, nghttp2_session *session,
                      const nghttp2_frame *frame) {
    if (frame->hd.type == NGHTTP2_DATA)
        guard_earn(guard, GUARD_ALLOWANCE_PER_DATA);
    else if (frame->hd.type == NGHTTP2_HEADERS)
        guard_earn(guard, GUARD_ALLOWANCE_PER_HEADERS);
    else if (frame->hd.type == NGHTTP2_RST_STREAM) {
        http2_guard_invalid(guard, &frame->hd);
        guard_count_reset(guard, session, frame->rst_stream.error_code);
    }
}
