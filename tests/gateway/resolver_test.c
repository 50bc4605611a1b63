#include "gateway/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/memory.h"

static struct resolver *opened(const char *targets, bool only_local, resolver_lookup *lookup) {
    struct sync_error error;
    struct resolver *resolver = NULL;
    const struct resolver_options options = {
        .targets = targets, .only_local = only_local, .lookup = lookup, .refresh_us = 1000};
    assert_int_equal(resolver_open(&options, &error, &resolver), SYNC_OK);
    return resolver;
}

static void expect_addresses(struct resolver *resolver, const char *const *texts, size_t count) {
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    assert_int_equal(resolver_addresses(resolver, addresses), count);
    for (size_t i = 0; i < count; i++) {
        char text[ADDRESS_TEXT_MAX];
        address_format(&addresses[i].address, text);
        assert_string_equal(text, texts[i]);
    }
}

static void addresses_are_known_at_once_and_each_is_one(void **state) {
    (void)state;
    struct resolver *resolver =
        opened("unix:/run/a.sock,127.0.0.1:50051,[::1]:50052,127.0.0.1:50051", true, NULL);
    static const char *const texts[] = {"unix:/run/a.sock", "127.0.0.1:50051", "[::1]:50052"};
    expect_addresses(resolver, texts, 3);
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    resolver_ask(resolver);
    expect_addresses(resolver, texts, 3);
    resolver_close(resolver);
}

static void expect_refused(const char *targets, bool only_local, const char *why) {
    struct sync_error error = {.status = SYNC_OK};
    struct resolver *resolver = NULL;
    const struct resolver_options options = {.targets = targets, .only_local = only_local};
    assert_int_equal(resolver_open(&options, &error, &resolver), SYNC_ERR_INVALID);
    assert_null(resolver);
    if (!strstr(error.message, why))
        fail_msg("%s: %s", targets, error.message);
}

static void what_is_wrong_with_the_list_is_told(void **state) {
    (void)state;
    expect_refused("", false, "an address is missing");
    expect_refused("127.0.0.1:1,", false, "an address is missing");
    expect_refused("127.0.0.1", false, "127.0.0.1 is not an address: expected HOST:PORT");
    expect_refused(":50051", false, "the host is missing");
    expect_refused("host:port", false, "the port is not a number");
    expect_refused("unix:", false, "a socket's path");
    struct buffer list;
    buffer_init(&list, 1024);
    for (int i = 0; i <= RESOLVER_TARGETS_MAX; i++)
        buffer_append_format(&list, "%s127.0.0.1:80", i ? "," : "");
    buffer_append_byte(&list, '\0');
    expect_refused((const char *)list.data, false, "the list is too long");
    buffer_done(&list);
}

static void other_machines_are_refused_in_clear(void **state) {
    (void)state;
    expect_refused("192.0.2.1:50051", true, "192.0.2.1:50051 is no upstream: it is on another");
    expect_refused("unix:/a,backend.example:50051", true, "backend.example:50051");
    resolver_close(opened("192.0.2.1:50051,backend.example:50051", false, NULL));
    resolver_close(opened("localhost:50051", true, NULL));
}

/* What a name has come to mean; each lookup tells the next. A script by port, which no two tests
 * share: the thread of one that has ended may still look up. */
enum { PORT_FIRST = 50051, SCRIPTS = 4 };
struct script {
    const char *const *meanings;
    atomic_int lookups;
};
static struct script scripts[SCRIPTS];

static int lookup_scripted(const char *host, const char *port, struct address *ret_addresses,
                           int max) {
    struct sync_error error;
    struct script *script = &scripts[strtol(port, NULL, 10) - PORT_FIRST];
    assert_string_equal(host, "localhost");
    assert_true(script >= scripts && script < scripts + SCRIPTS && max >= 2);
    int index = atomic_load(&script->lookups), count = 0;
    const char *text = script->meanings[index];
    if (!text) { /* the last stays */
        text = script->meanings[index - 1];
    } else {
        atomic_fetch_add(&script->lookups, 1);
    }
    for (; *text; count++) {
        char one[64];
        size_t size = strcspn(text, ",");
        memcpy(one, text, size);
        one[size] = '\0';
        assert_int_equal(address_parse_numeric(one, &error, &ret_addresses[count]), SYNC_OK);
        text += size + (text[size] == ',');
    }
    return count ? count : -1;
}

static void wait_for_change(const struct resolver *resolver, unsigned from) {
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; i < 30000 && resolver_generation(resolver) == from; i++)
        nanosleep(&pause, NULL);
    assert_int_not_equal(resolver_generation(resolver), from);
}

