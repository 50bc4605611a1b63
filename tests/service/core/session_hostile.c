#include "tests/service/core/session_hostile.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/wire.h"
#include "service/core/session.h"
#include "service/core/session_private.h"

enum { EPOCH = 7, RECORDS_MAX = 4, NOTES_BYTES = 4096 };

#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct hostile {
    struct slice script;
    struct session *session;
    struct session_time now;
    bool wants_message, is_sending, is_closed;
    const struct session_request *asked[SESSION_REQUEST_KINDS];
    uint64_t head;
    int64_t batch_id;
    char cursor[SESSION_CURSOR_TEXT_MAX]; /* the last that was sent */
    int percent;
    struct hostile_outcome outcome;
};

/* The next byte of the script, 0 behind its end. */
static uint8_t next_byte(struct hostile *hostile) {
    if (hostile->script.size == 0)
        return 0;
    uint8_t byte = hostile->script.data[0];
    hostile->script = slice_after(hostile->script, 1);
    return byte;
}

/* ---- Actions */

static void note_message(struct hostile *hostile, struct slice bytes) {
    struct sync_error error;
    HOLDS(!hostile->is_sending);
    HOLDS(wire_check(bytes, PB_DESCRIPTOR(sync_response), WIRE_DEPTH_MAX, &error) == SYNC_OK);
    PB(SyncResponse) *message =
        travelsense__sync__v1__sync_response__unpack(NULL, bytes.size, bytes.data);
    HOLDS(message);
    if (message->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS)
        snprintf(hostile->cursor, sizeof hostile->cursor, "%s", message->records->cursor);
    if (message->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_PROGRESS) {
        HOLDS(message->progress->percent >= hostile->percent);
        hostile->percent = message->progress->percent;
    }
    HOLDS((hostile->outcome.messages++ == 0) ==
          (message->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_WELCOME));
    travelsense__sync__v1__sync_response__free_unpacked(message, NULL);
    hostile->is_sending = true;
}

static void check(struct hostile *hostile) {
    struct session_view view;
    const char *fault = session_fault(hostile->session);
    if (fault)
        fprintf(stderr, "%s\n", fault);
    HOLDS(!fault);
    session_look(hostile->session, &view);
    if (view.memory_bytes > hostile->outcome.memory_bytes)
        hostile->outcome.memory_bytes = view.memory_bytes;
}

static void run(struct hostile *hostile) {
    struct session_action action;
    for (int i = 0; i < 1000; i++) {
        session_next(hostile->session, hostile->now, &action);
        check(hostile);
        HOLDS(!hostile->outcome.has_ended || action.kind == SESSION_WAIT);
        switch (action.kind) {
        case SESSION_WAIT:
            return;
        case SESSION_RECEIVE:
            HOLDS(!hostile->wants_message && !hostile->is_closed);
            hostile->wants_message = true;
            break;
        case SESSION_SEND:
            note_message(hostile, action.bytes);
            break;
        case SESSION_ASK:
            HOLDS(!hostile->asked[action.request->kind]);
            hostile->asked[action.request->kind] = action.request;
            break;
        case SESSION_END:
            HOLDS(action.error.status == SYNC_OK || action.error.reason[0]);
            hostile->outcome.has_ended = true;
            hostile->outcome.status = action.error.status;
        }
    }
    HOLDS(!"it asks without end");
}

static void tell(struct hostile *hostile, const struct session_event *event) {
    session_tell(hostile->session, event, hostile->now);
    run(hostile);
}

/* ---- The device */

static void receive(struct hostile *hostile, struct slice bytes) {
    struct sync_error error;
    if (!hostile->wants_message || hostile->is_closed ||
        wire_check(bytes, PB_DESCRIPTOR(sync_request), WIRE_DEPTH_MAX, &error) != SYNC_OK)
        return;
    hostile->wants_message = false;
    tell(hostile, &(struct session_event){.kind = SESSION_RECEIVED, .bytes = bytes});
}

static void say(struct hostile *hostile, const PB(SyncRequest) *request) {
    uint8_t bytes[NOTES_BYTES];
    HOLDS(travelsense__sync__v1__sync_request__get_packed_size(request) <= sizeof bytes);
    receive(hostile, slice_of(bytes, travelsense__sync__v1__sync_request__pack(request, bytes)));
}

#define SAY(hostile, NAME, field, value)                                                           \
    do {                                                                                           \
        PB(SyncRequest) request_ = PB_INIT(SYNC_REQUEST);                                          \
        request_.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_##NAME;               \
        request_.field = (value);                                                                  \
        say((hostile), &request_);                                                                 \
    } while (0)

