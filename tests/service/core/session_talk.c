#include "tests/service/core/session_talk.h"

#include "base/memory.h"
#include "base/wire.h"

enum { RECORDS_MAX = 1000, RECORD_BYTES = 100, PACKED_MAX = 4 << 20 };

void talk_open(struct talk *talk, const struct session_settings *settings, int token_seconds) {
    memset(talk, 0, sizeof *talk);
    talk->now = (struct session_time){.wall_us = TALK_WALL_US, .monotonic_us = 5000000};
    int64_t expires_us = token_seconds ? TALK_WALL_US + token_seconds * INT64_C(1000000) : 0;
    assert_int_equal(session_open(settings ? settings : &session_settings_default, expires_us,
                                  talk->now, &talk->session),
                     SYNC_OK);
    talk_run(talk);
}

void talk_close(struct talk *talk) {
    for (size_t i = 0; i < talk->message_count; i++)
        travelsense__sync__v1__sync_response__free_unpacked(talk->messages[i], NULL);
    talk->session = session_close(talk->session);
    assert_null(talk->session);
}

static void take_message(struct talk *talk, struct slice bytes) {
    assert_true(talk->message_count < TALK_MESSAGES_MAX);
    assert_false(talk->is_sending);
    PB(SyncResponse) *message =
        travelsense__sync__v1__sync_response__unpack(NULL, bytes.size, bytes.data);
    assert_non_null(message);
    talk->sizes[talk->message_count] = bytes.size;
    talk->messages[talk->message_count++] = message;
}

/* Does one action; false when the session waits. */
static bool do_next(struct talk *talk) {
    struct session_action action;
    session_next(talk->session, talk->now, &action);
    if (session_fault(talk->session))
        fail_msg("%s", session_fault(talk->session));
    if (talk->has_ended)
        assert_int_equal(action.kind, SESSION_WAIT);
    switch (action.kind) {
    case SESSION_WAIT:
        talk->wake_us = action.wake_us;
        return false;
    case SESSION_RECEIVE:
        assert_false(talk->wants_message);
        talk->wants_message = true;
        break;
    case SESSION_SEND:
        take_message(talk, action.bytes);
        talk->is_sending = true;
        if (!talk->holds)
            talk_event(talk, SESSION_SENT);
        break;
    case SESSION_ASK:
        assert_null(talk->asked[action.request->kind]);
        talk->asked[action.request->kind] = action.request;
        break;
    case SESSION_END:
        talk->has_ended = true;
        talk->error = action.error;
        talk->retry_after_us = action.retry_after_us;
        break;
    }
    return true;
}

void talk_run(struct talk *talk) {
    int steps = 0;
    while (do_next(talk))
        assert_true(++steps < 10000);
}

void talk_pass(struct talk *talk, uint64_t us) {
    talk->now.monotonic_us += us;
    talk->now.wall_us += (int64_t)us;
    talk_run(talk);
}

void talk_tell(struct talk *talk, const struct session_event *event) {
    if (event->kind == SESSION_SENT)
        talk->is_sending = false;
    session_tell(talk->session, event, talk->now);
    talk_run(talk);
}

void talk_event(struct talk *talk, enum session_event_kind kind) {
    if (kind == SESSION_HALF_CLOSED)
        talk->wants_message = false;
    talk_tell(talk, &(struct session_event){.kind = kind});
}

void talk_commit(struct talk *talk, uint64_t head) {
    talk_tell(talk, &(struct session_event){.kind = SESSION_COMMITTED, .head = head});
}

/* ---- The device */

void talk_say(struct talk *talk, const PB(SyncRequest) *request) {
    size_t size = travelsense__sync__v1__sync_request__get_packed_size(request);
    uint8_t *bytes = memory_alloc(size + 1);
    struct sync_error error;
    assert_non_null(bytes);
    travelsense__sync__v1__sync_request__pack(request, bytes);
    assert_int_equal(
        wire_check(slice_of(bytes, size), PB_DESCRIPTOR(sync_request), WIRE_DEPTH_MAX, &error),
        SYNC_OK);
    assert_true(talk->wants_message);
    talk->wants_message = false;
    session_tell(talk->session,
                 &(struct session_event){.kind = SESSION_RECEIVED, .bytes = slice_of(bytes, size)},
                 talk->now);
    memory_free(bytes);
    talk_run(talk);
}

