/* Symbols: the names that are taken, and by which service. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_SYMBOLS_H
#define TOOLS_PROTOC_GEN_GRPC_C_SYMBOLS_H

#include "base/arena.h"

struct symbols;

/* An empty set for at most `count_max` names; lives in the arena. NULL: no room. */
struct symbols *symbols_make(struct arena *arena, size_t count_max);

/* Who has the name: what was given with it; NULL when it is free. */
const void *symbols_owner(const struct symbols *symbols, const char *name);

/* Takes a free name; both are borrowed. */
void symbols_take(struct symbols *symbols, const char *name, const void *owner);

#endif