static void say_hello(struct hostile *hostile) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    int flags = next_byte(hostile);
    char cursor[CURSOR_TEXT_MAX];
    cursor_format(&(struct cursor){.epoch = EPOCH, .sequence = 3}, cursor);
    hello.device_id = (char *)"phone";
    hello.live = flags & 1;
    hello.cursor = (char *)(flags & 2 ? cursor : "");
    hello.sync_type = flags & 4 ? TRAVELSENSE__SYNC__V1__SYNC_TYPE__SYNC_TYPE_DELTA : 0;
    hello.unacknowledged_bytes_max = flags & 8 ? 100 : 0;
    SAY(hostile, HELLO, hello, &hello);
}

static void say_batch(struct hostile *hostile) {
    PB(Change) change, *list[UINT8_MAX];
    PB(SyncBatch) batch = PB_INIT(SYNC_BATCH);
    travelsense__sync__v1__change__init(&change);
    change.id = (char *)"c";
    batch.n_changes = next_byte(hostile);
    for (size_t i = 0; i < batch.n_changes; i++)
        list[i] = &change;
    batch.changes = list;
    batch.batch_id = hostile->batch_id++;
    SAY(hostile, BATCH, batch, &batch);
}

static void say_little(struct hostile *hostile, enum hostile_step step) {
    PB(SyncAcknowledgement) acknowledgement = PB_INIT(SYNC_ACKNOWLEDGEMENT);
    PB(SyncToken) token = PB_INIT(SYNC_TOKEN);
    PB(SyncPause) pause = PB_INIT(SYNC_PAUSE);
    PB(SyncResume) resume = PB_INIT(SYNC_RESUME);
    PB(SyncBye) bye = PB_INIT(SYNC_BYE);
    acknowledgement.cursor = hostile->cursor;
    token.token = (char *)"token";
    if (step == HOSTILE_ACK) {
        if (hostile->cursor[0])
            SAY(hostile, ACKNOWLEDGEMENT, acknowledgement, &acknowledgement);
        return;
    }
    if (step == HOSTILE_TOKEN) {
        SAY(hostile, TOKEN, token, &token);
        return;
    }
    switch (next_byte(hostile) % 3) {
    case 0:
        SAY(hostile, RESUME, resume, &resume);
        break;
    case 1:
        SAY(hostile, PAUSE, pause, &pause);
        break;
    default:
        SAY(hostile, BYE, bye, &bye);
    }
}

/* ---- The service */

/* What an answer points to. */
struct answer_parts {
    PB(Record) record, *records[RECORDS_MAX];
    PB(ChangeResult) result, *results[UINT8_MAX];
    PB(Conflict) conflict;
};

static void answer_page(struct hostile *hostile, int what, struct answer_parts *parts,
                        struct session_answer *answer) {
    const struct session_page_want *want = &hostile->asked[SESSION_PAGE]->page;
    travelsense__sync__v1__record__init(&parts->record);
    answer->page.count = (size_t)(what & 3);
    for (size_t i = 0; i < answer->page.count; i++)
        parts->records[i] = &parts->record;
    answer->page.records = parts->records;
    answer->page.lap = want->lap;
    if (want->begins)
        answer->page.lap.target = hostile->head;
    answer->page.lap.rank++;
    answer->page.lap.type = DATA_TYPE_TRIP;
    answer->page.lap.id_size = 1;
    answer->page.lap.id[0] = 'r';
    answer->page.ends = what & 4;
    answer->page.is_exact = what & 8;
    answer->page.head = hostile->head;
}

static void answer_apply(struct hostile *hostile, int what, struct answer_parts *parts,
                         struct session_answer *answer) {
    size_t count = hostile->asked[SESSION_APPLY]->apply.batch->n_changes;
    travelsense__sync__v1__change_result__init(&parts->result);
    parts->result.conflict_id = (char *)(what & 1 ? "k" : "");
    answer->apply.count = count < UINT8_MAX ? count : UINT8_MAX;
    for (size_t i = 0; i < answer->apply.count; i++)
        parts->results[i] = &parts->result;
    answer->apply.results = parts->results;
    answer->apply.before = hostile->head;
    hostile->head += (uint64_t)(what >> 1 & 3);
    answer->apply.after = hostile->head;
    answer->apply.as_sent = what & 8;
}