#define SAY(talk, NAME, field, value)                                                              \
    do {                                                                                           \
        PB(SyncRequest) request_ = PB_INIT(SYNC_REQUEST);                                          \
        request_.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_##NAME;               \
        request_.field = (value);                                                                  \
        talk_say((talk), &request_);                                                               \
    } while (0)

void talk_hello(struct talk *talk, const PB(SyncHello) *hello) {
    SAY(talk, HELLO, hello, (PB(SyncHello) *)hello);
}

void talk_acknowledge(struct talk *talk, const char *cursor) {
    PB(SyncAcknowledgement) message = PB_INIT(SYNC_ACKNOWLEDGEMENT);
    message.cursor = (char *)cursor;
    SAY(talk, ACKNOWLEDGEMENT, acknowledgement, &message);
}

void talk_acknowledge_sequence(struct talk *talk, uint64_t sequence) {
    talk_acknowledge(talk, talk_cursor(sequence));
}

void talk_token(struct talk *talk, const char *token) {
    PB(SyncToken) message = PB_INIT(SYNC_TOKEN);
    message.token = (char *)token;
    SAY(talk, TOKEN, token, &message);
}

void talk_pause(struct talk *talk) {
    PB(SyncPause) message = PB_INIT(SYNC_PAUSE);
    SAY(talk, PAUSE, pause, &message);
}

void talk_resume(struct talk *talk) {
    PB(SyncResume) message = PB_INIT(SYNC_RESUME);
    SAY(talk, RESUME, resume, &message);
}

void talk_bye(struct talk *talk) {
    PB(SyncBye) message = PB_INIT(SYNC_BYE);
    SAY(talk, BYE, bye, &message);
}

void talk_batch(struct talk *talk, int64_t batch_id, size_t changes) {
    static PB(Change) list[BATCH_CHANGES_MAX + 1], *pointers[BATCH_CHANGES_MAX + 1];
    assert_true(changes <= BATCH_CHANGES_MAX + 1);
    for (size_t i = 0; i < changes; i++) {
        travelsense__sync__v1__change__init(&list[i]);
        list[i].id = (char *)"c";
        pointers[i] = &list[i];
    }
    PB(SyncBatch) batch = PB_INIT(SYNC_BATCH);
    batch.batch_id = batch_id;
    batch.changes = pointers;
    batch.n_changes = changes;
    SAY(talk, BATCH, batch, &batch);
}

/* ---- The service */

void talk_answer(struct talk *talk, const struct session_answer *answer) {
    assert_non_null(talk->asked[answer->kind]);
    talk->asked[answer->kind] = NULL;
    talk_tell(talk, &(struct session_event){.kind = SESSION_ANSWERED, .answer = answer});
}

void talk_fail(struct talk *talk, enum session_request_kind kind, enum sync_status status,
               const char *reason) {
    struct session_answer answer = {.kind = kind};
    sync_error_set(&answer.error, status, reason, NULL, "It fails because of %s.", reason);
    talk_answer(talk, &answer);
}

void talk_opened(struct talk *talk, uint64_t head) {
    talk_answer(talk, &(struct session_answer){
                          .kind = SESSION_OPEN,
                          .open = {.sync_id = SLICE("sync-1"), .epoch = TALK_EPOCH, .head = head}});
}

void talk_page_as(struct talk *talk, struct session_answer answer) {
    static PB(Record) list[RECORDS_MAX], *pointers[RECORDS_MAX];
    static uint8_t data[RECORD_BYTES];
    assert_true(answer.page.count <= RECORDS_MAX);
    for (size_t i = 0; i < answer.page.count; i++) {
        travelsense__sync__v1__record__init(&list[i]);
        list[i].data_id = (char *)"r";
        list[i].data_presence_case = TRAVELSENSE__SYNC__V1__RECORD__DATA_PRESENCE_DATA;
        list[i].data = (ProtobufCBinaryData){RECORD_BYTES, data};
        pointers[i] = &list[i];
    }
    answer.kind = SESSION_PAGE;
    answer.page.records = pointers;
    answer.page.bytes = answer.page.count * RECORD_BYTES;
    if (answer.page.head < answer.page.lap.target)
        answer.page.head = answer.page.lap.target;
    talk_answer(talk, &answer);
}

