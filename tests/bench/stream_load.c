#include "tests/bench/stream_load.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"

enum {
    OPENING_MAX = 256, /* streams on their way to live at a time */
    OPEN_SECONDS_MAX = 300,
    STEP_US = 5000,
};

uint64_t stream_now_us(void) {
    return clock_monotonic_us(clock_system());
}

static struct stream_load *load_of(struct stream_member *member) {
    return member->context;
}

static void on_live(struct stream_member *member) {
    load_of(member)->live++;
}

static void on_outcomes(struct stream_member *member, size_t count) {
    if (load_of(member)->is_measuring)
        load_of(member)->changes += count;
}

/* The user's other device has sent what arrives here. */
static void on_records(struct stream_member *member, size_t count) {
    struct stream_load *load = load_of(member);
    size_t number = (size_t)(member - load->members);
    if (count == 0 || load->options->devices != 2 || number % 2 == 0)
        return;
    struct stream_member *writer = &load->members[number - 1];
    if (writer->sent_us == 0)
        return;
    uint64_t took_us = stream_now_us() - writer->sent_us;
    writer->sent_us = 0;
    if (load->is_measuring && load->latency_count < STREAM_LATENCIES_MAX)
        load->latencies_us[load->latency_count++] = (uint32_t)took_us;
}

/* A stream that is refused comes again in the slot that it was given; any other end is a fault. */
static void on_ended(struct stream_member *member, const struct stub_status *status) {
    struct stream_load *load = load_of(member);
    if (!member->is_live && status->code == STUB_UNAVAILABLE && status->retry_after_ms > 0) {
        member->reopen_us = stream_now_us() + status->retry_after_ms * 1000;
        load->refused++;
        load->away++;
        return;
    }
    if (load->ended++ == 0)
        fprintf(stderr, "stream_load: stream of %s ended: %s %s\n", member->device,
                stub_code_name(status->code), status->message ? status->message : "");
}

static const struct stream_events events = {
    .live = on_live, .outcomes = on_outcomes, .records = on_records, .ended = on_ended};

static bool channels_open(struct stream_load *load) {
    for (unsigned i = 0; i < load->options->channels; i++) {
        struct stub_channel_options options = {.target = load->options->target};
        if (stub_channel_open(&options, NULL, &load->channels[i]) != STUB_OK)
            return false;
    }
    return true;
}

static bool members_make(struct stream_load *load) {
    const struct stream_options *options = load->options;
    struct sync_error error = {0};
    load->members = memory_zalloc(options->members, sizeof *load->members);
    load->latencies_us = memory_zalloc(STREAM_LATENCIES_MAX, sizeof *load->latencies_us);
    if (!load->members || !load->latencies_us ||
        load_lines_read(&load->tokens, options->tokens_path, &error) != SYNC_OK)
        return false;
    const char *token = NULL;
    for (unsigned i = 0; i < options->members; i++) {
        if (i % options->devices == 0)
            token = load_lines_next(&load->tokens);
        if (!token)
            return false;
        struct stream_member *member = &load->members[i];
        *member = (struct stream_member){
            .channel = load->channels[i % options->channels],
            .loop = load->loop,
            .token = token,
            .events = &events,
            .context = load,
        };
        snprintf(member->device, sizeof member->device, "bench-%u", i);
    }
    return true;
}

static bool processes_read(struct stream_load *load, struct load_process *ret_uses) {
    for (unsigned i = 0; i < load->options->pid_count; i++) {
        if (!load_process_read(load->options->pids[i], &ret_uses[i])) {
            fprintf(stderr, "stream_load: no process %d\n", load->options->pids[i]);
            return false;
        }
    }
    return true;
}

/* Opens again those whose slot has come. */
static bool streams_reopen(struct stream_load *load) {
    uint64_t now_us = stream_now_us();
    for (unsigned i = 0; load->away > 0 && i < load->opened; i++) {
        struct stream_member *member = &load->members[i];
        if (member->reopen_us == 0 || member->reopen_us > now_us)
            continue;
        member->reopen_us = 0;
        load->away--;
        stream_member_close(member);
        if (!stream_member_open(member))
            return false;
    }
    return true;
}

