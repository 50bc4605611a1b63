#include "tools/protoc-gen-grpc-c/symbols.h"

#include <assert.h>

enum { HASH_SEED = 0x73796d62 };

struct symbol {
    const char *name; /* NULL: free */
    const void *owner;
};

struct symbols {
    size_t mask, room;
    struct symbol slots[];
};

struct symbols *symbols_make(struct arena *arena, size_t count_max) {
    size_t size = 16;
    while (size < count_max * 2)
        size *= 2;
    struct symbols *symbols =
        arena_zalloc(arena, 1, sizeof *symbols + size * sizeof symbols->slots[0]);
    if (!symbols)
        return NULL;
    symbols->mask = size - 1;
    symbols->room = count_max;
    return symbols;
}

/* The slot of a name, or the free one where it would be. */
static size_t symbols_slot(const struct symbols *symbols, const char *name) {
    size_t at = slice_hash(slice_text(name), HASH_SEED) & symbols->mask;
    while (symbols->slots[at].name && strcmp(symbols->slots[at].name, name) != 0)
        at = (at + 1) & symbols->mask;
    return at;
}

const void *symbols_owner(const struct symbols *symbols, const char *name) {
    return symbols->slots[symbols_slot(symbols, name)].owner;
}

void symbols_take(struct symbols *symbols, const char *name, const void *owner) {
    assert(owner);
    assert(symbols->room > 0);
    struct symbol *slot = &symbols->slots[symbols_slot(symbols, name)];
    assert(!slot->name);
    *slot = (struct symbol){name, owner};
    symbols->room--;
}