void talk_page(struct talk *talk, size_t records, uint64_t target, bool ends) {
    const struct session_request *request = talk->asked[SESSION_PAGE];
    assert_non_null(request);
    struct session_answer answer = {
        .page = {.count = records, .lap = request->page.lap, .ends = ends, .is_exact = true}};
    struct lap_cursor *lap = &answer.page.lap;
    lap->target = target;
    lap->rank += records;
    lap->type = DATA_TYPE_TRIP;
    lap->id_size = 1;
    lap->id[0] = 'r';
    answer.page.checksum = (struct checksum){.low = target};
    answer.page.records_left = ends ? 0 : records;
    answer.page.bytes_left = answer.page.records_left * RECORD_BYTES;
    talk_page_as(talk, answer);
}

void talk_applied(struct talk *talk, uint64_t before, uint64_t after, bool as_sent) {
    const struct session_request *request = talk->asked[SESSION_APPLY];
    static PB(ChangeResult) list[BATCH_CHANGES_MAX], *pointers[BATCH_CHANGES_MAX];
    assert_non_null(request);
    size_t count = request->apply.batch->n_changes;
    for (size_t i = 0; i < count; i++) {
        travelsense__sync__v1__change_result__init(&list[i]);
        list[i].change_id = request->apply.batch->changes[i]->id;
        pointers[i] = &list[i];
    }
    talk_answer(talk, &(struct session_answer){.kind = SESSION_APPLY,
                                               .apply = {.results = pointers,
                                                         .count = count,
                                                         .before = before,
                                                         .after = after,
                                                         .checksum = {.low = after},
                                                         .as_sent = as_sent}});
}

void talk_noted(struct talk *talk) {
    static const enum session_request_kind KINDS[] = {SESSION_ACKNOWLEDGE, SESSION_REPORT};
    for (size_t i = 0; i < 2; i++)
        while (talk->asked[KINDS[i]])
            talk_answer(talk, &(struct session_answer){.kind = KINDS[i]});
}

void talk_begin(struct talk *talk, bool live, uint64_t sequence, uint64_t head) {
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    hello.device_id = (char *)"phone";
    hello.live = live;
    hello.cursor = (char *)(sequence > 0 ? talk_cursor(sequence) : "");
    talk_hello(talk, &hello);
    talk_opened(talk, head);
    talk_noted(talk);
    talk_take(talk, TALK_MESSAGE(WELCOME));
}

void talk_begin_complete(struct talk *talk, bool live, uint64_t head) {
    talk_begin(talk, live, head, head);
    talk_page(talk, 0, head, true);
    talk_take(talk, TALK_MESSAGE(COMPLETE));
    talk_noted(talk);
}

/* ---- What came of it */

const PB(SyncResponse) *talk_take_any(struct talk *talk) {
    assert_true(talk->message_at < talk->message_count);
    return talk->messages[talk->message_at++];
}

static void skip_progress(struct talk *talk) {
    while (talk->message_at < talk->message_count &&
           talk->messages[talk->message_at]->message_case == TALK_MESSAGE(PROGRESS))
        talk->message_at++;
}

const PB(SyncResponse) *talk_take(struct talk *talk, PB(SyncResponse__MessageCase) kind) {
    skip_progress(talk);
    const PB(SyncResponse) *message = talk_take_any(talk);
    assert_int_equal(message->message_case, kind);
    return message;
}

void talk_keep_cursor(struct talk *talk, char ret_text[SESSION_CURSOR_TEXT_MAX]) {
    const PB(SyncRecords) *records = talk_take(talk, TALK_MESSAGE(RECORDS))->records;
    size_t size = strlen(records->cursor) + 1;
    assert_true(size <= SESSION_CURSOR_TEXT_MAX);
    memcpy(ret_text, records->cursor, size);
}

void talk_expect_silence(struct talk *talk) {
    skip_progress(talk);
    assert_int_equal(talk->message_at, talk->message_count);
}

void talk_expect_end(struct talk *talk, enum sync_status status, const char *reason) {
    assert_true(talk->has_ended);
    assert_int_equal(talk->error.status, status);
    assert_string_equal(talk->error.reason, reason ? reason : "");
}

const char *talk_cursor(uint64_t sequence) {
    static char texts[8][CURSOR_TEXT_MAX];
    static size_t next;
    char *text = texts[next++ % 8];
    cursor_format(&(struct cursor){.epoch = TALK_EPOCH, .sequence = sequence}, text);
    return text;
}

struct session_view talk_view(const struct talk *talk) {
    struct session_view view;
    session_look(talk->session, &view);
    return view;
}
