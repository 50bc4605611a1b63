/* Store bench: changes a second and CPU per change through store_load and store_commit of the
 * embedded store, as the service uses it: users at once, each in a loop of its own.
 *
 * store_bench [--dir DIR] [--seconds S] [--users N] [--batch N] [--loads]
 *             [--history CHANGES] [--index BYTES] [--records N]
 *
 * With --history each user has so many changes before the measuring begins; with --index the store
 * has so much memory for the index of settled changes; with --records each user changes so many
 * records again and again, else every change is a new record. */
#include <dirent.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "service/store/rocks_store.h"
#include "service/store/store_waiter.h"

enum { BENCH_BATCH_MAX = 1000, BENCH_USERS_MAX = 256, DOCUMENT_BYTES = 520, FILL_BATCH = 100 };

struct bench {
    struct store *store;
    unsigned users, batch, history, records;
    bool loads;
    volatile bool stop;
};

/* One user: his own thread, arena and write set. */
struct bench_user {
    struct bench *bench;
    pthread_t thread;
    struct slice name;
    char text[32];
    uint64_t seed, changes, commits;
    uint64_t took_us, took_max_us;
    struct user_head head;
    struct arena arena;
    struct write_set set;
    struct record records[BENCH_BATCH_MAX];
    struct log_entry log[BENCH_BATCH_MAX];
    struct settled settled[BENCH_BATCH_MAX];
    struct record_want wants[BENCH_BATCH_MAX];
    struct change_want changes_wanted[BENCH_BATCH_MAX];
};

