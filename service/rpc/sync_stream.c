#include "service/rpc/sync_stream_private.h"

#include <assert.h>
#include <stddef.h>

#include "base/memory.h"
#include "base/wire.h"
#include "service/rpc/handlers.h"

#define STREAM_OF(member_, pointer_)                                                               \
    ((struct sync_stream *)((char *)(pointer_)-offsetof(struct sync_stream, member_)))

/* ---- What wakes a stream; on any thread. */

static void stream_unref(struct sync_stream *stream) {
    if (atomic_fetch_sub(&stream->references, 1) == 1)
        memory_free(stream);
}

static void stream_received(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    struct sync_stream *stream = context;
    wake_up(&stream->wake, ok ? STREAM_RECEIVED : STREAM_CLOSED);
    stream_unref(stream);
}

static void stream_written(struct rpc_call *call, void *context, bool ok) {
    (void)call;
    wake_up(&((struct sync_stream *)context)->wake, ok ? STREAM_WRITTEN : STREAM_LOST);
}

static void stream_left(struct rpc_call *call, void *context, enum rpc_leave cause) {
    (void)call;
    wake_up(&((struct sync_stream *)context)->wake,
            cause == RPC_LEAVE_DRAIN ? STREAM_DRAIN : STREAM_LEFT);
}

static void stream_rang(struct timer *timer) {
    wake_up(&STREAM_OF(timer, timer)->wake, STREAM_RANG);
}

/* Whether other conflicts wait than before, or other changes behind them. */
static bool stream_conflicts_changed(struct sync_stream *stream, const struct user_head *head) {
    uint64_t mark = stream_conflicts_mark(head);
    return atomic_exchange(&stream->conflicts, mark) != mark;
}

static void stream_changed(struct store_watch *watch, const struct store_event *event) {
    struct sync_stream *stream = STREAM_OF(watch, watch);
    unsigned causes = event->tables & (UINT32_C(1) << TABLE_DEVICE) ? STREAM_DEVICE : 0;
    if (event->head && event->head->sequence > atomic_load(&stream->head)) {
        uint64_t none = 0;
        atomic_store(&stream->head, event->head->sequence);
        atomic_compare_exchange_strong(&stream->committed_us, &none,
                                       clock_monotonic_us(stream->service->clock));
        causes |= STREAM_COMMITTED;
    }
    if (event->head && stream_conflicts_changed(stream, event->head))
        causes |= STREAM_CONFLICTS;
    if (causes)
        wake_up(&stream->wake, causes);
}

static void stream_told(struct stream_entry *entry, enum stream_word word) {
    wake_up(&STREAM_OF(entry, entry)->wake, word == STREAM_REVOKED ? STREAM_BARRED : STREAM_OUSTED);
}

/* ---- What it does */

static void stream_tell(struct sync_stream *stream, const struct session_event *event) {
    session_tell(stream->session, event, stream_now(stream));
}

void stream_answer(struct sync_stream *stream, const struct session_answer *answer) {
    stream_tell(stream, &(struct session_event){.kind = SESSION_ANSWERED, .answer = answer});
}

void stream_error(struct sync_error *error, enum sync_status status) {
    if (status != SYNC_OK && error->status != status)
        sync_error_of(error, status);
}

/* Keeps the first error; without memory for it the stream still fails. */
static void stream_set_error(struct sync_stream *stream, const struct sync_error *error) {
    if (stream->error)
        return;
    stream->is_failed = true;
    stream->error = memory_alloc(sizeof *error);
    if (stream->error)
        *stream->error = *error;
}

void stream_refuse(struct sync_stream *stream, const struct sync_error *error) {
    stream_set_error(stream, error);
    stream->is_gone = true;
    stream_tell(stream, &(struct session_event){.kind = SESSION_CANCELLED});
}

static void stream_take_message(struct sync_stream *stream) {
    struct slice bytes = rpc_call_request(stream->call);
    struct sync_error error;
    metric_add(stream->streams->received, 1);
    if (stream_is_refused(stream, bytes.size, &error) ||
        wire_check(bytes, PB_DESCRIPTOR(sync_request), WIRE_DEPTH_MAX, &error) != SYNC_OK)
        stream_refuse(stream, &error);
    else
        stream_tell(stream, &(struct session_event){.kind = SESSION_RECEIVED, .bytes = bytes});
    rpc_stream_drop(stream->call);
}

/* The client is gone, and with it whatever was to be read or written. */
static void stream_vanish(struct sync_stream *stream) {
    if (stream->is_gone)
        return;
    stream->is_gone = true;
    stream_tell(stream, &(struct session_event){.kind = SESSION_CANCELLED});
}

