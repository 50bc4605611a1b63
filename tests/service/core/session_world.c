#include "tests/service/core/session_world.h"

#include <stdio.h>
#include <stdlib.h>

enum { SECOND = 1000000, MEMORY_BOUND = 256 << 10 };

uint64_t world_seed;

uint32_t world_pick(struct world *world, uint32_t below) {
    world->random = world->random * 6364136223846793005 + 1442695040888963407;
    return (uint32_t)(world->random >> 33) % below;
}

void world_init(struct world *world, uint64_t seed) {
    memset(world, 0, sizeof *world);
    world_seed = seed;
    world->random = seed * 2654435761 + 1;
    world->now = (struct session_time){.wall_us = 1000000 * INT64_C(1000000), .monotonic_us = 1};
    for (uint32_t i = 0; i < 5; i++)
        world_commit(world, (struct world_entry){.record = i, .value = world_pick(world, 1000)});
}

/* ---- The transport */

/* Notes a message for the rate, and puts it on its way. */
static void send_down(struct world *world, struct slice bytes) {
    uint64_t size = bytes.size + FRAME_BYTES;
    WORLD_HOLDS(!world->is_sending && world->down_count < WORLD_PIPE_MAX);
    WORLD_HOLDS(world->send_count < WORLD_SENDS_MAX);
    world->sends[world->send_count].at_us = world->now.monotonic_us;
    world->sends[world->send_count++].bytes = size;
    world->largest_bytes = size > world->largest_bytes ? size : world->largest_bytes;
    PB(SyncResponse) *message =
        travelsense__sync__v1__sync_response__unpack(NULL, bytes.size, bytes.data);
    WORLD_HOLDS(message);
    if (message->message_case == TRAVELSENSE__SYNC__V1__SYNC_RESPONSE__MESSAGE_RECORDS &&
        size > world->largest_records)
        world->largest_records = size;
    world->down[world->down_count++] = message;
    world->is_sending = true;
}

static void check_bounds(struct world *world) {
    struct session_view view;
    const char *fault = session_fault(world->session);
    if (fault)
        fprintf(stderr, "%s\n", fault);
    WORLD_HOLDS(!fault);
    session_look(world->session, &view);
    WORLD_HOLDS(view.memory_bytes < MEMORY_BOUND);
    WORLD_HOLDS(world->has_half_closed ||
                view.unacknowledged_bytes <= world->credit_max + world->largest_records);
}

/* Does what the session asks for, answers aside. */
static void run(struct world *world) {
    struct session_action action = {0};
    for (int i = 0; i < 1000; i++) {
        check_bounds(world);
        session_next(world->session, world->now, &action);
        if (action.kind == SESSION_WAIT)
            return;
        WORLD_HOLDS(!world->has_ended);
        if (action.kind == SESSION_RECEIVE) {
            WORLD_HOLDS(!world->wants_message);
            world->wants_message = true;
        } else if (action.kind == SESSION_SEND) {
            send_down(world, action.bytes);
        } else if (action.kind == SESSION_ASK) {
            WORLD_HOLDS(!world->asked[action.request->kind]);
            world->asked[action.request->kind] = action.request;
            world->answers[action.request->kind].is_made = false;
        } else {
            world->has_ended = true;
            world->error = action.error;
        }
    }
    WORLD_HOLDS(!"it asks without end");
}

static void tell(struct world *world, const struct session_event *event) {
    session_tell(world->session, event, world->now);
    run(world);
}

static void tell_kind(struct world *world, enum session_event_kind kind) {
    tell(world, &(struct session_event){.kind = kind, .head = world->store.head});
}

/* Moves one message up; true when something moved. */
static bool move_up(struct world *world) {
    if (!world->wants_message || (world->up_count == 0 && !world->has_half_closed))
        return false;
    world->wants_message = false;
    if (world->up_count == 0) {
        tell_kind(world, SESSION_HALF_CLOSED);
        return true;
    }
    struct slice bytes = world->up[0];
    memmove(world->up, world->up + 1, --world->up_count * sizeof *world->up);
    tell(world, &(struct session_event){.kind = SESSION_RECEIVED, .bytes = bytes});
    memory_free((void *)bytes.data);
    return true;
}

