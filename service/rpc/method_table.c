#include "service/rpc/method_table.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/memory.h"

enum { HASH_SEED = 0x6d657468 };

struct method_entry {
    const struct rpc_method *method; /* NULL: the unknown */
    char *service, *name;            /* owned; labels */
    const char *type;
    struct method_table *table;
    struct metric *started, *seconds;
    struct metric *_Atomic handled[RPC_CODES]; /* made when first counted */
};

struct method_table {
    struct metric_family *handled;
    struct method_entry *entries; /* `count`, then the unknown */
    size_t count;
    size_t slot_mask;
    uint32_t slots[]; /* index + 1 into entries; 0 is free */
};

static const char *shape_label(enum rpc_shape shape) {
    switch (shape) {
    case RPC_UNARY:
        return "unary";
    case RPC_SERVER_STREAM:
        return "server_stream";
    case RPC_CLIENT_STREAM:
        return "client_stream";
    case RPC_BIDIRECTIONAL:
        return "bidi_stream";
    }
    return "unknown";
}

/* Splits "/service/name" into the entry's labels. */
static bool entry_name(struct method_entry *entry, struct slice path) {
    assert(path.size > 2 && path.data[0] == '/');
    const uint8_t *slash = memrchr(path.data, '/', path.size);
    size_t service_size = slash > path.data ? (size_t)(slash - path.data) - 1 : 0;
    entry->service = memory_copy_text(path.data + 1, service_size);
    entry->name = memory_copy_text(slash + 1, path.size - service_size - 2);
    return entry->service && entry->name;
}

/* Takes the series that every call updates. */
static void entry_measure(struct method_entry *entry, struct metric_family *started,
                          struct metric_family *seconds) {
    const char *const values[] = {entry->service, entry->name, entry->type};
    entry->started = metric_series(started, values);
    entry->seconds = metric_series(seconds, values);
}

static const char *const call_labels[] = {"grpc_service", "grpc_method", "grpc_type", NULL};
static const char *const code_labels[] = {"grpc_service", "grpc_method", "grpc_type", "grpc_code",
                                          NULL};
static const double second_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                       0.1,    0.25,  0.5,    1,     2.5,  5,     10};

/* Registers the families and gives every entry its series. */
static bool table_measure(struct method_table *table, struct metrics *metrics) {
    struct metric_family *started =
        metric_family_add(metrics, &(struct metric_options){
                                       .kind = METRIC_COUNTER,
                                       .name = "grpc_server_started_total",
                                       .help = "Calls begun.",
                                       .labels = call_labels,
                                   });
    table->handled = metric_family_add(metrics, &(struct metric_options){
                                                    .kind = METRIC_COUNTER,
                                                    .name = "grpc_server_handled_total",
                                                    .help = "Calls ended, by status code.",
                                                    .labels = code_labels,
                                                });
    struct metric_family *seconds = metric_family_add(
        metrics, &(struct metric_options){
                     .kind = METRIC_HISTOGRAM,
                     .name = "grpc_server_handling_seconds",
                     .help = "Time from a call's arrival to its end.",
                     .labels = call_labels,
                     .bounds = second_bounds,
                     .bounds_count = sizeof second_bounds / sizeof second_bounds[0],
                 });
    if (!started || !table->handled || !seconds)
        return false;
    for (size_t i = 0; i <= table->count; i++)
        entry_measure(&table->entries[i], started, seconds);
    return true;
}

/* Puts an entry into the first free slot behind its hash. */
static void table_index(struct method_table *table, uint32_t index, struct slice path) {
    size_t slot = slice_hash(path, HASH_SEED) & table->slot_mask;
    while (table->slots[slot])
        slot = (slot + 1) & table->slot_mask;
    table->slots[slot] = index + 1;
}

static bool table_fill(struct method_table *table, const struct rpc_method *methods) {
    for (size_t i = 0; i < table->count; i++) {
        struct slice path = slice_text(methods[i].path);
        struct method_entry *entry = &table->entries[i];
        entry->method = &methods[i];
        entry->type = shape_label(methods[i].shape);
        entry->table = table;
        if (!entry_name(entry, path))
            return false;
        table_index(table, (uint32_t)i, path);
    }
    struct method_entry *unknown = &table->entries[table->count];
    unknown->type = "unknown";
    unknown->table = table;
    return entry_name(unknown, SLICE("/unknown/unknown"));
}

struct method_table *method_table_open(const struct rpc_method *methods, size_t count,
                                       struct metrics *metrics) {
    size_t slots = 16;
    while (slots < count * 2)
        slots *= 2;
    struct method_table *table = memory_zalloc(1, sizeof *table + slots * sizeof(uint32_t));
    if (!table)
        return NULL;
    table->count = count;
    table->slot_mask = slots - 1;
    table->entries = memory_zalloc(count + 1, sizeof *table->entries);
    if (!table->entries || !table_fill(table, methods) ||
        (metrics && !table_measure(table, metrics)))
        return method_table_close(table);
    return table;
}

struct method_table *method_table_close(struct method_table *table) {
    if (!table)
        return NULL;
    for (size_t i = 0; table->entries && i <= table->count; i++) {
        memory_free(table->entries[i].service);
        memory_free(table->entries[i].name);
    }
    memory_free(table->entries);
    memory_free(table);
    return NULL;
}

struct method_entry *method_table_find(struct method_table *table, struct slice path) {
    size_t slot = slice_hash(path, HASH_SEED) & table->slot_mask;
    for (; table->slots[slot]; slot = (slot + 1) & table->slot_mask) {
        struct method_entry *entry = &table->entries[table->slots[slot] - 1];
        if (slice_equal(slice_text(entry->method->path), path))
            return entry;
    }
    return &table->entries[table->count];
}

const struct rpc_method *method_entry_method(const struct method_entry *entry) {
    return entry->method;
}

void method_entry_started(struct method_entry *entry) {
    metric_add(entry->started, 1);
}

void method_entry_handled(struct method_entry *entry, enum rpc_code code, double seconds) {
    assert((unsigned)code < RPC_CODES);
    struct metric *handled = atomic_load_explicit(&entry->handled[code], memory_order_acquire);
    if (!handled && entry->table->handled) {
        const char *const values[] = {entry->service, entry->name, entry->type,
                                      rpc_code_name(code)};
        handled = metric_series(entry->table->handled, values);
        atomic_store_explicit(&entry->handled[code], handled, memory_order_release);
    }
    metric_add(handled, 1);
    metric_observe(entry->seconds, seconds);
}