static uint64_t next_random(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A document as bookings are: names and values, some of it random. */
static struct slice make_document(struct bench_user *user) {
    static const char *const words[] = {"confirmed", "Lisbon",   "2026-12-01T09:30:00Z",
                                        "provider",  "currency", "travellers",
                                        "seat 12A",  "EUR"};
    uint8_t *data = arena_alloc(&user->arena, DOCUMENT_BYTES + 64);
    size_t size = 0;
    while (size < DOCUMENT_BYTES)
        size +=
            (size_t)snprintf((char *)data + size, DOCUMENT_BYTES + 64 - size, "field%u=%s:%llx,",
                             (unsigned)size / 40, words[next_random(&user->seed) % 8],
                             (unsigned long long)next_random(&user->seed) >> 24);
    return slice_of(data, DOCUMENT_BYTES);
}

static struct slice random_name(struct bench_user *user, const char *prefix) {
    return slice_text(arena_format(&user->arena, "%s-%016llx%08llx", prefix,
                                   (unsigned long long)next_random(&user->seed),
                                   (unsigned long long)next_random(&user->seed) >> 32));
}

static void make_change(struct bench_user *user, size_t i) {
    uint64_t sequence = user->head.sequence + 1 + i;
    struct slice change_id = random_name(user, "change");
    unsigned records = user->bench->records;
    struct record_key key = {.type = DATA_TYPE_BOOKING, .id = random_name(user, "booking")};
    if (records > 0)
        key.id =
            slice_text(arena_format(&user->arena, "booking-%016llx",
                                    (unsigned long long)(sequence % records * 0x9e3779b97f4a7c15)));
    user->records[i] = (struct record){.key = key,
                                       .version = sequence,
                                       .updated_us = 1700000000000000 + (int64_t)sequence,
                                       .data = make_document(user),
                                       .element = {user->seed, sequence}};
    user->log[i] = (struct log_entry){
        .sequence = sequence,
        .kind = CHANGE_CREATE,
        .key = key,
        .previous_version = records > 0 && sequence > records ? sequence - records : 0,
        .previous_deleted = records == 0 || sequence <= records,
        .undo = SLICE("\x08\x01"),
        .device = SLICE("phone-0001"),
        .change_id = change_id,
        .device_us = 1700000000000000,
        .corrected_us = 1700000000000000 + (int64_t)sequence};
    user->settled[i] = (struct settled){.device = SLICE("phone-0001"),
                                        .change_id = change_id,
                                        .outcome = SLICE("\x10\x01\x30\x07")};
    memcpy(user->settled[i].payload_hash, &user->seed, sizeof user->seed);
    user->wants[i] = (struct record_want){.key = key, .history = true};
    user->changes_wanted[i] = (struct change_want){SLICE("phone-0001"), change_id};
}

static void check(enum sync_status status) {
    if (status != SYNC_OK) {
        fprintf(stderr, "store_bench: %s\n", sync_status_text(status));
        exit(1);
    }
}

/* Commits the first `count` of the changes made. */
static void user_commit(struct bench_user *user, unsigned count) {
    user->set = (struct write_set){.user = user->name,
                                   .expected_revision = user->head.revision,
                                   .head = user->head,
                                   .records = user->records,
                                   .record_count = count,
                                   .log = user->log,
                                   .log_count = count,
                                   .settled = user->settled,
                                   .settled_count = count};
    user->set.head.sequence += count;
    check(store_commit_wait(user->bench->store, &user->set, &user->head));
}

/* Commits the changes that lie before the measuring. */
static void user_fill(struct bench_user *user) {
    for (unsigned left = user->bench->history, count; left > 0; left -= count) {
        count = left < FILL_BATCH ? left : FILL_BATCH;
        arena_reset(&user->arena);
        for (size_t i = 0; i < count; i++)
            make_change(user, i);
        user_commit(user, count);
    }
}

static void *user_run(void *context) {
    struct bench_user *user = context;
    struct bench *bench = user->bench;
    while (!bench->stop) {
        arena_reset(&user->arena);
        for (size_t i = 0; i < bench->batch; i++)
            make_change(user, i);
        struct user_view view;
        uint64_t begun_us = clock_monotonic_us(clock_system());
        if (bench->loads) {
            struct touched want = {.user = user->name,
                                   .records = user->wants,
                                   .record_count = bench->batch,
                                   .changes = user->changes_wanted,
                                   .change_count = bench->batch};
            check(store_load(bench->store, NULL, &want, &user->arena, &view));
        }
        user_commit(user, bench->batch);
        uint64_t took_us = clock_monotonic_us(clock_system()) - begun_us;
        user->took_us += took_us;
        user->took_max_us = took_us > user->took_max_us ? took_us : user->took_max_us;
        user->changes += bench->batch;
        user->commits++;
    }
    return NULL;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* What making the changes costs alone, to be taken off. */
static double make_cpu_us(struct bench_user *user, unsigned batch) {
    double begun = cpu_seconds();
    for (int round = 0; round < 50; round++) {
        arena_reset(&user->arena);
        for (size_t i = 0; i < batch; i++)
            make_change(user, i);
    }
    return (cpu_seconds() - begun) * 1e6 / 50 / batch;
}

static struct bench_user *users_make(struct bench *bench) {
    struct bench_user *users = memory_zalloc(bench->users, sizeof *users);
    if (!users)
        exit(1);
    for (unsigned i = 0; i < bench->users; i++) {
        users[i].bench = bench;
        users[i].seed = 88172645463325252u + i * 977;
        arena_init(&users[i].arena, 64 << 20);
        snprintf(users[i].text, sizeof users[i].text, "user-%u-%u", bench->batch, i);
        users[i].name = slice_text(users[i].text);
        struct user_view view;
        check(store_load(bench->store, NULL, &(struct touched){.user = users[i].name},
                         &users[i].arena, &view));
        users[i].head = view.head;
        user_fill(&users[i]);
    }
    return users;
}

static void bench_run(struct bench *bench, unsigned seconds) {
    struct bench_user *users = users_make(bench);
    double make_us = make_cpu_us(&users[0], bench->batch > 50 ? bench->batch : 50);
    double cpu = cpu_seconds();
    uint64_t begun_us = clock_monotonic_us(clock_system());
    uint64_t changes = 0, commits = 0, took_us = 0, took_max_us = 0;
    bench->stop = false;
    for (unsigned i = 0; i < bench->users; i++)
        pthread_create(&users[i].thread, NULL, user_run, &users[i]);
    sleep(seconds);
    bench->stop = true;
    for (unsigned i = 0; i < bench->users; i++) {
        pthread_join(users[i].thread, NULL);
        changes += users[i].changes;
        commits += users[i].commits;
        took_us += users[i].took_us;
        if (users[i].took_max_us > took_max_us)
            took_max_us = users[i].took_max_us;
        arena_done(&users[i].arena);
    }
    double wall = (double)(clock_monotonic_us(clock_system()) - begun_us) / 1e6;
    cpu = (cpu_seconds() - cpu) * 1e6 / (double)changes;
    printf("%6u %6u %6s %12.0f %12.2f %12.2f %10.2f %10.1f\n", bench->users, bench->batch,
           bench->loads ? "yes" : "no", (double)changes / wall, cpu, cpu - make_us,
           (double)took_us / (double)commits / 1e3, (double)took_max_us / 1e3);
    fflush(stdout);
    memory_free(users);
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"dir", required_argument, NULL, 'd'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"users", required_argument, NULL, 'u'},
                                            {"batch", required_argument, NULL, 'b'},
                                            {"loads", no_argument, NULL, 'l'},
                                            {"history", required_argument, NULL, 'h'},
                                            {"index", required_argument, NULL, 'i'},
                                            {"records", required_argument, NULL, 'r'},
                                            {0}};
    char made[] = "/var/tmp/store_bench.XXXXXX";
    const char *folder = NULL;
    unsigned seconds = 5, batch = 0;
    struct bench bench = {.users = 16};
    struct rocks_store_options wish = {.random = random_system()};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'd')
            folder = optarg;
        else if (option == 's')
            seconds = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'u')
            bench.users = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'b')
            batch = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'l')
            bench.loads = true;
        else if (option == 'h')
            bench.history = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'r')
            bench.records = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'i')
            wish.change_index_bytes = strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (bench.users == 0 || bench.users > BENCH_USERS_MAX || batch > BENCH_BATCH_MAX)
        return 2;
    if (!folder)
        folder = mkdtemp(made);
    struct sync_error error;
    wish.path = folder;
    if (rocks_store_open(&wish, &error, &bench.store) != SYNC_OK) {
        fprintf(stderr, "store_bench: %s\n", error.message);
        return 1;
    }
    printf("# %s\n%6s %6s %6s %12s %12s %12s %10s %10s\n", folder, "users", "batch", "loads",
           "changes/s", "CPU us each", "less making", "mean ms", "max ms");
    static const unsigned batches[] = {100, 1, 10, 1000};
    for (size_t i = 0; i < (batch ? 1 : sizeof batches / sizeof *batches); i++) {
        bench.batch = batch ? batch : batches[i];
        bench_run(&bench, seconds);
    }
    store_close(bench.store);
    return 0;
}