/* The device takes a message; true when there was one. */
static bool move_down(struct world *world) {
    if (world->down_count == 0)
        return false;
    PB(SyncResponse) *message = world->down[0];
    memmove(world->down, world->down + 1, --world->down_count * sizeof *world->down);
    world_receive(world, message);
    travelsense__sync__v1__sync_response__free_unpacked(message, NULL);
    return true;
}

static bool move_sent(struct world *world) {
    if (!world->is_sending || world->down_count >= WORLD_PIPE_MAX / 2)
        return false;
    world->is_sending = false;
    tell_kind(world, SESSION_SENT);
    return true;
}

/* Makes, or gives, an answer. */
static bool move_answer(struct world *world) {
    uint32_t kind = world_pick(world, SESSION_REQUEST_KINDS);
    for (uint32_t i = 0; i < SESSION_REQUEST_KINDS && !world->asked[kind]; i++)
        kind = (kind + 1) % SESSION_REQUEST_KINDS;
    if (!world->asked[kind])
        return false;
    struct world_answer *made = &world->answers[kind];
    if (!made->is_made) {
        uint64_t head = world->store.head;
        world_make_answer(world, (enum session_request_kind)kind);
        if (world->store.head != head && world_pick(world, 2))
            tell_kind(world, SESSION_COMMITTED);
        return true;
    }
    world->asked[kind] = NULL;
    tell(world, &(struct session_event){.kind = SESSION_ANSWERED, .answer = &made->answer});
    return true;
}

/* ---- Sessions */

void world_begin(struct world *world, bool by_chance) {
    struct world_device *device = &world->device;
    PB(SyncHello) hello = PB_INIT(SYNC_HELLO);
    PB(SyncRequest) request = PB_INIT(SYNC_REQUEST);
    struct session_cursor cursor;
    world->settings = session_settings_default;
    world->settings.page_bytes = by_chance ? 1 + world_pick(world, 400) : 4096;
    world->bandwidth_limit =
        by_chance && world_pick(world, 3) == 0 ? 50 + world_pick(world, 2000) : 0;
    int64_t expires_us = by_chance && world_pick(world, 3) == 0
                             ? world->now.wall_us + (1 + world_pick(world, 150)) * INT64_C(1000000)
                             : 0;
    WORLD_HOLDS(session_open(&world->settings, expires_us, world->now, &world->session) == SYNC_OK);
    if (device->types == 0)
        device->types = world_pick(world, 4)
                            ? (data_type_set)DATA_TYPES_ALL
                            : (data_type_set)(1 << DATA_TYPE_TRIP | 1 << DATA_TYPE_BOOKING);
    PB(DataType)
    types[] = {TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_TRIP,
               TRAVELSENSE__SYNC__V1__DATA_TYPE__DATA_TYPE_BOOKING};
    hello.device_id = (char *)"phone";
    hello.cursor = device->cursor;
    hello.data_types = types;
    hello.n_data_types = device->types == DATA_TYPES_ALL ? 0 : 2;
    hello.live = device->is_live = !by_chance || world_pick(world, 2);
    hello.unacknowledged_bytes_max = by_chance ? (int32_t)world_pick(world, 2000) : 0;
    hello.batches_in_flight_max = (int32_t)world_pick(world, 6);
    hello.changes_pending = world_pick(world, 10);
    world->credit_max = hello.unacknowledged_bytes_max > 0
                            ? (uint64_t)hello.unacknowledged_bytes_max
                            : world->settings.unacknowledged_bytes;
    if (device->cursor[0] == '\0')
        memset(device->records, 0, sizeof device->records);
    else if (session_cursor_parse(slice_text(device->cursor), &cursor) == SYNC_OK && cursor.is_lap)
        world->lap_resumes++;
    device->next_batch_id = (int64_t)world_pick(world, 1000) - 500;
    world->lap_is_exact = true; /* of this session's part */
    world->sessions++;
    request.message_case = TRAVELSENSE__SYNC__V1__SYNC_REQUEST__MESSAGE_HELLO;
    request.hello = &hello;
    world_say(world, &request);
    run(world);
}