static void stream_take_written(struct sync_stream *stream) {
    stream->is_writing = false;
    if (stream->sending_since_us) {
        uint64_t now_us = clock_monotonic_us(stream->service->clock);
        metric_observe(stream->streams->live_seconds,
                       (double)(now_us - stream->sending_since_us) / 1e6);
    }
    if (!stream->is_over)
        stream_tell(stream, &(struct session_event){.kind = SESSION_SENT});
}

/* The service stops: each stream takes the next slot. */
static void stream_drain(struct sync_stream *stream) {
    struct sync_streams *streams = stream->streams;
    uint32_t index = atomic_fetch_add(&streams->drained, 1);
    uint64_t slot_us =
        admission_drain_slot(streams->admission, index, admission_look(streams->admission).open,
                             stream->device[0] ? slice_text(stream->device) : stream_user(stream));
    stream_tell(stream,
                &(struct session_event){.kind = SESSION_DRAINED, .retry_after_us = slot_us});
}

static void stream_check_device(struct sync_stream *stream) {
    if (stream_device_check(stream) == SYNC_ERR_DENIED)
        stream_tell(stream, &(struct session_event){.kind = SESSION_REVOKED});
}

/* Takes what came from the client or the transport. */
static void stream_take_client(struct sync_stream *stream, unsigned causes) {
    if (causes & (STREAM_WRITTEN | STREAM_LOST))
        stream->is_writing = false;
    if (causes & (STREAM_RECEIVED | STREAM_CLOSED))
        stream->is_reading = false;
    if (causes & (STREAM_LOST | STREAM_LEFT))
        stream_vanish(stream);
    if (causes & STREAM_WRITTEN)
        stream_take_written(stream);
    if (causes & STREAM_RECEIVED)
        stream_take_message(stream);
    if (causes & STREAM_CLOSED && rpc_call_is_cancelled(stream->call))
        stream_vanish(stream);
    else if (causes & STREAM_CLOSED)
        stream_tell(stream, &(struct session_event){.kind = SESSION_HALF_CLOSED});
}

/* Takes what happened elsewhere. */
static void stream_take_news(struct sync_stream *stream, unsigned causes) {
    if (causes & STREAM_BARRED)
        stream_tell(stream, &(struct session_event){.kind = SESSION_REVOKED});
    if (causes & STREAM_OUSTED)
        stream_tell(stream, &(struct session_event){.kind = SESSION_SUPERSEDED});
    if (causes & STREAM_DEVICE)
        stream->is_suspect = true;
    if (stream->is_suspect && stream->is_registered) {
        stream->is_suspect = false;
        stream_check_device(stream);
    }
    if (causes & STREAM_COMMITTED) {
        stream->heard = atomic_load(&stream->head);
        stream_tell(stream,
                    &(struct session_event){.kind = SESSION_COMMITTED, .head = stream->heard});
    }
    if (causes & STREAM_CONFLICTS)
        stream_tell(stream, &(struct session_event){.kind = SESSION_CONFLICTS,
                                                    .conflicts_open =
                                                        (uint32_t)atomic_load(&stream->conflicts)});
    if (causes & STREAM_DRAIN)
        stream_drain(stream);
    if (causes & STREAM_RANG) {
        stream->timer_due_us = UINT64_MAX;
        stream_tell(stream, &(struct session_event){.kind = SESSION_TIME});
    }
}

/* Takes answers that have come. */
static void stream_take_answers(struct sync_stream *stream, unsigned causes) {
    if (causes & STREAM_BOUND)
        stream_open_bound(stream);
    if (causes & STREAM_OPENED)
        stream_open_done(stream);
    if (causes & STREAM_APPLIED)
        stream_apply_done(stream);
    if (causes & (STREAM_NOTED | STREAM_REPORTED | STREAM_RENEWED))
        stream_noted(stream, causes);
}

/* ---- What the session wants */

static void stream_ask(struct sync_stream *stream, const struct session_request *request) {
    static void (*const asks[SESSION_REQUEST_KINDS])(struct sync_stream *,
                                                     const struct session_request *) = {
        [SESSION_OPEN] = stream_open_ask,     [SESSION_APPLY] = stream_apply_ask,
        [SESSION_PAGE] = stream_page_ask,     [SESSION_CONFLICT] = stream_conflict_ask,
        [SESSION_TOKEN] = stream_token_ask,   [SESSION_ACKNOWLEDGE] = stream_acknowledge_ask,
        [SESSION_REPORT] = stream_report_ask,
    };
    asks[request->kind](stream, request);
}

static void stream_receive(struct sync_stream *stream) {
    assert(!stream->is_reading);
    stream->is_reading = true;
    atomic_fetch_add(&stream->references, 1);
    rpc_stream_read(stream->call, stream_received, stream);
}

