#include <assert.h>
#include <stdio.h>

#include "base/memory.h"
#include "tests/bench/stream_load.h"

enum {
    PROBE_STEP_US = 5000,  /* between two changes whose way is timed */
    PROBE_PAIRS_MAX = 100, /* users whose changes are timed */
    NOISE_CHANGES = 50,    /* of a batch by the others */
    IN_FLIGHT_MAX = 4,
    STEP_US = 1000,
    DRAIN_US = 5000000,
};

static bool settle(struct stream_load *load) {
    return stream_load_run(load, stream_now_us() + load->options->settle_seconds * 1000000ull);
}

bool stream_load_idle(struct stream_load *load) {
    return settle(load) && stream_load_begin(load) &&
           stream_load_run(load, stream_now_us() + load->options->seconds * 1000000ull) &&
           stream_load_finish(load);
}

/* ---- latency */

/* Who writes what, and what is due. */
struct writers {
    struct stream_load *load;
    struct stream_batch *probes, noise;
    unsigned probe_pairs, noise_pairs, next_probe, next_noise;
    uint64_t next_probe_us, next_noise_us, noise_step_us;
};

static bool writers_init(struct writers *writers, struct stream_load *load) {
    unsigned pairs = load->options->members / 2;
    *writers = (struct writers){.load = load};
    writers->probe_pairs = pairs < PROBE_PAIRS_MAX ? (pairs + 1) / 2 : PROBE_PAIRS_MAX;
    writers->noise_pairs = pairs - writers->probe_pairs;
    if (writers->noise_pairs > PROBE_PAIRS_MAX)
        writers->noise_pairs = PROBE_PAIRS_MAX;
    writers->next_probe_us = writers->next_noise_us = stream_now_us();
    writers->noise_step_us = load->options->rate > 0 && writers->noise_pairs > 0
                                 ? NOISE_CHANGES * 1000000ull / load->options->rate
                                 : 0;
    writers->probes = memory_zalloc(writers->probe_pairs, sizeof *writers->probes);
    bool is_made =
        writers->probes && stream_batch_init(&writers->noise, NOISE_CHANGES, NULL, 1) == SYNC_OK;
    for (unsigned i = 0; is_made && i < writers->probe_pairs; i++)
        is_made = stream_batch_init(&writers->probes[i], 1, NULL, i + 2) == SYNC_OK;
    return is_made;
}

static void writers_done(struct writers *writers) {
    for (unsigned i = 0; writers->probes && i < writers->probe_pairs; i++)
        stream_batch_done(&writers->probes[i]);
    stream_batch_done(&writers->noise);
    memory_free(writers->probes);
}

/* Sends one change that is timed, unless the last one of that user is still on its way. */
static void probe_send(struct writers *writers) {
    unsigned number = writers->next_probe++ % writers->probe_pairs;
    struct stream_member *member = &writers->load->members[2 * number];
    if (member->sent_us > 0 || !stream_member_may_send(member))
        return;
    member->sent_us = stream_now_us();
    stream_member_send(member, &writers->probes[number]);
}

static void noise_send(struct writers *writers) {
    unsigned number = writers->probe_pairs + writers->next_noise++ % writers->noise_pairs;
    struct stream_member *member = &writers->load->members[2 * number];
    if (stream_member_may_send(member) && !member->is_sending && member->in_flight < IN_FLIGHT_MAX)
        stream_member_send(member, &writers->noise);
}

static bool writers_run(struct writers *writers, uint64_t until_us) {
    for (uint64_t now; (now = stream_now_us()) < until_us;) {
        for (; writers->next_probe_us <= now; writers->next_probe_us += PROBE_STEP_US)
            probe_send(writers);
        for (; writers->noise_step_us > 0 && writers->next_noise_us <= now;
             writers->next_noise_us += writers->noise_step_us)
            noise_send(writers);
        if (!stream_load_run(writers->load, now + STEP_US))
            return false;
    }
    return true;
}

bool stream_load_latency(struct stream_load *load) {
    struct writers writers;
    bool is_done = load->options->devices == 2 && writers_init(&writers, load) && settle(load);
    writers.next_probe_us = writers.next_noise_us = stream_now_us();
    is_done = is_done &&
              writers_run(&writers, stream_now_us() + load->options->settle_seconds * 1000000ull);
    is_done = is_done && stream_load_begin(load) &&
              writers_run(&writers, stream_now_us() + load->options->seconds * 1000000ull) &&
              stream_load_finish(load);
    writers_done(&writers);
    return is_done;
}

/* ---- uploads */

