#include "tests/bench/stream_member.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct stub_method sync_method = {
    .path = "/travelsense.sync.v1.SyncService/Sync",
    .request = &travelsense__sync__v1__sync_request__descriptor,
    .response = &travelsense__sync__v1__sync_response__descriptor,
    .client_streams = true,
    .server_streams = true,
};

static void member_sent(void *context, bool ok);
static void member_received(void *context, struct ProtobufCMessage *message);

static void member_transmit(struct stream_member *member,
                            const Travelsense__Sync__V1__SyncRequest *message) {
    assert(!member->is_sending);
    member->is_sending = true;
    stub_stream_send_start(member->call, &message->base, member_sent, member);
}

static void member_finished(void *context, const struct stub_status *status) {
    struct stream_member *member = context;
    member->events->ended(member, status);
}

/* Sends what waits: acknowledgements first, for the service may hold records back for them. */
static void member_pump(struct stream_member *member) {
    if (member->is_sending)
        return;
    if (member->wants_acknowledgement) {
        Travelsense__Sync__V1__SyncAcknowledgement body =
            TRAVELSENSE__SYNC__V1__SYNC_ACKNOWLEDGEMENT__INIT;
        Travelsense__Sync__V1__SyncRequest message = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__INIT;
        body.cursor = member->cursor;
        message.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_ACKNOWLEDGEMENT;
        message.acknowledgement = &body;
        member->wants_acknowledgement = false;
        member_transmit(member, &message);
    } else if (member->waiting) {
        struct stream_batch *batch = member->waiting;
        member->waiting = NULL;
        member->in_flight++;
        stream_batch_stamp(batch, ++member->batch_number);
        member_transmit(member, &batch->message);
    }
}

static void member_sent(void *context, bool ok) {
    struct stream_member *member = context;
    member->is_sending = false;
    if (ok)
        member_pump(member);
}

static void member_note_cursor(struct stream_member *member, const char *cursor) {
    size_t size = strlen(cursor);
    if (size == 0 || size >= sizeof member->cursor)
        return;
    memcpy(member->cursor, cursor, size + 1);
    member->wants_acknowledgement = true;
}

static void member_take(struct stream_member *member,
                        const Travelsense__Sync__V1__SyncResponse *message) {
    switch (message->message_case) {
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_OUTCOMES:
        member->in_flight--;
        member_note_cursor(member, message->outcomes->cursor);
        member->events->outcomes(member, message->outcomes->n_results);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS:
        member_note_cursor(member, message->records->cursor);
        member->events->records(member, message->records->n_records);
        break;
    case TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_COMPLETE:
        if (!member->is_live) {
            member->is_live = true;
            member->events->live(member);
        }
        break;
    default:
        break;
    }
}

static void member_received(void *context, struct ProtobufCMessage *message) {
    struct stream_member *member = context;
    if (!message) {
        stub_stream_finish_start(member->call, member_finished, member);
        return;
    }
    member_take(member, (const Travelsense__Sync__V1__SyncResponse *)message);
    stub_message_free(message);
    member_pump(member);
    stub_stream_receive_start(member->call, member_received, member);
}

bool stream_member_open(struct stream_member *member) {
    char bearer[STUB_TOKEN_MAX + 8];
    int size = snprintf(bearer, sizeof bearer, "Bearer %s", member->token);
    assert(size > 0 && (size_t)size < sizeof bearer);
    struct stub_metadata metadata = {"authorization", bearer, (size_t)size};
    struct stub_options options = {.metadata = &metadata, .metadata_count = 1};
    if (stub_stream_open(member->channel, &sync_method, NULL, &options, member->loop,
                         &member->call) != STUB_OK)
        return false;
    Travelsense__Sync__V1__SyncHello hello = TRAVELSENSE__SYNC__V1__SYNC_HELLO__INIT;
    Travelsense__Sync__V1__SyncRequest message = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__INIT;
    hello.device_id = member->device;
    hello.live = true;
    hello.batches_in_flight_max = 4;
    message.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    message.hello = &hello;
    member_transmit(member, &message);
    stub_stream_receive_start(member->call, member_received, member);
    return true;
}

bool stream_member_may_send(const struct stream_member *member) {
    return member->is_live && !member->waiting;
}

void stream_member_send(struct stream_member *member, struct stream_batch *batch) {
    assert(stream_member_may_send(member));
    member->waiting = batch;
    member_pump(member);
}

void stream_member_close(struct stream_member *member) {
    if (member->call)
        stub_call_cancel(member->call);
    member->call = stub_call_close(member->call);
    member->is_sending = member->wants_acknowledgement = false;
}