/* Whether a SyncResponse holds records; of a oneof's first field the tag tells. */
static bool is_records(struct slice bytes) {
    return bytes.size > 0 &&
           bytes.data[0] >> 3 == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS;
}

static void stream_send(struct sync_stream *stream, struct slice bytes) {
    struct session_view view;
    session_look(stream->session, &view);
    assert(!stream->is_writing);
    metric_add(stream->streams->sent, 1);
    stream->sending_since_us = view.phase == SESSION_LIVE && is_records(bytes)
                                   ? atomic_exchange(&stream->committed_us, 0)
                                   : 0;
    stream->is_writing = true;
    stream->moved_us = clock_monotonic_us(stream->service->clock);
    rpc_stream_write(stream->call, bytes, stream_written, stream);
}

/* Is no longer woken by what happens elsewhere. */
static void stream_deafen(struct sync_stream *stream) {
    if (stream->is_registered)
        stream_registry_remove(stream->streams->registry, &stream->entry);
    if (stream->is_watching)
        store_watch_remove(stream->service->store, &stream->watch);
    stream->is_registered = stream->is_watching = false;
}

static void stream_over(struct sync_stream *stream, const struct session_action *action) {
    if (action->error.status != SYNC_OK)
        stream_set_error(stream, &action->error);
    if (action->retry_after_us)
        stream->retry_after_us = action->retry_after_us;
    stream->is_over = true;
    stream->over_us = clock_monotonic_us(stream->service->clock);
    stream_deafen(stream);
    stream_lap_release(stream);
}