/* Others do something, or time passes, or the service does what it rarely does. */
static void step_world(struct world *world) {
    uint32_t choice = world_pick(world, 400);
    if (choice < 150 && world->store.head + 64 < WORLD_LOG_MAX) {
        world_commit(world, (struct world_entry){.record = world_pick(world, WORLD_RECORDS),
                                                 .value = world_pick(world, 1000),
                                                 .is_deleted = world_pick(world, 5) == 0});
        tell_kind(world, SESSION_COMMITTED);
    } else if (choice < 340) {
        uint64_t us = world_pick(world, 2 * SECOND);
        world->now.monotonic_us += us;
        world->now.wall_us += (int64_t)us;
        tell_kind(world, SESSION_TIME);
    } else if (choice < 344) {
        world->store.floor = world->store.head - world_pick(world, 5);
    } else if (choice == 344) {
        tell(world, &(struct session_event){.kind = SESSION_DRAINED, .retry_after_us = SECOND});
    } else if (choice == 345) {
        tell_kind(world, world_pick(world, 2) ? SESSION_SUPERSEDED : SESSION_REVOKED);
    } else if (choice < 350) {
        tell(world, &(struct session_event){.kind = SESSION_QUOTA_NEAR, .text = SLICE("soon")});
    } else if (choice == 350) {
        world->was_cut = true;
    } else if (choice < 353) {
        tell(world, &(struct session_event){.kind = SESSION_CONFLICTS, .conflicts_open = 1});
    }
}

void world_step(struct world *world) {
    switch (world_pick(world, 8)) {
    case 0:
        step_world(world);
        break;
    case 1:
        move_up(world);
        break;
    case 2:
        move_down(world);
        break;
    case 3:
        move_sent(world);
        break;
    case 4:
    case 5:
        move_answer(world);
        break;
    default:
        world_speak(world);
    }
}

void world_settle(struct world *world) {
    for (int i = 0; i < 100000 && !world->has_ended; i++) {
        bool moved = move_up(world) || move_sent(world) || move_down(world) || move_answer(world);
        if (!moved)
            return;
    }
    WORLD_HOLDS(world->has_ended);
}

/* In any span the bytes sent are at most the rate's and one message's. */
static void check_rate(const struct world *world) {
    for (size_t i = 0; world->bandwidth_limit > 0 && i < world->send_count; i++) {
        uint64_t bytes = 0;
        for (size_t j = i; j < world->send_count; j++) {
            bytes += world->sends[j].bytes;
            uint64_t span_us = world->sends[j].at_us - world->sends[i].at_us;
            WORLD_HOLDS(bytes <= world->bandwidth_limit * span_us / SECOND + world->largest_bytes);
        }
    }
}

void world_end(struct world *world) {
    struct world_device *device = &world->device;
    check_rate(world);
    if (!world->has_ended)
        tell_kind(world, SESSION_CANCELLED);
    /* Requests under way come to their end, though the device does not hear of it. */
    while (move_answer(world))
        ;
    WORLD_HOLDS(world->has_ended);
    while (!world->was_cut && move_down(world))
        ;
    for (; world->down_count > 0; world->down_count--)
        travelsense__sync__v1__sync_response__free_unpacked(world->down[world->down_count - 1],
                                                            NULL);
    for (; world->up_count > 0; world->up_count--)
        memory_free((void *)world->up[world->up_count - 1].data);
    world->session = session_close(world->session);
    for (uint32_t i = 0; i < device->change_count; i++)
        if (device->changes[i].state == CHANGE_IN_FLIGHT)
            device->changes[i].state = CHANGE_WAITS;
    device->in_flight_count = 0;
    device->is_paused = device->is_welcome = device->has_left = device->has_completed = false;
    device->wants_token = false;
    device->percent = 0;
    device->received = 0;
    world->wants_message = world->is_sending = world->has_ended = world->was_cut = false;
    world->has_half_closed = false;
    world->send_count = 0;
    world->largest_bytes = world->largest_records = 0;
}
