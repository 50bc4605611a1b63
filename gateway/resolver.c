#include "gateway/resolver.h"

#include <assert.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"

enum {
    RESOLVER_REFRESH_US = 30000000,
    RESOLVER_PAUSE_US = 1000000, /* between two lookups, whoever asks */
    RESOLVER_FIRST_US = 2000000,
};

struct resolver_target {
    char host[ADDRESS_TEXT_MAX], port[ADDRESS_PORT_TEXT_MAX];
    char authority[ADDRESS_TEXT_MAX];
    bool is_name;
    struct address addresses[RESOLVER_ADDRESSES_MAX]; /* of a name: as last found */
    int count;
};

struct resolver {
    resolver_lookup *lookup;
    uint64_t refresh_us;
    struct log *log;
    bool only_local, has_names, started;
    atomic_uint references; /* its owner's and its thread's */
    atomic_uint generation;
    pthread_mutex_t mutex; /* guards all that follows */
    pthread_cond_t wake;   /* asked or closing */
    pthread_cond_t first;  /* all names were looked up once */
    bool closing, asked, looked;
    size_t target_count;
    struct resolver_target targets[RESOLVER_TARGETS_MAX];
};

static int lookup_system(const char *host, const char *port, struct address *ret_addresses,
                         int max) {
    struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return -1;
    int count = 0;
    for (struct addrinfo *one = found; one && count < max; one = one->ai_next) {
        struct address *address = &ret_addresses[count++];
        memset(address, 0, sizeof(*address));
        memcpy(&address->storage, one->ai_addr, one->ai_addrlen);
        address->size = one->ai_addrlen;
    }
    freeaddrinfo(found);
    return count;
}

static enum sync_status target_bad(const char *text, const char *why, struct sync_error *error) {
    return sync_error_set(error, SYNC_ERR_INVALID, "UPSTREAM", NULL, "%s is no upstream: %s", text,
                          why);
}

static enum sync_status resolver_add(struct resolver *resolver, const char *text,
                                     struct sync_error *error) {
    if (resolver->target_count == RESOLVER_TARGETS_MAX)
        return target_bad(text, "the list is too long", error);
    struct resolver_target *target = &resolver->targets[resolver->target_count];
    enum sync_status status = address_parse_numeric(text, error, &target->addresses[0]);
    target->is_name = status == SYNC_ERR_NOT_FOUND;
    if (target->is_name)
        resolver->has_names = true;
    else if (status != SYNC_OK)
        return status;
    else
        target->count = 1;
    if (!target->is_name && target->addresses[0].storage.ss_family == AF_UNIX) {
        snprintf(target->host, sizeof(target->host), "localhost");
        snprintf(target->authority, sizeof(target->authority), "localhost");
    } else {
        snprintf(target->authority, sizeof(target->authority), "%s", text);
        status = address_split(text, error, target->host, target->port);
        if (status != SYNC_OK)
            return status;
    }
    bool is_local = target->is_name ? strcmp(target->host, "localhost") == 0
                                    : address_is_loopback(&target->addresses[0]);
    if (resolver->only_local && !is_local)
        return target_bad(text,
                          "it is on another machine and would be spoken to in clear: use "
                          "--upstream-tls, or say --upstream-cleartext",
                          error);
    resolver->target_count++;
    return SYNC_OK;
}

static enum sync_status resolver_read(struct resolver *resolver, const char *list,
                                      struct sync_error *error) {
    for (;;) {
        char text[ADDRESS_TEXT_MAX];
        size_t size = strcspn(list, ",");
        if (size == 0)
            return sync_error_set(error, SYNC_ERR_INVALID, "UPSTREAM", NULL,
                                  "--upstream: an address is missing in \"%s\"", list);
        if (size >= sizeof(text))
            return target_bad(list, "it is too long", error);
        memcpy(text, list, size);
        text[size] = '\0';
        enum sync_status status = resolver_add(resolver, text, error);
        if (status != SYNC_OK || list[size] == '\0')
            return status;
        list += size + 1;
    }
}

/* Gives up one of the two references; the last frees. */
static void resolver_release(struct resolver *resolver) {
    if (atomic_fetch_sub(&resolver->references, 1) > 1)
        return;
    pthread_cond_destroy(&resolver->wake);
    pthread_cond_destroy(&resolver->first);
    pthread_mutex_destroy(&resolver->mutex);
    memory_free(resolver);
}

enum sync_status resolver_open(const struct resolver_options *options, struct sync_error *error,
                               struct resolver **ret_resolver) {
    assert(options->targets);
    struct resolver *resolver = memory_zalloc(1, sizeof(*resolver));
    if (!resolver)
        return sync_error_set(error, SYNC_ERR_NO_MEMORY, "MEMORY", NULL,
                              "no memory for the upstream");
    resolver->lookup = options->lookup ? options->lookup : lookup_system;
    resolver->refresh_us = options->refresh_us ? options->refresh_us : RESOLVER_REFRESH_US;
    resolver->log = options->log;
    resolver->only_local = options->only_local;
    atomic_init(&resolver->references, 1);
    atomic_init(&resolver->generation, 1);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&resolver->wake, &monotonic);
    pthread_cond_init(&resolver->first, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&resolver->mutex, NULL);
    enum sync_status status = resolver_read(resolver, options->targets, error);
    if (status != SYNC_OK) {
        resolver_release(resolver);
        return status;
    }
    *ret_resolver = resolver;
    return SYNC_OK;
}

/* The moment in `us` from now. */
static struct timespec moment_in(uint64_t us) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    uint64_t nanoseconds = (uint64_t)moment.tv_nsec + us % 1000000 * 1000;
    moment.tv_sec += (time_t)(us / 1000000 + nanoseconds / 1000000000);
    moment.tv_nsec = (long)(nanoseconds % 1000000000);
    return moment;
}

