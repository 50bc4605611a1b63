/* The world: how it begins, what a step does, and how it comes to rest. */
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "base/memory.h"
#include "service/core/checksum.h"
#include "service/store/rocks_store.h"
#include "tests/service/core/json_document.h"
#include "tests/simulation/memory_store.h"
#include "tests/simulation/sim.h"

enum {
    WORLD_ARENA_MAX = 1 << 30,
    STORE_BYTES_MAX = 1 << 30,
    EPOCH = 3,
    MINUTE_S = 60,
    CALL_TIMEOUT_US = 30000000,
    REST_ROUNDS_MAX = 20000,
    STORY_TEXT_MAX = 300,
};

static const int64_t WALL_US = 1764000000000000, SECOND_US = 1000000;

/* ---- Helpers of all */

void sim_violate(struct sim_world *world, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->report->violation, sizeof world->report->violation, format, arguments);
    va_end(arguments);
    world->report->is_violated = true;
    world->report->step = world->step;
    longjmp(*world->escape, 1);
}

void sim_tell(struct sim_world *world, const char *format, ...) {
    va_list arguments;
    if (!world->options->story)
        return;
    if (world->is_quiet)
        fputs("   rest  ", world->options->story);
    else
        fprintf(world->options->story, "  %5u  ", world->step);
    va_start(arguments, format);
    vfprintf(world->options->story, format, arguments);
    va_end(arguments);
    fputc('\n', world->options->story);
}

const char *sim_text(struct sim_world *world, struct slice document) {
    struct slice text = slice_text(json_text(document, &world->arena));
    return arena_copy_text(&world->arena, slice_cut_utf8(text, STORY_TEXT_MAX));
}

void *sim_alloc(struct sim_world *world, size_t size) {
    void *memory = arena_zalloc(&world->arena, 1, size);
    SIM_HOLDS(world, memory, "no memory");
    return memory;
}

struct slice sim_keep(struct sim_world *world, struct slice bytes) {
    struct slice copy;
    SIM_HOLDS(world, arena_copy(&world->arena, bytes, &copy), "no memory");
    return copy;
}

enum data_type sim_record_type(uint32_t record) {
    static const enum data_type TYPES[] = {DATA_TYPE_BOOKING, DATA_TYPE_TRIP, DATA_TYPE_PREFERENCE,
                                           DATA_TYPE_BOOKING, DATA_TYPE_PROFILE};
    return TYPES[record % 5];
}

struct record_key sim_record_key(uint32_t record) {
    static const struct slice IDS[SIM_RECORDS] = {SLICE("r0"), SLICE("r1"), SLICE("r2"),
                                                  SLICE("r3"), SLICE("r4"), SLICE("r5"),
                                                  SLICE("r6"), SLICE("r7")};
    return (struct record_key){sim_record_type(record), IDS[record]};
}

uint32_t sim_record_number(struct sim_world *world, const struct record_key *key) {
    uint32_t number = key->id.size == 2 ? (uint32_t)(key->id.data[1] - '0') : SIM_RECORDS;
    SIM_HOLDS(world, number < SIM_RECORDS && sim_record_type(number) == key->type,
              "a record that nobody made");
    return number;
}

struct checksum sim_copies_sum(struct sim_world *world, const struct sim_copy *copies) {
    struct checksum sum = {0}, element;
    struct buffer scratch;
    buffer_init(&scratch, 1 << 20);
    for (uint32_t i = 0; i < SIM_RECORDS; i++) {
        struct record_key key = sim_record_key(i);
        if (!copies[i].found || copies[i].deleted)
            continue;
        SIM_HOLDS(world, checksum_element(&key, copies[i].document, &scratch, &element) == SYNC_OK,
                  "no memory");
        sum = checksum_add(sum, element);
    }
    buffer_done(&scratch);
    return sum;
}

static void ids_fill(void *context, uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)sim_next(context);
}

/* ---- Faults of the store */

