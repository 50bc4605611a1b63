/* One session under test, and who talks with it: device, transport and service in one, by hand. */
#ifndef TESTS_SERVICE_CORE_SESSION_TALK_H
#define TESTS_SERVICE_CORE_SESSION_TALK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "service/core/session.h"
#include "service/core/session_private.h"

enum { TALK_MESSAGES_MAX = 512, TALK_EPOCH = 7, TALK_WALL_US = 1000000000 };

#define TALK_MESSAGE(NAME) TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_##NAME
#define TALK_NOTICE(NAME) TRAVELSENSE__SYNC__V1__SYNC_NOTICE_KIND__SYNC_NOTICE_KIND_##NAME

/* Everything that the session has done so far, to be looked at. */
struct talk {
    struct session *session;
    struct session_time now;
    uint64_t wake_us;
    bool wants_message; /* RECEIVE is waiting */
    bool holds;         /* SENT is told by talk_sent alone */
    bool is_sending, has_ended;
    struct sync_error error;
    uint64_t retry_after_us;
    const struct session_request *asked[SESSION_REQUEST_KINDS];
    PB(SyncResponse) *messages[TALK_MESSAGES_MAX];
    size_t sizes[TALK_MESSAGES_MAX];
    size_t message_count, message_at;
};

/* Opens a session: with these settings, or NULL for the default ones; the token expires so many
 * seconds later, 0 never. */
void talk_open(struct talk *talk, const struct session_settings *settings, int token_seconds);
void talk_close(struct talk *talk);

/* Does what the session asks for until it waits. Requests stay in `asked`. */
void talk_run(struct talk *talk);

/* Lets time pass, and runs. */
void talk_pass(struct talk *talk, uint64_t us);

/* Tells an event, and runs. */
void talk_tell(struct talk *talk, const struct session_event *event);
void talk_event(struct talk *talk, enum session_event_kind kind);
void talk_commit(struct talk *talk, uint64_t head);

/* Says something as the device; the session must want it. */
void talk_say(struct talk *talk, const PB(SyncRequest) *request);
void talk_hello(struct talk *talk, const PB(SyncHello) *hello);
void talk_acknowledge(struct talk *talk, const char *cursor);
void talk_acknowledge_sequence(struct talk *talk, uint64_t sequence);
void talk_token(struct talk *talk, const char *token);
void talk_pause(struct talk *talk);
void talk_resume(struct talk *talk);
void talk_bye(struct talk *talk);
/* A batch of so many changes. */
void talk_batch(struct talk *talk, int64_t batch_id, size_t changes);

/* Answers a request that was asked. */
void talk_answer(struct talk *talk, const struct session_answer *answer);
void talk_fail(struct talk *talk, enum session_request_kind kind, enum sync_status status,
               const char *reason);
/* Well, with the user at this sequence. */
void talk_opened(struct talk *talk, uint64_t head);
/* A page of so many records of 100 bytes behind which the lap has the place `rank`, or ends. */
void talk_page(struct talk *talk, size_t records, uint64_t target, bool ends);
/* The whole of a page's answer; the records are made. */
void talk_page_as(struct talk *talk, struct session_answer answer);
/* A batch applied as it was sent, or merged. */
void talk_applied(struct talk *talk, uint64_t before, uint64_t after, bool as_sent);
/* Acknowledgements and reports that are asked: well. */
void talk_noted(struct talk *talk);

/* Hello, open and the welcome, which is taken; the device has the cursor of `sequence`, or none
 * for 0. */
void talk_begin(struct talk *talk, bool live, uint64_t sequence, uint64_t head);
/* The same, and on to complete, which is taken, at `head`. */
void talk_begin_complete(struct talk *talk, bool live, uint64_t head);

/* Takes the next message, progress aside; it must be of the kind. */
const PB(SyncResponse) *talk_take(struct talk *talk, PB(SyncResponse__MessageCase) kind);
/* The same with progress. */
const PB(SyncResponse) *talk_take_any(struct talk *talk);
/* Takes records and keeps their cursor. */
void talk_keep_cursor(struct talk *talk, char ret_text[SESSION_CURSOR_TEXT_MAX]);
/* Nothing but progress was sent that was not taken. */
void talk_expect_silence(struct talk *talk);
/* It has ended with this status and reason (NULL: well). */
void talk_expect_end(struct talk *talk, enum sync_status status, const char *reason);

/* The text of a plain cursor; of the last few calls. */
const char *talk_cursor(uint64_t sequence);
struct session_view talk_view(const struct talk *talk);

/* The talk of a test; it lives until the test ends. */
static struct talk talk;

static inline int talk_tear_down(void **state) {
    (void)state;
    talk_close(&talk);
    return 0;
}

/* A test that opens the talk. */
#define TALK_TEST(test) cmocka_unit_test_teardown(test, talk_tear_down)

#endif
