/* What a stream reads: pages, conflicts, tokens, and whether its device may go on. Answered at
 * once, on the stream's own thread. */
#include <assert.h>

#include "service/core/conflict.h"
#include "service/rpc/conflict_view.h"
#include "service/rpc/sync_stream_private.h"

/* ---- Pages */

/* Counts the memory of the lap's keys among that of all. */
static void lap_account(struct sync_stream *stream) {
    size_t bytes = stream->lap.index ? lap_index_bytes(stream->lap.index) : 0;
    atomic_fetch_add(&stream->streams->index_bytes, bytes);
    atomic_fetch_sub(&stream->streams->index_bytes, stream->lap_bytes);
    stream->lap_bytes = bytes;
}

void stream_lap_release(struct sync_stream *stream) {
    lap_release(&stream->lap);
    lap_account(stream);
}

void stream_page_ask(struct sync_stream *stream, const struct session_request *request) {
    bool is_tight = atomic_load(&stream->streams->index_bytes) > LAP_INDEX_BYTES_ALL;
    struct session_time now = stream_now(stream);
    struct lap_source source = {
        .store = stream->service->store,
        .user = stream_user(stream),
        .now_us = now.wall_us,
        .index_bytes_max = is_tight ? LAP_INDEX_BYTES_FEW : LAP_INDEX_BYTES,
    };
    struct session_answer answer = {.kind = SESSION_PAGE};
    struct arena arena;
    if (stream_is_refused(stream, request->page.bytes_max, &answer.error)) {
        stream_answer(stream, &answer);
        return;
    }
    arena_init(&arena, STREAM_ARENA_MAX);
    lap_read(&stream->lap, &source, &request->page, &arena, &answer);
    lap_account(stream);
    stream->lap_used_us = now.monotonic_us;
    stream_answer(stream, &answer);
    arena_done(&arena);
}

/* ---- Conflicts */

/* Reads a conflict of the user's that is open. */
static enum sync_status conflict_fetch(struct sync_stream *stream, struct slice id,
                                       struct arena *arena, const PB(Conflict) **ret_message) {
    struct row wanted = {.table = TABLE_CONFLICT, .key = id};
    struct touched want = {.user = stream_user(stream), .rows = &wanted, .row_count = 1};
    struct user_view view;
    struct conflict conflict;
    enum sync_status status = store_load(stream->service->store, NULL, &want, arena, &view);
    if (status == SYNC_OK && !view.rows[0].found)
        return SYNC_ERR_NOT_FOUND;
    if (status == SYNC_OK)
        status = conflict_unpack(view.rows[0].value, arena, &conflict);
    if (status != SYNC_OK)
        return status;
    if (!slice_equal(conflict.user, want.user) || conflict.resolved_us != 0)
        return SYNC_ERR_NOT_FOUND;
    struct conflict_hold hold;
    status = conflict_load_hold(stream->service->store, &conflict, arena, &hold);
    if (status != SYNC_OK)
        return status;
    *ret_message = conflict_message(&conflict, &hold, arena);
    return *ret_message ? SYNC_OK : SYNC_ERR_NO_MEMORY;
}

void stream_conflict_ask(struct sync_stream *stream, const struct session_request *request) {
    struct session_answer answer = {.kind = SESSION_CONFLICT};
    struct arena arena;
    arena_init(&arena, STREAM_ARENA_MAX);
    stream_error(&answer.error,
                 conflict_fetch(stream, request->conflict_id, &arena, &answer.conflict));
    stream_answer(stream, &answer);
    arena_done(&arena);
}

/* ---- Tokens */

/* Verifies a new token, which must be for the same user, role and device. */
static enum sync_status token_check(struct sync_stream *stream, struct slice token,
                                    struct arena *arena, struct sync_error *error,
                                    int64_t *ret_expires_us) {
    const struct identity *identity = rpc_call_identity(stream->call);
    struct identity renewed;
    if (token.size > TOKEN_MAX)
        return sync_error_set(error, SYNC_ERR_UNAUTHENTICATED, "TOKEN_MALFORMED", NULL,
                              "the token is too long");
    const char *value =
        arena_format(arena, "Bearer %.*s", (int)token.size, (const char *)token.data);
    if (!value)
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status =
        token_verify(stream->service->tokens, slice_text(value), error, &renewed);
    if (status != SYNC_OK)
        return status;
    if (strcmp(renewed.user, identity->user) != 0 || renewed.is_service != identity->is_service ||
        (renewed.device[0] && strcmp(renewed.device, stream->device) != 0) ||
        (identity->device[0] && !renewed.device[0]))
        return sync_error_set(error, SYNC_ERR_DENIED, "TOKEN_OF_ANOTHER", "token.token",
                              "must be of the same user, role and device");
    *ret_expires_us = renewed.expires_us;
    return SYNC_OK;
}

void stream_token_ask(struct sync_stream *stream, const struct session_request *request) {
    struct session_answer answer = {.kind = SESSION_TOKEN};
    struct arena arena;
    arena_init(&arena, STREAM_ARENA_MAX);
    stream_error(&answer.error, token_check(stream, request->token, &arena, &answer.error,
                                            &answer.token_expires_us));
    stream_answer(stream, &answer);
    arena_done(&arena);
}

/* ---- The device */

enum sync_status stream_device_check(struct sync_stream *stream) {
    struct slice user = stream_user(stream);
    struct row wanted = {.table = TABLE_DEVICE};
    struct user_view view;
    struct device device;
    struct arena arena;
    arena_init(&arena, STREAM_ARENA_MAX);
    enum sync_status status = SYNC_ERR_NO_MEMORY;
    if (key_of_user(&arena, user, slice_text(stream->device), &wanted.key)) {
        struct touched want = {.user = user, .rows = &wanted, .row_count = 1};
        status = store_load(stream->service->store, NULL, &want, &arena, &view);
    }
    if (status == SYNC_OK && view.rows[0].found) {
        status = device_unpack(view.rows[0].value, &device);
        if (status == SYNC_OK && device.revoked)
            status = SYNC_ERR_DENIED;
    }
    arena_done(&arena);
    return status;
}