/* Waits with the mutex held, however often it is woken, until `us` have passed or `flag` is set or
 * it closes. */
static void resolver_wait(struct resolver *resolver, pthread_cond_t *what, const bool *flag,
                          uint64_t us) {
    const struct timespec until = moment_in(us);
    while (!resolver->closing && !(flag && *flag) &&
           pthread_cond_timedwait(what, &resolver->mutex, &until) == 0)
        continue;
}

/* Tells whether two lists hold the same addresses, in any order: servers of names turn them. */
static bool target_holds(const struct resolver_target *target, const struct address *found,
                         int count) {
    if (target->count != count)
        return false;
    for (int i = 0; i < count; i++) {
        if (!address_is_among(&found[i], target->addresses, (size_t)count))
            return false;
    }
    return true;
}

static int keep_local(struct address *addresses, int count) {
    int kept = 0;
    for (int i = 0; i < count; i++) {
        if (address_is_loopback(&addresses[i]))
            addresses[kept++] = addresses[i];
    }
    return kept;
}

/* Looks one name up, with the mutex not held meanwhile. What was known stays where nothing is
 * found. */
static void resolver_look_up(struct resolver *resolver, struct resolver_target *target) {
    struct address found[RESOLVER_ADDRESSES_MAX];
    pthread_mutex_unlock(&resolver->mutex);
    int count = resolver->lookup(target->host, target->port, found, RESOLVER_ADDRESSES_MAX);
    pthread_mutex_lock(&resolver->mutex);
    if (count > 0 && resolver->only_local)
        count = keep_local(found, count);
    if (resolver->closing)
        return;
    if (count <= 0) {
        log_line(resolver->log, LOG_WARN, "the name of an upstream has no address",
                 LOG_TEXT("host", target->host), LOG_INT("known", target->count));
        return;
    }
    if (target_holds(target, found, count))
        return;
    memcpy(target->addresses, found, sizeof(found[0]) * (size_t)count);
    target->count = count;
    atomic_fetch_add(&resolver->generation, 1);
    log_line(resolver->log, LOG_INFO, "the name of an upstream was looked up",
             LOG_TEXT("host", target->host), LOG_INT("addresses", count));
}

static void *resolver_run(void *context) {
    struct resolver *resolver = context;
    pthread_mutex_lock(&resolver->mutex);
    while (!resolver->closing) {
        resolver->asked = false;
        for (size_t i = 0; i < resolver->target_count && !resolver->closing; i++) {
            if (resolver->targets[i].is_name)
                resolver_look_up(resolver, &resolver->targets[i]);
        }
        resolver->looked = true;
        pthread_cond_broadcast(&resolver->first);
        uint64_t pause_us =
            RESOLVER_PAUSE_US < resolver->refresh_us ? RESOLVER_PAUSE_US : resolver->refresh_us;
        resolver_wait(resolver, &resolver->wake, NULL, pause_us);
        resolver_wait(resolver, &resolver->wake, &resolver->asked, resolver->refresh_us);
    }
    pthread_mutex_unlock(&resolver->mutex);
    resolver_release(resolver);
    return NULL;
}

enum sync_status resolver_start(struct resolver *resolver) {
    assert(!resolver->started);
    if (!resolver->has_names)
        return SYNC_OK;
    pthread_t thread;
    atomic_fetch_add(&resolver->references, 1);
    if (pthread_create(&thread, NULL, resolver_run, resolver) != 0) {
        atomic_fetch_sub(&resolver->references, 1);
        return SYNC_ERR_IO;
    }
    pthread_setname_np(thread, "resolver");
    pthread_detach(thread);
    resolver->started = true;
    pthread_mutex_lock(&resolver->mutex);
    resolver_wait(resolver, &resolver->first, &resolver->looked, RESOLVER_FIRST_US);
    pthread_mutex_unlock(&resolver->mutex);
    return SYNC_OK;
}

struct resolver *resolver_close(struct resolver *resolver) {
    if (!resolver)
        return NULL;
    pthread_mutex_lock(&resolver->mutex);
    resolver->closing = true;
    resolver->log = NULL;
    pthread_cond_broadcast(&resolver->wake);
    pthread_mutex_unlock(&resolver->mutex);
    resolver_release(resolver);
    return NULL;
}

unsigned resolver_generation(const struct resolver *resolver) {
    return atomic_load(&resolver->generation);
}

size_t resolver_addresses(struct resolver *resolver,
                          struct resolver_address ret_addresses[RESOLVER_ADDRESSES_MAX]) {
    struct address known[RESOLVER_ADDRESSES_MAX];
    size_t count = 0;
    pthread_mutex_lock(&resolver->mutex);
    for (size_t i = 0; i < resolver->target_count; i++) {
        const struct resolver_target *target = &resolver->targets[i];
        for (int j = 0; j < target->count && count < RESOLVER_ADDRESSES_MAX; j++) {
            if (address_is_among(&target->addresses[j], known, count))
                continue;
            known[count] = target->addresses[j];
            ret_addresses[count].address = target->addresses[j];
            memcpy(ret_addresses[count].host, target->host, sizeof(target->host));
            memcpy(ret_addresses[count].authority, target->authority, sizeof(target->authority));
            count++;
        }
    }
    pthread_mutex_unlock(&resolver->mutex);
    return count;
}

void resolver_ask(struct resolver *resolver) {
    if (!resolver->started)
        return;
    pthread_mutex_lock(&resolver->mutex);
    if (!resolver->asked)
        pthread_cond_broadcast(&resolver->wake);
    resolver->asked = true;
    pthread_mutex_unlock(&resolver->mutex);
}
