/* Page tokens: where a list goes on, as opaque text that is bound to who asked for what. Pure. */
#ifndef SERVICE_RPC_PAGE_TOKEN_H
#define SERVICE_RPC_PAGE_TOKEN_H

#include "base/arena.h"
#include "base/bytes.h"

enum { PAGE_TOKEN_PAYLOAD_MAX = 640 };

/* What a token is bound to: the list, the user and the parameters that must stay the same. */
struct page_binding {
    const char *list;
    struct slice user;
    struct slice parameters;
};

/* Writes a token for a position of at most PAGE_TOKEN_PAYLOAD_MAX bytes: NUL-terminated base64url
 * in the arena, or NULL. */
char *page_token_format(struct arena *arena, const struct page_binding *binding,
                        struct slice position);

/* Reads a token. SYNC_ERR_INVALID when it is not one of ours, or was made for another list, user or
 * parameters; SYNC_ERR_NO_MEMORY. The position lives in the arena. */
enum sync_status page_token_parse(struct slice text, const struct page_binding *binding,
                                  struct arena *arena, struct slice *ret_position);

#endif