static enum strike world_strike(void *context, enum strike_step step) {
    struct sim_world *world = context;
    if (world->is_quiet || world_pick(world, 1000) >= world->nature.strike)
        return STRIKE_NONE;
    if (world_pick(world, 100) < world->nature.crash) {
        world->has_crashed = true;
        sim_tell(world, "the service crashes");
        return world_pick(world, 2) ? STRIKE_FAIL : STRIKE_LOST;
    }
    static const char *const NAMES[] = {"", "fails", "finds the head moved", "loses its answer"};
    enum strike strike =
        step == STRIKE_COMMIT ? (enum strike)(1 + world_pick(world, 3)) : STRIKE_FAIL;
    world->report->lost += strike == STRIKE_LOST;
    sim_tell(world, "the store %s", NAMES[strike]);
    return strike;
}

static enum sync_status world_store_open(struct sim_world *world) {
    struct store *inner = NULL;
    struct sync_error error;
    struct rocks_store_options options = {.path = world->options->rocks_folder,
                                          .block_cache_bytes = 1 << 20,
                                          .write_buffer_bytes = 1 << 20,
                                          .change_index_bytes = 1 << 20,
                                          .random = &world->ids};
    enum sync_status status = world->options->rocks_folder
                                  ? rocks_store_open(&options, &error, &inner)
                                  : memory_store_open(EPOCH, STORE_BYTES_MAX, &inner);
    world->hand = (struct strike_hand){world_strike, sim_ledger_written, world};
    if (status == SYNC_OK)
        status = strike_store_open(inner, &world->hand, &world->store);
    return status;
}

/* All that the service was doing is gone; what was written stays. */
static void world_crash(struct sim_world *world) {
    world->has_crashed = false;
    world->at = NULL;
    world->report->crashes++;
    for (uint32_t i = 0; i < world->nature.devices; i++)
        sim_stream_cut(world, &world->devices[i].stream);
    for (size_t i = 0; i < SIM_JOBS_MAX; i++)
        if (world->jobs[i].is_used)
            sim_job_drop(&world->jobs[i]);
    if (!world->options->rocks_folder)
        return;
    world->store = store_close(world->store);
    SIM_HOLDS(world, world_store_open(world) == SYNC_OK, "the store does not open again");
}

/* ---- Beginning and end */

static void nature_choose(struct sim_world *world, struct sim_random *random) {
    static const uint32_t RARE[] = {0, 0, 2, 10, 25};
    static const enum conflict_strategy STRATEGIES[] = {
        STRATEGY_MERGE, STRATEGY_MANUAL, STRATEGY_MANUAL, STRATEGY_SERVER, STRATEGY_CLIENT};
    world->nature = (struct sim_nature){
        .devices = 2 + sim_pick(random, SIM_DEVICES_MAX - 1),
        .records = 1 + sim_pick(random, SIM_RECORDS),
        .streams_percent = 50 * sim_pick(random, 3),
        .drop = RARE[sim_pick(random, 5)],
        .duplicate = RARE[sim_pick(random, 5)],
        .strike = 3 * RARE[sim_pick(random, 5)],
        .crash = 4 * RARE[sim_pick(random, 5)],
        .trims = RARE[sim_pick(random, 5)],
        .puts = 10 * sim_pick(random, 5),
        .skewed = sim_pick(random, 3),
        .strategy = STRATEGIES[sim_pick(random, 5)],
        .document_percent = 20 + sim_pick(random, 50),
        .delete_in = sim_once_in(random, 5) ? 2 : 8,
        .damages = sim_once_in(random, 2),
    };
}

/* In some worlds what is kept is kept for a time, so that devices come back from before it. A draw
 * of its own: the other worlds are as they were. */
static void retention_choose(struct sim_world *world) {
    static const uint32_t SPANS_S[] = {1800, 7200, 43200};
    struct sim_random random = sim_random_of(world->options->seed, UINT32_MAX - 2);
    if (sim_once_in(&random, 2))
        return;
    world->nature.kept_s = SPANS_S[sim_pick(&random, 3)];
    world->nature.trims = 5 + sim_pick(&random, 20);
}