static bool streams_open(struct stream_load *load) {
    uint64_t begun_us = stream_now_us();
    uint64_t end_us = begun_us + OPEN_SECONDS_MAX * 1000000ull;
    while (load->live < load->options->members) {
        while (load->opened < load->options->members &&
               (load->options->is_herd || load->opened - load->live - load->away < OPENING_MAX)) {
            if (!stream_member_open(&load->members[load->opened++]))
                return false;
        }
        for (uint64_t until_us = stream_now_us() + STEP_US; stream_now_us() < until_us;)
            stub_loop_run_once(load->loop, STEP_US / 1000);
        if (load->ended > 0 || !streams_reopen(load))
            return false;
        if (stream_now_us() > end_us) {
            fprintf(stderr, "stream_load: only %u of %u streams are live\n", load->live,
                    load->options->members);
            return false;
        }
    }
    load->open_seconds = (double)(stream_now_us() - begun_us) / 1e6;
    return true;
}

bool stream_load_open(struct stream_load *load) {
    if (stub_loop_open(&load->loop) != STUB_OK || !channels_open(load) || !members_make(load)) {
        fprintf(stderr, "stream_load: cannot prepare: no memory, no such target, or fewer tokens "
                        "than users\n");
        return false;
    }
    return processes_read(load, load->empty) &&
           (load->options->mode == STREAM_UNARY || streams_open(load));
}

bool stream_load_run(struct stream_load *load, uint64_t until_us) {
    for (uint64_t now; load->ended == 0 && (now = stream_now_us()) < until_us;)
        stub_loop_run_once(load->loop, (until_us - now + 999) / 1000);
    return load->ended == 0;
}

bool stream_load_begin(struct stream_load *load) {
    load->is_measuring = true;
    load->seconds = (double)stream_now_us() / 1e6;
    return processes_read(load, load->before);
}

bool stream_load_finish(struct stream_load *load) {
    load->is_measuring = false;
    load->seconds = (double)stream_now_us() / 1e6 - load->seconds;
    return processes_read(load, load->after);
}

void stream_load_close(struct stream_load *load) {
    for (unsigned i = 0; i < load->opened; i++)
        stream_member_close(&load->members[i]);
    load->loop = stub_loop_close(load->loop);
    for (unsigned i = 0; i < STREAM_CHANNELS_MAX; i++)
        stub_channel_close(load->channels[i]);
    load_lines_done(&load->tokens);
    memory_free(load->members);
    memory_free(load->latencies_us);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double latency_ms(const struct stream_load *load, double share) {
    if (load->latency_count == 0)
        return 0;
    return load->latencies_us[(size_t)(share * (double)(load->latency_count - 1))] / 1e3;
}

static void print(struct stream_load *load) {
    qsort(load->latencies_us, load->latency_count, sizeof(uint32_t), compare);
    printf("{\"members\": %u, \"seconds\": %.3f, \"open_seconds\": %.3f, \"refused\": %u,\n"
           " \"changes\": %llu,\n"
           " \"arrivals\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f,\n"
           " \"processes\": [",
           load->options->members, load->seconds, load->open_seconds, load->refused,
           (unsigned long long)load->changes, load->latency_count, latency_ms(load, 0.5),
           latency_ms(load, 0.99), latency_ms(load, 1));
    for (unsigned i = 0; i < load->options->pid_count; i++)
        printf("%s{\"cpu_seconds\": %.2f, \"rss_empty_bytes\": %llu, \"rss_bytes\": %llu}",
               i > 0 ? ", " : "", load->after[i].cpu_seconds - load->before[i].cpu_seconds,
               (unsigned long long)load->empty[i].resident_bytes,
               (unsigned long long)load->after[i].resident_bytes);
    printf("]}\n");
}

int main(int argc, char **argv) {
    static bool (*const modes[])(struct stream_load *) = {
        [STREAM_IDLE] = stream_load_idle,
        [STREAM_LATENCY] = stream_load_latency,
        [STREAM_UPLOAD] = stream_load_upload,
        [STREAM_UNARY] = stream_load_unary,
    };
    struct stream_options options;
    if (!stream_options_read(argc, argv, &options))
        return 2;
    static struct stream_load load;
    load.options = &options;
    bool is_done = stream_load_open(&load) && modes[options.mode](&load);
    if (is_done)
        print(&load);
    stream_load_close(&load);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
