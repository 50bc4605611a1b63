// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <stdio.h>

#include "base/memory.h"
#include "service/rpc/stream_registry.h"

/* A stream that notes what it is told. */
struct told_stream {
    struct stream_entry entry; /* first: found from it */
    unsigned superseded, revoked;
};

static void stream_told(struct stream_entry *entry, enum stream_word word) {
    struct told_stream *stream = (struct told_stream *)entry;
    stream->superseded += word == STREAM_SUPERSEDED;
    stream->revoked += word == STREAM_REVOKED;
}

static struct told_stream stream_of(const char *user, const char *device) {
    return (struct told_stream){
        .entry = {.user = slice_text(user), .device = slice_text(device), .told = stream_told}};
}

static void a_newer_stream_supersedes_the_older(void **state) {
    (void)state;
    struct stream_registry *registry = stream_registry_open();
    struct told_stream first = stream_of("anna", "phone"), second = stream_of("anna", "phone");
    stream_registry_add(registry, &first.entry);
    assert_int_equal(first.superseded, 0);
    stream_registry_add(registry, &second.entry);
    assert_int_equal(first.superseded, 1);
    assert_int_equal(second.superseded, 0);
    assert_int_equal(stream_registry_count(registry), 2);
    stream_registry_remove(registry, &first.entry);
    stream_registry_remove(registry, &second.entry);
    assert_int_equal(stream_registry_count(registry), 0);
    stream_registry_close(registry);
}

static void other_devices_and_users_are_left_alone(void **state) {
    (void)state;
    struct stream_registry *registry = stream_registry_open();
    struct told_stream phone = stream_of("anna", "phone"), tablet = stream_of("anna", "tablet");
    struct told_stream bens = stream_of("ben", "phone");
    stream_registry_add(registry, &phone.entry);
    stream_registry_add(registry, &tablet.entry);
    stream_registry_add(registry, &bens.entry);
    assert_int_equal(stream_registry_revoke(registry, SLICE("anna"), SLICE("phone")), 1);
    assert_int_equal(phone.revoked, 1);
    assert_int_equal(phone.superseded + tablet.superseded + bens.superseded, 0);
    assert_int_equal(tablet.revoked + bens.revoked, 0);
    stream_registry_remove(registry, &tablet.entry);
    stream_registry_remove(registry, &phone.entry);
    assert_int_equal(stream_registry_revoke(registry, SLICE("anna"), SLICE("phone")), 0);
    stream_registry_remove(registry, &bens.entry);
    stream_registry_close(registry);
}

static void many_streams_find_their_own(void **state) {
    (void)state;
    enum { COUNT = 40000 };
    static struct told_stream streams[COUNT];
    static char devices[COUNT][24];
    struct stream_registry *registry = stream_registry_open();
    for (int i = 0; i < COUNT; i++) {
        snprintf(devices[i], sizeof devices[i], "device-%d", i);
        streams[i] = stream_of("anna", devices[i]);
        stream_registry_add(registry, &streams[i].entry);
    }
    for (int i = 0; i < COUNT; i += 7)
        assert_int_equal(stream_registry_revoke(registry, SLICE("anna"), slice_text(devices[i])),
                         1);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(streams[i].revoked, i % 7 == 0);
        stream_registry_remove(registry, &streams[i].entry);
    }
    stream_registry_close(registry);
}

static void *come_and_go(void *context) {
    struct stream_registry *registry = context;
    for (int i = 0; i < 2000; i++) {
        struct told_stream stream = stream_of("anna", "phone");
        stream_registry_add(registry, &stream.entry);
        stream_registry_revoke(registry, SLICE("anna"), SLICE("phone"));
        stream_registry_remove(registry, &stream.entry);
        assert_true(stream.revoked > 0); /* read without a lock: nobody tells it any more */
    }
    return NULL;
}

static void streams_come_and_go_on_several_threads(void **state) {
    (void)state;
    struct stream_registry *registry = stream_registry_open();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, registry), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(stream_registry_count(registry), 0);
    stream_registry_close(registry);
}

static void opening_without_memory_fails(void **state) {
    (void)state;
    memory_fail_after(1);
    assert_null(stream_registry_open());
    memory_fail_after(0);
    assert_null(stream_registry_close(NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_newer_stream_supersedes_the_older),
        cmocka_unit_test(other_devices_and_users_are_left_alone),
        cmocka_unit_test(many_streams_find_their_own),
        cmocka_unit_test(streams_come_and_go_on_several_threads),
        cmocka_unit_test(opening_without_memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