/* Minutes for most, hours for some; years only by a leap. */
static int64_t skew_choose(struct sim_random *random, uint32_t skewed) {
    int64_t span_s = skewed == 0 ? 1 : sim_once_in(random, 4) ? 360 * MINUTE_S : 10 * MINUTE_S;
    return ((int64_t)sim_pick(random, (uint32_t)(2 * span_s)) - span_s) * SECOND_US;
}

static void world_init(struct sim_world *world) {
    struct sim_random random = sim_random_of(world->options->seed, UINT32_MAX);
    arena_init(&world->arena, WORLD_ARENA_MAX);
    world->id_random = sim_random_of(world->options->seed, UINT32_MAX - 1);
    world->ids = (struct random_source){ids_fill, &world->id_random};
    world->now_us = WALL_US;
    world->monotonic_us = 1;
    world->random = &random;
    nature_choose(world, &random);
    retention_choose(world);
    SIM_HOLDS(world, world_store_open(world) == SYNC_OK, "the store does not open");
    for (uint32_t i = 0; i < SIM_RECORDS; i++)
        world->shapes[i] = record_shape_pick(&random, sim_record_type(i));
    sim_policies_choose(world);
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        struct sim_device *device = &world->devices[i];
        device->number = device->stream.device = i;
        snprintf(device->id, sizeof device->id, "d%u", i);
        device->offset_us = skew_choose(&random, world->nature.skewed);
        device->is_implicit = sim_once_in(&random, 4);
        device->is_trusting = i % 2 == 0;
    }
    world->random = NULL;
}

static void world_done(struct sim_world *world) {
    for (uint32_t i = 0; i < SIM_DEVICES_MAX; i++) {
        lap_release(&world->devices[i].stream.lap);
        session_close(world->devices[i].stream.session);
    }
    for (size_t i = 0; i < SIM_JOBS_MAX; i++)
        if (world->jobs[i].is_used)
            arena_done(&world->jobs[i].arena);
    store_close(world->store);
    arena_done(&world->arena);
}

/* ---- Steps */

/* A device does what a device does: opens a stream, calls, or waits. */
static void device_act(struct sim_world *world, struct sim_device *device) {
    if (device->stream.session)
        return;
    if (device->request > 0 && world->monotonic_us - device->asked_us < CALL_TIMEOUT_US &&
        !sim_once_in(world->random, 4))
        return;
    if (device->wants_audit && device->has_plain && device->is_exact) {
        sim_call_audit(world, device);
        return;
    }
    if (device->download.bundle && world_pick(world, 4) > 0) {
        sim_call_part(world, device);
        return;
    }
    bool streams = !device->is_implicit && world_pick(world, 100) < world->nature.streams_percent;
    if (streams)
        sim_stream_open(world, device);
    else if (device->queue_count > 0 && (device->is_implicit || world_pick(world, 2)))
        sim_call_upload(world, device);
    else
        sim_call_pull(world, device);
}

static void time_pass(struct sim_world *world, struct sim_device *device) {
    static const uint32_t SPANS_S[] = {1, 1, 10, 10, 60, 600, 7200, 86400};
    uint64_t us = (uint64_t)world_pick(world, 1 + SPANS_S[world_pick(world, 8)] * 1000) * 1000;
    world->monotonic_us += us;
    world->now_us += (int64_t)us;
    if (world->nature.skewed == 2 && sim_once_in(world->random, 30)) {
        int64_t years = (int64_t)world_pick(world, 9) - 4;
        device->offset_us = years * 365 * 86400 * SECOND_US;
        sim_tell(world, "the clock of %s leaps by %d years", device->id, (int)years);
    }
    sim_stream_time(world);
}

static void job_step(struct sim_world *world) {
    uint32_t first = world_pick(world, SIM_JOBS_MAX);
    for (uint32_t i = 0; i < SIM_JOBS_MAX; i++) {
        struct sim_job *job = &world->jobs[(first + i) % SIM_JOBS_MAX];
        if (job->is_used && !job->stream) {
            sim_job_step(world, job);
            return;
        }
    }
}