static bool batches_make(struct stream_load *load, struct stream_batch **ret_batches) {
    unsigned count = load->options->members;
    struct stream_batch *batches = memory_zalloc(count, sizeof *batches);
    bool is_made = batches;
    for (unsigned i = 0; is_made && i < count; i++)
        is_made = stream_batch_init(&batches[i], load->options->changes, load->members[i].device,
                                    i + 1) == SYNC_OK;
    *ret_batches = batches;
    return is_made;
}

static void batches_free(struct stream_batch *batches, unsigned count) {
    for (unsigned i = 0; batches && i < count; i++)
        stream_batch_done(&batches[i]);
    memory_free(batches);
}

static bool uploads_run(struct stream_load *load, struct stream_batch *batches, uint64_t until_us) {
    while (stream_now_us() < until_us) {
        for (unsigned i = 0; i < load->options->members; i++) {
            struct stream_member *member = &load->members[i];
            if (stream_member_may_send(member) && !member->is_sending &&
                member->in_flight < IN_FLIGHT_MAX)
                stream_member_send(member, &batches[i]);
        }
        stub_loop_run_once(load->loop, 1);
        if (load->ended > 0)
            return false;
    }
    return true;
}

bool stream_load_upload(struct stream_load *load) {
    struct stream_batch *batches;
    uint64_t settle_us = load->options->settle_seconds * 1000000ull;
    bool is_done =
        batches_make(load, &batches) && uploads_run(load, batches, stream_now_us() + settle_us) &&
        stream_load_begin(load) &&
        uploads_run(load, batches, stream_now_us() + load->options->seconds * 1000000ull) &&
        stream_load_finish(load);
    batches_free(batches, load->options->members);
    return is_done;
}

/* ---- unary uploads, for comparison */

static const struct stub_method upload_method = {
    .path = "/travelsense.sync.v1.SyncService/UploadChanges",
    .request = &travelsense__sync__v1__upload_changes_request__descriptor,
    .response = &travelsense__sync__v1__upload_changes_response__descriptor,
};

struct client {
    struct stream_load *load;
    struct stream_member *member;
    struct stream_batch *batch;
    uint64_t until_us;
    unsigned *busy;
};

static void client_begin(struct client *client);

static void client_answered(void *context, struct ProtobufCMessage *response,
                            const struct stub_status *status) {
    struct client *client = context;
    struct stream_load *load = client->load;
    --*client->busy;
    if (status->code != STUB_OK) {
        load->ended++;
        fprintf(stderr, "stream_load: %s %s\n", stub_code_name(status->code), status->message);
        return;
    }
    const Travelsense__Sync__V1__UploadChangesResponse *answer =
        (const Travelsense__Sync__V1__UploadChangesResponse *)response;
    if (load->is_measuring)
        load->changes += answer->n_results;
    stub_message_free(response);
    if (stream_now_us() < client->until_us)
        client_begin(client);
}

static void client_begin(struct client *client) {
    char bearer[STUB_TOKEN_MAX + 8];
    int size = snprintf(bearer, sizeof bearer, "Bearer %s", client->member->token);
    struct stub_metadata metadata = {"authorization", bearer, (size_t)size};
    struct stub_options options = {.metadata = &metadata, .metadata_count = 1};
    stream_batch_stamp(client->batch, 0);
    ++*client->busy;
    stub_unary_start(client->member->channel, &upload_method, &client->batch->upload.base, &options,
                     client->load->loop, client_answered, client, NULL);
}

static bool clients_run(struct stream_load *load, struct client *clients) {
    uint64_t settle_us = load->options->settle_seconds * 1000000ull;
    uint64_t begin_us = stream_now_us() + settle_us;
    uint64_t end_us = begin_us + load->options->seconds * 1000000ull;
    for (unsigned i = 0; i < load->options->members; i++) {
        clients[i].until_us = end_us;
        client_begin(&clients[i]);
    }
    if (!stream_load_run(load, begin_us) || !stream_load_begin(load) ||
        !stream_load_run(load, end_us) || !stream_load_finish(load))
        return false;
    for (uint64_t until_us = end_us + DRAIN_US; *clients->busy > 0 && stream_now_us() < until_us;)
        stub_loop_run_once(load->loop, 1);
    return *clients->busy == 0;
}

bool stream_load_unary(struct stream_load *load) {
    unsigned busy = 0;
    struct stream_batch *batches = NULL;
    struct client *clients = memory_zalloc(load->options->members, sizeof *clients);
    bool is_done = clients && batches_make(load, &batches);
    for (unsigned i = 0; is_done && i < load->options->members; i++)
        clients[i] = (struct client){
            .load = load, .member = &load->members[i], .batch = &batches[i], .busy = &busy};
    is_done = is_done && clients_run(load, clients);
    batches_free(batches, load->options->members);
    memory_free(clients);
    return is_done;
}
