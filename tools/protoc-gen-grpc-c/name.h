/* Names: from those of a proto to those of C, protoc-c's and ours.
 *
 * What is returned lives in the arena; NULL: it has no room. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_NAME_H
#define TOOLS_PROTOC_GEN_GRPC_C_NAME_H

#include <stdbool.h>

#include "base/arena.h"

/* "SyncService", "getHTTPConfig2", "Odd__name_" → "sync_service", "get_http_config2", "odd_name".
 * Never empty, nor does it begin with a digit; no underscores at the ends nor two in a row. */
char *name_snake(struct arena *arena, const char *name);

/* In upper case, what is no letter or digit an underscore: for macros, enumerators and guards. */
char *name_upper(struct arena *arena, const char *text);

/* Tells whether an identifier means something in C already: a keyword, or a macro of its standard
 * headers. */
bool name_is_reserved(const char *name);

/* What protoc-c calls the message `full_name` ("a.b.SomeName"): the struct (A__B__SomeName), its
 * initializer (A__B__SOME_NAME__INIT) and its descriptor (a__b__some_name__descriptor). */
char *name_message_type(struct arena *arena, const char *full_name);
char *name_message_init(struct arena *arena, const char *full_name);
char *name_message_descriptor(struct arena *arena, const char *full_name);

#endif