static void world_step(struct sim_world *world) {
    struct sim_device *device = &world->devices[world_pick(world, world->nature.devices)];
    uint32_t choice = world_pick(world, 1000);
    if (choice < 120)
        sim_device_edit(world, device);
    else if (choice < 280)
        device_act(world, device);
    else if (choice < 450)
        sim_net_step(world);
    else if (choice < 620)
        job_step(world);
    else if (choice < 880)
        sim_stream_step(world, &device->stream);
    else if (choice < 880 + world->nature.puts)
        sim_put_start(world);
    else if (choice < 950)
        sim_resolve_start(world);
    else if (choice < 964 && world->nature.damages)
        sim_device_damage(world, device);
    else if (choice < 985)
        time_pass(world, device);
    else if (choice < 990)
        sim_stream_cut(world, &device->stream);
    else if (world_pick(world, 25) < world->nature.trims)
        sim_retention_step(world);
    if (world->has_crashed)
        world_crash(world);
}

/* ---- States */

static uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * 0x9e3779b97f4a7c15 ^ hash >> 29;
}

/* A hash of where everybody stands: not of the bytes, which hardly ever come again. */
static uint64_t state_hash(const struct sim_world *world) {
    const struct sim_ledger *ledger = &world->ledger;
    uint64_t hash = mix(world->nature.strategy, ledger->head.conflicts_open);
    for (uint32_t i = 0; i < world->nature.records; i++) {
        struct sim_copy image = sim_ledger_image(ledger, i, UINT64_MAX);
        hash = mix(hash, (uint64_t)image.found << 1 | image.deleted);
    }
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        const struct sim_device *device = &world->devices[i];
        hash = mix(hash, ledger->head.sequence - device->plain);
        hash = mix(hash, (uint64_t)device->queue_count << 2 | (uint64_t)(device->request > 0) << 1 |
                             device->has_plain);
        for (uint32_t j = 0; j < device->queue_count; j++) {
            const struct sim_change *change = ledger->changes[device->queue[j]];
            hash =
                mix(hash, (uint64_t)change->record << 4 | change->kind << 1 | change->is_settled);
        }
        hash = mix(hash, (uint64_t)(device->download.bundle != NULL) << 2 |
                             (uint64_t)(device->damaged != 0) << 1 | device->wants_audit);
        const struct sim_stream *stream = &device->stream;
        struct session_view view = {0};
        if (stream->session)
            session_look(stream->session, &view);
        hash = mix(hash, (uint64_t)(stream->session != NULL) << 32 | (uint64_t)view.phase << 16 |
                             stream->down_count << 8 | stream->up_count);
    }
    for (size_t i = 0; i < SIM_JOBS_MAX; i++)
        if (world->jobs[i].is_used)
            hash = mix(hash, (uint64_t)world->jobs[i].kind << 1 | world->jobs[i].is_ready);
    return mix(hash, world->net_count);
}

/* ---- Rest */

/* Whether a device has sent all it has and holds all there is. */
static bool device_rests(const struct sim_world *world, const struct sim_device *device) {
    return device->queue_count == 0 && device->request == 0 && !device->stream.session &&
           device->damaged == 0 && device->has_plain &&
           device->plain == world->ledger.head.sequence;
}

static bool world_rests(const struct sim_world *world) {
    bool rests = world->net_count == 0 && !sim_held_any(&world->ledger);
    for (size_t i = 0; i < SIM_JOBS_MAX; i++)
        rests = rests && !world->jobs[i].is_used;
    for (uint32_t i = 0; i < world->nature.devices; i++)
        rests = rests && device_rests(world, &world->devices[i]);
    return rests;
}