/* Sleeps until the next event, or the time. */
static void stream_sleep(struct sync_stream *stream, uint64_t due_us) {
    if (due_us == stream->timer_due_us || due_us == UINT64_MAX)
        return; /* an earlier time, once set, only wakes it in vain */
    stream->timer_due_us = due_us;
    timer_start(stream->service->timers, &stream->timer, due_us);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Stores what is due; returns when more is. */
static uint64_t stream_keep(struct sync_stream *stream, uint64_t now_us) {
    uint64_t wake_us = UINT64_MAX;
    if (stream->has_note && !stream->noting) {
        if (stream->noted_us == 0 || now_us - stream->noted_us >= STREAM_NOTE_STEP_US)
            stream_acknowledge(stream);
        else
            wake_us = stream->noted_us + STREAM_NOTE_STEP_US;
    }
    if (stream->renewing || stream->reporting)
        return wake_us; /* it is being written; its end looks again */
    if (now_us >= stream->renew_us)
        stream_renew(stream);
    return earlier(wake_us, stream->renew_us);
}

/* Nothing is to be done: gives back what a stream that waits does not need. False: there is, after
 * all. */
static bool stream_rest(struct sync_stream *stream, uint64_t wake_us) {
    struct session_view view;
    uint64_t now_us = clock_monotonic_us(stream->service->clock);
    session_look(stream->session, &view);
    if (stream->is_opening && view.phase >= SESSION_LIVE) {
        stream->is_opening = false;
        admission_complete(stream->streams->admission);
    }
    if (!stream->is_writing && !stream->applying && stream->heard == atomic_load(&stream->head))
        atomic_store(&stream->committed_us, 0); /* what was committed brought no message */
    if (stream->lap.index) {
        if (view.is_paused || now_us - stream->lap_used_us >= STREAM_LAP_KEPT_US)
            stream_lap_release(stream);
        else
            wake_us = earlier(wake_us, stream->lap_used_us + STREAM_LAP_KEPT_US);
    }
    uint64_t hold_us;
    stream_account(stream, view.memory_bytes);
    if (!stream_hold(stream, now_us, &hold_us))
        return false;
    stream_sleep(stream, earlier(earlier(wake_us, hold_us), stream_keep(stream, now_us)));
    return true;
}

/* Does what the session wants until it waits. */
static void stream_pump(struct sync_stream *stream) {
    while (!stream->is_over) {
        struct session_action action;
        session_next(stream->session, stream_now(stream), &action);
        switch (action.kind) {
        case SESSION_RECEIVE:
            stream_receive(stream);
            break;
        case SESSION_SEND:
            stream_send(stream, action.bytes);
            break;
        case SESSION_ASK:
            stream_ask(stream, action.request);
            break;
        case SESSION_END:
            stream_over(stream, &action);
            break;
        case SESSION_WAIT:
            if (stream_rest(stream, action.wake_us))
                return;
            break;
        }
    }
}

/* ---- Its end */

/* Whether anything is under way that will still wake it. */
static bool stream_is_busy(const struct sync_stream *stream) {
    return stream->opening || stream->applying || stream->noting || stream->reporting ||
           stream->renewing || stream->is_writing;
}

/* Gives up its place among the open ones. */
static void stream_leave(struct sync_stream *stream) {
    if (stream->has_left)
        return;
    if (stream->is_opening)
        admission_complete(stream->streams->admission);
    admission_leave(stream->streams->admission);
    metric_add(stream->streams->open, -1);
    stream->has_left = true;
    stream->is_opening = false;
}

/* While a write is under way at the end: a client that does not take it is not waited for long. */
static void stream_press(struct sync_stream *stream) {
    uint64_t cut_us = stream->over_us + 1000 * (uint64_t)STREAM_END_PATIENCE_MS;
    if (!stream->is_writing || stream->is_cut)
        return;
    if (clock_monotonic_us(stream->service->clock) < cut_us) {
        stream_sleep(stream, cut_us);
        return;
    }
    stream->is_cut = true;
    stream_leave(stream);
    if (stream->error)
        rpc_call_cut_with(stream->call, stream->error);
    else
        rpc_call_cut(stream->call);
}

/* Ends the call and the stream with it. */
static void stream_end(struct sync_stream *stream) {
    struct rpc_call *call = stream->call;
    struct sync_error *error = stream->error;
    uint64_t retry_ms = stream->retry_after_us / 1000;
    timer_stop(stream->service->timers, &stream->timer);
    rpc_call_unwatch_leave(call);
    stream->session = session_close(stream->session);
    stream_account(stream, 0);
    stream_leave(stream);
    if (stream->device[0])
        rpc_call_set_device(call, slice_text(stream->device));
    if (!stream->is_failed)
        rpc_stream_end(call);
    else if (!error)
        call_fail_status(call, SYNC_ERR_NO_MEMORY);
    else if (retry_ms > 0)
        rpc_call_fail_later(call, error, retry_ms);
    else
        rpc_call_fail(call, error);
    memory_free(error);
    stream_unref(stream);
}

static bool stream_run(struct wake *wake, unsigned causes) {
    struct sync_stream *stream = (struct sync_stream *)wake;
    stream_take_client(stream, causes);
    stream_take_answers(stream, causes);
    stream_take_news(stream, causes);
    stream_pump(stream);
    if (!stream->is_over)
        return true;
    if (stream->has_note && !stream->noting)
        stream_acknowledge(stream);
    stream_press(stream);
    if (stream_is_busy(stream))
        return true;
    stream_end(stream);
    return false;
}

/* ---- Its beginning */

static enum sync_status stream_make(struct rpc_call *call, struct sync_streams *streams,
                                    struct sync_stream **ret_stream) {
    struct sync_stream *stream = memory_zalloc(1, sizeof *stream);
    if (!stream)
        return SYNC_ERR_NO_MEMORY;
    stream->streams = streams;
    stream->service = streams->service;
    stream->call = call;
    atomic_init(&stream->references, 1);
    atomic_init(&stream->conflicts, STREAM_CONFLICTS_UNKNOWN);
    stream->timer.expired = stream_rang;
    stream->timer_due_us = stream->renew_us = UINT64_MAX;
    stream->watch = (struct store_watch){.user = stream_user(stream), .changed = stream_changed};
    stream->entry = (struct stream_entry){.user = stream_user(stream), .told = stream_told};
    wake_init(&stream->wake, stream->service->pool, stream_run);
    struct session_settings settings = session_settings_default;
    settings.send_timeout_us = streams->send_timeout_us;
    enum sync_status status = session_open(&settings, rpc_call_identity(call)->expires_us,
                                           stream_now(stream), &stream->session);
    if (status != SYNC_OK) {
        memory_free(stream);
        return status;
    }
    *ret_stream = stream;
    return SYNC_OK;
}

void sync_stream_handle(struct rpc_call *call) {
    struct sync_streams *streams = rpc_call_service(call)->streams;
    const struct identity *identity = rpc_call_identity(call);
    struct slice who = slice_text(identity->device[0] ? identity->device : identity->user);
    struct admission_decision decision =
        admission_enter(streams->admission, who, clock_monotonic_us(streams->service->clock));
    if (!decision.admitted) {
        struct sync_error error;
        sync_error_set(&error, SYNC_ERR_UNAVAILABLE, decision.reason, NULL,
                       "the service has as many streams as it can take; come back later");
        metric_add(streams->refused, 1);
        rpc_call_fail_later(call, &error, decision.retry_after_us / 1000);
        return;
    }
    rpc_call_settle(call);
    struct sync_stream *stream;
    enum sync_status status = stream_make(call, streams, &stream);
    if (status != SYNC_OK) {
        admission_leave(streams->admission);
        call_fail_status(call, status);
        return;
    }
    metric_add(streams->open, 1);
    rpc_call_watch_leave(call, stream_left, stream);
    wake_start(&stream->wake, 0);
}
