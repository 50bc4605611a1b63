/* Uploads sent to a service fixture: what the tests of rpc/upload share. */
#ifndef TESTS_SERVICE_RPC_UPLOAD_SENDING_H
#define TESTS_SERVICE_RPC_UPLOAD_SENDING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <semaphore.h>

#include "base/memory.h"
#include "service/rpc/operation.h"
#include "service/rpc/upload.h"
#include "tests/service/core/json_document.h"
#include "tests/service/rpc/service_fixture.h"

#define ANNA SLICE("anna")

/* One batch of a device, and what became of it. */
struct sending {
    struct upload upload; /* first: found from it */
    struct service_fixture *fixture;
    struct arena arena;
    PB(Change) changes[4];
    PB(Change) *list[4];
    size_t count;
    Google__Protobuf__Timestamp time;
    sem_t done;
    enum sync_status status;
    unsigned prepared;
};

static inline void sending_done(struct upload *upload, enum sync_status status) {
    struct sending *sending = (struct sending *)upload;
    sending->status = status;
    sem_post(&sending->done);
}

static inline enum sync_status sending_prepare(struct upload *upload) {
    struct sending *sending = (struct sending *)upload;
    assert_non_null(upload->messages);
    sending->prepared++;
    return SYNC_OK;
}

static inline void sending_init(struct sending *sending, struct service_fixture *fixture,
                                const char *device) {
    *sending = (struct sending){.fixture = fixture};
    arena_init(&sending->arena, 64 << 20);
    sem_init(&sending->done, 0, 0);
    google__protobuf__timestamp__init(&sending->time);
    sending->time.seconds = (int64_t)(fixture->now_us / 1000000) - 60;
    sending->upload = (struct upload){
        .service = &fixture->service,
        .arena = &sending->arena,
        .user = ANNA,
        .device = slice_text(device),
        .received_us = (int64_t)fixture->now_us,
        .bytes = 100,
        .prepare = sending_prepare,
        .done = sending_done,
    };
}

static inline void sending_close(struct sending *sending) {
    sem_destroy(&sending->done);
    arena_done(&sending->arena);
}

static inline void add(struct sending *sending, const char *id, enum change_kind kind,
                       const char *data_id, const char *json) {
    PB(Change) *change = &sending->changes[sending->count];
    travelsense__sync__v1__change__init(change);
    change->id = (char *)id;
    change->type = (PB(ChangeType))kind;
    change->data_type = (PB(DataType))DATA_TYPE_BOOKING;
    change->data_id = (char *)data_id;
    change->timestamp = &sending->time;
    if (json) {
        change->data_presence_case = TRAVELSENSE__SYNC__V1__CHANGE__DATA_PRESENCE_DATA;
        change->data = message_bytes(json_document(json, &sending->arena));
    }
    sending->list[sending->count++] = change;
}

/* Checks, sends and waits. */
static inline enum sync_status send(struct sending *sending) {
    static struct violations violations;
    violations_init(&violations, &sending->arena, 0);
    struct upload_message message = {.changes = sending->list, .count = sending->count};
    upload_check(&sending->upload, &message, &violations);
    assert_false(violations_any(&violations));
    upload_start(&sending->upload);
    while (sem_wait(&sending->done) != 0)
        continue;
    return sending->status;
}

#endif