/* Who does not come to rest, and where he stands. */
static const char *restless(struct sim_world *world) {
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        const struct sim_device *device = &world->devices[i];
        struct session_view view = {0};
        if (device_rests(world, device))
            continue;
        if (device->stream.session)
            session_look(device->stream.session, &view);
        const char *text = arena_format(
            &world->arena,
            "%s does not come to rest: it has %u changes, stands at %llu of %llu, %s, phase %d",
            device->id, device->queue_count, (unsigned long long)device->plain,
            (unsigned long long)world->ledger.head.sequence,
            device->stream.session ? "on a stream" : "without a stream", (int)view.phase);
        return text ? text : "no memory";
    }
    return "the service does not come to rest";
}

/* One round of everybody's, without faults. */
static void rest_round(struct sim_world *world) {
    uint32_t number = world_pick(world, world->nature.devices);
    struct sim_device *device = &world->devices[number];
    world->monotonic_us += 100000;
    world->now_us += 100000;
    sim_stream_time(world);
    if (!device_rests(world, device))
        device_act(world, device);
    bool waits = device->queue_count > 0 || sim_held_any(&world->ledger);
    if (waits && world->ledger.head.conflicts_open > 0)
        sim_resolve_start(world);
    while (sim_net_step(world))
        job_step(world);
    for (uint32_t i = 0; i < 2 * SIM_JOBS_MAX; i++)
        job_step(world);
    for (uint32_t i = 0; i < 20; i++)
        sim_stream_step(world, &device->stream);
}

/* Lets all come to rest, and looks whether nothing was lost. */
static void world_settle(struct sim_world *world) {
    struct sim_random random = sim_random_of(world->options->seed, UINT32_MAX - 2);
    world->random = &random;
    world->is_quiet = true;
    sim_tell(world, "no more faults: all come to rest");
    uint32_t rounds = 0;
    while (!world_rests(world)) {
        SIM_HOLDS(world, rounds++ < REST_ROUNDS_MAX, "%s", restless(world));
        rest_round(world);
    }
    for (uint32_t i = 0; i < world->nature.devices; i++) {
        sim_device_check_at(world, &world->devices[i], world->ledger.head.sequence);
        sim_device_check_sum(world, &world->devices[i], world->ledger.head.checksum);
    }
    for (uint32_t i = 0; i < world->ledger.change_count; i++)
        SIM_HOLDS(world, world->ledger.changes[i]->is_settled, "%s was made and never settled",
                  world->ledger.changes[i]->id);
    sim_ledger_check_store(world);
}

static void world_run(struct sim_world *world) {
    const struct sim_options *options = world->options;
    world_init(world);
    for (world->step = 0; world->step < options->steps; world->step++) {
        struct sim_random random = sim_random_of(options->seed, world->step);
        if (options->left_out && options->left_out[world->step])
            continue;
        world->random = &random;
        world_step(world);
        if (options->states)
            state_set_add(options->states, state_hash(world));
    }
    world_settle(world);
}

/* ---- Faults of the code itself: an assertion that does not hold is a violation, too. */

static struct sim_world *running;

static void signal_caught(int signal) {
    if (!running)
        _Exit(3);
    sim_violate(running, signal == SIGABRT ? "an assertion does not hold" : "it crashes for good");
}

bool simulation_run(const struct sim_options *options, struct sim_report *ret_report) {
    struct sim_world *world = memory_zalloc(1, sizeof *world);
    struct sigaction action = {.sa_handler = signal_caught, .sa_flags = SA_NODEFER}, abrt, segv;
    jmp_buf escape;
    *ret_report = (struct sim_report){0};
    if (!world) {
        ret_report->is_violated = true;
        return false;
    }
    world->options = options;
    world->report = ret_report;
    world->escape = &escape;
    running = world;
    sigaction(SIGABRT, &action, &abrt);
    sigaction(SIGSEGV, &action, &segv);
    if (setjmp(escape) == 0)
        world_run(world);
    running = NULL;
    sigaction(SIGABRT, &abrt, NULL);
    sigaction(SIGSEGV, &segv, NULL);
    if (!ret_report->is_violated)
        world_done(world); /* after a violation nothing can be relied on, not even this */
    memory_free(world);
    return !ret_report->is_violated;
}
