/* Outbox: what was put in comes out in order, wherever it lay and however much the socket takes at
 * once. TEST_SEED=N repeats a run. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory.h"
#include "gateway/outbox.h"

enum { BYTES_MAX = 8 << 20, PART_MAX = 40 << 10, PARTS_MAX = 120, ROUNDS = 60, KEEP = 64 << 10 };

static struct outbox_part lent[OUTBOX_LENT_MAX];

struct pair {
    struct transport transport;
    int reader;
    struct buffer wanted, got;
};

static void pair_open(struct pair *pair) {
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(transport_init(&pair->transport, fds[0], NULL), SYNC_OK);
    pair->reader = fds[1];
    buffer_init(&pair->wanted, (size_t)1 << 30);
    buffer_init(&pair->got, (size_t)1 << 30);
}

static void pair_close(struct pair *pair) {
    transport_done(&pair->transport);
    close(pair->reader);
    buffer_done(&pair->wanted);
    buffer_done(&pair->got);
}

/* Reads up to `size` bytes of what has come. */
static void pair_read(struct pair *pair, size_t size) {
    while (size > 0) {
        uint8_t bytes[4096];
        ssize_t got = recv(pair->reader, bytes, size < sizeof bytes ? size : sizeof bytes, 0);
        if (got <= 0)
            return;
        buffer_append(&pair->got, slice_of(bytes, (size_t)got));
        size -= (size_t)got;
    }
}

static uint64_t random_below(uint64_t *seed, uint64_t bound) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (*seed >> 33) % bound;
}

/* Puts in some parts, large and small; what is lent changes as soon as it may. */
static void fill_and_write(struct outbox *outbox, struct pair *pair, uint64_t *seed) {
    static uint8_t bytes[PARTS_MAX * PART_MAX];
    size_t used = 0, count = random_below(seed, 2) ? random_below(seed, PARTS_MAX) : 3;
    for (size_t i = 0; i < count; i++) {
        size_t size = random_below(seed, random_below(seed, 2) ? PART_MAX : 64);
        struct slice part = slice_of(bytes + used, size);
        memset(bytes + used, (int)random_below(seed, 256), size);
        used += size;
        if (random_below(seed, 3))
            outbox_lend(outbox, part);
        else
            outbox_add(outbox, part);
        buffer_append(&pair->wanted, part);
    }
    assert_true(outbox_waiting(outbox) + pair->got.size <= pair->wanted.size);
    assert_true(outbox_write(outbox, &pair->transport, KEEP));
    assert_int_equal(outbox->lent_count, 0);
    memset(bytes, 0xee, used);
}

static void run(bool copies, uint64_t seed) {
    struct pair pair;
    struct outbox outbox;
    pair_open(&pair);
    outbox_init(&outbox, (size_t)1 << 30, lent, copies);
    for (int round = 0; round < ROUNDS; round++) {
        fill_and_write(&outbox, &pair, &seed);
        pair_read(&pair, random_below(&seed, PARTS_MAX * PART_MAX / 2));
        /* Most of what is put in must get out again, or all would be waiting in the end. */
        while (outbox_waiting(&outbox) > PARTS_MAX * PART_MAX) {
            pair_read(&pair, SIZE_MAX);
            assert_true(outbox_write(&outbox, &pair.transport, KEEP));
        }
    }
    while (outbox_waiting(&outbox) > 0) {
        pair_read(&pair, SIZE_MAX);
        assert_true(outbox_write(&outbox, &pair.transport, KEEP));
    }
    assert_true(outbox.own.capacity <= KEEP);
    pair_read(&pair, SIZE_MAX);
    assert_int_equal(pair.got.size, pair.wanted.size);
    assert_memory_equal(pair.got.data, pair.wanted.data, pair.got.size);
    outbox_done(&outbox);
    pair_close(&pair);
}

static void all_comes_out_in_order(void **state) {
    const char *given = getenv("TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    (void)state;
    print_message("TEST_SEED=%" PRIu64 "\n", seed);
    run(false, seed);
    run(true, seed);
}

/* It is not copied: what changes of it before it is sent is sent changed. */
static void a_tail_is_sent_from_where_it_lies(void **state) {
    static uint8_t bytes[BYTES_MAX];
    struct pair pair;
    struct outbox outbox;
    (void)state;
    pair_open(&pair);
    outbox_init(&outbox, PART_MAX, lent, false);
    outbox_add(&outbox, SLICE("own"));
    outbox_lend(&outbox, slice_of(bytes, OUTBOX_LENT_MIN));
    memset(bytes, 'a', sizeof bytes);
    outbox_lend_tail(&outbox, slice_of(bytes, sizeof bytes));
    assert_true(outbox_write(&outbox, &pair.transport, KEEP));
    size_t left = outbox.tail.size;
    assert_int_equal(outbox_waiting(&outbox), left);
    assert_true(left > 0 && left < sizeof bytes);
    memset(bytes + sizeof bytes - left, 'b', left);
    while (outbox_waiting(&outbox) > 0) {
        pair_read(&pair, SIZE_MAX);
        assert_true(outbox_write(&outbox, &pair.transport, KEEP));
    }
    pair_read(&pair, SIZE_MAX);
    const size_t before = 3 + OUTBOX_LENT_MIN;
    assert_int_equal(pair.got.size, before + sizeof bytes);
    assert_memory_equal(pair.got.data, "ownaaa", 6);
    assert_memory_equal(pair.got.data + before, bytes, sizeof bytes);
    outbox_done(&outbox);
    pair_close(&pair);
}

static void a_broken_connection_is_told(void **state) {
    struct pair pair;
    struct outbox outbox;
    (void)state;
    pair_open(&pair);
    outbox_init(&outbox, BYTES_MAX, lent, false);
    close(pair.reader);
    outbox_add(&outbox, SLICE("x"));
    assert_false(outbox_write(&outbox, &pair.transport, KEEP));
    outbox_done(&outbox);
    pair.reader = dup(0);
    pair_close(&pair);
}

/* What the socket leaves of parts that lie elsewhere has to be kept, and may find no room. */
static void no_memory_for_what_is_left_is_told(void **state) {
    static uint8_t bytes[BYTES_MAX];
    struct pair pair;
    struct outbox outbox;
    (void)state;
    pair_open(&pair);
    outbox_init(&outbox, (size_t)2 * BYTES_MAX, lent, false);
    outbox_lend(&outbox, slice_of(bytes, sizeof bytes));
    memory_fail_after(1);
    assert_false(outbox_write(&outbox, &pair.transport, KEEP));
    memory_fail_after(0);
    assert_true(outbox_has_failed(&outbox));
    outbox_done(&outbox);
    outbox_init(&outbox, BYTES_MAX / 2, lent, false); /* nor beyond the bound */
    outbox_lend(&outbox, slice_of(bytes, sizeof bytes));
    assert_false(outbox_write(&outbox, &pair.transport, KEEP));
    outbox_done(&outbox);
    pair_close(&pair);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_comes_out_in_order),
        cmocka_unit_test(a_tail_is_sent_from_where_it_lies),
        cmocka_unit_test(a_broken_connection_is_told),
        cmocka_unit_test(no_memory_for_what_is_left_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