static void a_name_is_looked_up_again_and_again(void **state) {
    (void)state;
    static const char *const script[] = {"127.0.0.1:50051,127.0.0.2:50051",
                                         "127.0.0.2:50051,127.0.0.1:50051", "", "127.0.0.3:50051",
                                         NULL};
    static const char *const first[] = {"unix:/a", "127.0.0.1:50051", "127.0.0.2:50051"};
    static const char *const last[] = {"unix:/a", "127.0.0.3:50051"};
    scripts[0].meanings = script;
    struct resolver *resolver = opened("unix:/a,localhost:50051", true, lookup_scripted);
    unsigned before = resolver_generation(resolver);
    expect_addresses(resolver, first, 1);
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    assert_int_not_equal(resolver_generation(resolver), before);
    /* The same in another order, and no answer, are no change. */
    wait_for_change(resolver, before + 1);
    assert_int_equal(resolver_generation(resolver), before + 2);
    assert_int_equal(atomic_load(&scripts[0].lookups), 4);
    expect_addresses(resolver, last, 2);
    resolver_close(resolver);
}

static void who_asks_all_the_time_does_not_hold_up_a_lookup(void **state) {
    (void)state;
    static const char *const script[] = {"127.0.0.1:50051", "127.0.0.2:50051", "127.0.0.3:50051",
                                         NULL};
    const struct timespec pause = {.tv_nsec = 1000000};
    const struct resolver_options options = {
        .targets = "localhost:50052", .lookup = lookup_scripted, .refresh_us = 50000};
    struct sync_error error;
    struct resolver *resolver = NULL;
    scripts[1].meanings = script;
    assert_int_equal(resolver_open(&options, &error, &resolver), SYNC_OK);
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    for (int i = 0; i < 30000 && atomic_load(&scripts[1].lookups) < 3; i++) {
        resolver_ask(resolver);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(atomic_load(&scripts[1].lookups), 3);
    resolver_close(resolver);
}

static void a_name_that_leads_to_another_machine_leads_nowhere(void **state) {
    (void)state;
    static const char *const script[] = {"192.0.2.1:50051,127.0.0.1:50051", NULL};
    static const char *const texts[] = {"127.0.0.1:50051"};
    scripts[2].meanings = script;
    struct resolver *resolver = opened("localhost:50053", true, lookup_scripted);
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    expect_addresses(resolver, texts, 1);
    resolver_close(resolver);
}

static void an_address_keeps_the_name_it_goes_by(void **state) {
    (void)state;
    static const char *const script[] = {"127.0.0.1:50051", NULL};
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    scripts[3].meanings = script;
    struct resolver *resolver = opened("unix:/a,[::1]:443,localhost:50054", true, lookup_scripted);
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    assert_int_equal(resolver_addresses(resolver, addresses), 3);
    assert_string_equal(addresses[0].host, "localhost");
    assert_string_equal(addresses[0].authority, "localhost");
    assert_string_equal(addresses[1].host, "::1");
    assert_string_equal(addresses[1].authority, "[::1]:443");
    assert_string_equal(addresses[2].host, "localhost");
    assert_string_equal(addresses[2].authority, "localhost:50054");
    resolver_close(resolver);
}

static void the_system_finds_localhost(void **state) {
    (void)state;
    struct resolver *resolver = opened("localhost:50051", true, NULL);
    struct resolver_address addresses[RESOLVER_ADDRESSES_MAX];
    assert_int_equal(resolver_start(resolver), SYNC_OK);
    size_t count = resolver_addresses(resolver, addresses);
    assert_true(count >= 1);
    for (size_t i = 0; i < count; i++)
        assert_true(address_is_loopback(&addresses[i].address));
    resolver_close(resolver);
}

static void without_memory_it_does_not_open(void **state) {
    (void)state;
    struct sync_error error;
    struct resolver *resolver = NULL;
    const struct resolver_options options = {.targets = "127.0.0.1:1"};
    memory_fail_after(1);
    assert_int_equal(resolver_open(&options, &error, &resolver), SYNC_ERR_NO_MEMORY);
    memory_fail_after(0);
    assert_null(resolver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_known_at_once_and_each_is_one),
        cmocka_unit_test(what_is_wrong_with_the_list_is_told),
        cmocka_unit_test(other_machines_are_refused_in_clear),
        cmocka_unit_test(a_name_is_looked_up_again_and_again),
        cmocka_unit_test(who_asks_all_the_time_does_not_hold_up_a_lookup),
        cmocka_unit_test(a_name_that_leads_to_another_machine_leads_nowhere),
        cmocka_unit_test(an_address_keeps_the_name_it_goes_by),
        cmocka_unit_test(the_system_finds_localhost),
        cmocka_unit_test(without_memory_it_does_not_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