static void answer(struct hostile *hostile) {
    static const enum sync_status FAILURES[] = {SYNC_ERR_INVALID,
                                                SYNC_ERR_NOT_FOUND,
                                                SYNC_ERR_UNAUTHENTICATED,
                                                SYNC_ERR_EXHAUSTED,
                                                SYNC_ERR_PRECONDITION,
                                                SYNC_ERR_CANCELLED,
                                                SYNC_ERR_BUSY,
                                                SYNC_ERR_IO};
    static struct answer_parts parts;
    enum session_request_kind kind = next_byte(hostile) % SESSION_REQUEST_KINDS;
    int what = next_byte(hostile);
    struct session_answer answer = {.kind = kind};
    if (!hostile->asked[kind])
        return;
    if (what >= 224) {
        sync_error_set(&answer.error, FAILURES[what & 7], "FAILED", NULL, "it failed");
    } else if (kind == SESSION_OPEN) {
        answer.open.sync_id = SLICE("sync");
        answer.open.epoch = EPOCH;
        answer.open.head = hostile->head;
        answer.open.bandwidth_limit = what & 1 ? 100 : 0;
    } else if (kind == SESSION_PAGE) {
        answer_page(hostile, what, &parts, &answer);
    } else if (kind == SESSION_APPLY) {
        answer_apply(hostile, what, &parts, &answer);
    } else if (kind == SESSION_CONFLICT) {
        travelsense__sync__v1__conflict__init(&parts.conflict);
        answer.conflict = what & 1 ? &parts.conflict : NULL;
    } else if (kind == SESSION_TOKEN) {
        answer.token_expires_us = hostile->now.wall_us + what * INT64_C(1000000);
    }
    hostile->asked[kind] = NULL;
    tell(hostile, &(struct session_event){.kind = SESSION_ANSWERED, .answer = &answer});
}

static void happen(struct hostile *hostile) {
    static const enum session_event_kind KINDS[] = {
        SESSION_HALF_CLOSED, SESSION_CANCELLED,  SESSION_REVOKED,  SESSION_SUPERSEDED,
        SESSION_DRAINED,     SESSION_QUOTA_NEAR, SESSION_CONFLICTS};
    struct session_event event = {.kind = KINDS[next_byte(hostile) % 7],
                                  .text = SLICE("soon"),
                                  .conflicts_open = 3,
                                  .retry_after_us = 1000};
    if (event.kind == SESSION_HALF_CLOSED) {
        if (!hostile->wants_message || hostile->is_closed)
            return;
        hostile->is_closed = true;
        hostile->wants_message = false;
    }
    tell(hostile, &event);
}

static void sent(struct hostile *hostile) {
    if (!hostile->is_sending)
        return;
    hostile->is_sending = false;
    tell(hostile, &(struct session_event){.kind = SESSION_SENT});
}

static void pass(struct hostile *hostile) {
    uint64_t us = next_byte(hostile) * UINT64_C(100000);
    hostile->now.monotonic_us += us;
    hostile->now.wall_us += (int64_t)us;
    tell(hostile, &(struct session_event){.kind = SESSION_TIME});
}

static void step(struct hostile *hostile) {
    enum hostile_step step = next_byte(hostile) % HOSTILE_STEPS;
    size_t size;
    switch (step) {
    case HOSTILE_MESSAGE:
        size = next_byte(hostile);
        size = size < hostile->script.size ? size : hostile->script.size;
        receive(hostile, slice_first(hostile->script, size));
        hostile->script = slice_after(hostile->script, size);
        break;
    case HOSTILE_HELLO:
        say_hello(hostile);
        break;
    case HOSTILE_BATCH:
        say_batch(hostile);
        break;
    case HOSTILE_ACK:
    case HOSTILE_TOKEN:
    case HOSTILE_PAUSE:
        say_little(hostile, step);
        break;
    case HOSTILE_ANSWER:
        answer(hostile);
        break;
    case HOSTILE_SENT:
        sent(hostile);
        break;
    case HOSTILE_COMMIT:
        hostile->head += next_byte(hostile);
        tell(hostile, &(struct session_event){.kind = SESSION_COMMITTED, .head = hostile->head});
        break;
    case HOSTILE_TIME:
        pass(hostile);
        break;
    case HOSTILE_EVENT:
        happen(hostile);
        break;
    case HOSTILE_STEPS:
        break;
    }
}

struct hostile_outcome hostile_run(struct slice script) {
    struct hostile hostile = {
        .script = script, .now = {.wall_us = 1000000000, .monotonic_us = 1}, .head = 5};
    bool has_token = next_byte(&hostile) & 1;
    enum sync_status status = session_open(&session_settings_default,
                                           has_token ? hostile.now.wall_us + INT64_C(90000000) : 0,
                                           hostile.now, &hostile.session);
    if (status != SYNC_OK)
        return (struct hostile_outcome){.has_ended = true, .status = status};
    run(&hostile);
    while (hostile.script.size > 0)
        step(&hostile);
    session_close(hostile.session);
    return hostile.outcome;
}
