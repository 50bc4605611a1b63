/* Target: where a channel leads to. For client/stub alone. */
#ifndef CLIENT_STUB_TARGET_H
#define CLIENT_STUB_TARGET_H

#include <stdbool.h>

enum { TARGET_MAX = 512 };

/* Writes a target, NUL-terminated, as the library takes it: the path of a Unix socket is escaped.
 * Returns NULL, or why it is no target as a static sentence. */
const char *target_write(const char *target, char ret_text[TARGET_MAX]);

/* Tells whether a target leads to this machine, where no proxy stands between. */
bool target_is_local(const char *target);

#endif
