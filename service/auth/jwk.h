/* JWK: one key of a key set (RFC 7517, 7518, 8037) and what it verifies. A key has one algorithm,
 * which follows from its type; what a token says is only compared with it. */
#ifndef SERVICE_AUTH_JWK_H
#define SERVICE_AUTH_JWK_H

#include "base/bytes.h"

/* The one algorithm that a key is for. */
enum jwk_algorithm { JWK_RS256, JWK_ES256, JWK_EDDSA, JWK_HS256, JWK_ALGORITHMS };

enum { JWK_ID_MAX = 128 };

struct jwk;
struct jwk_set;

/* Reads an algorithm's name as "alg" has it; false for all but the four. */
bool jwk_algorithm_parse(struct slice name, enum jwk_algorithm *ret_algorithm);

/* Reads a JWK set. Keys of other types or for another use than signatures are left out; a key of a
 * known type that is malformed, too weak (RSA below 2048 bits, HMAC below 256) or that names
 * another algorithm than its type's is an error, and so is a set without a usable key. */
enum sync_status jwk_set_parse(struct slice json, struct sync_error *error,
                               struct jwk_set **ret_set);

/* Releases; returns NULL. */
struct jwk_set *jwk_set_close(struct jwk_set *set);

/* The key with the id, or NULL. Lives as long as the set. */
const struct jwk *jwk_set_find(const struct jwk_set *set, struct slice id);

/* The only key of an algorithm, or NULL when there is none or more than one. */
const struct jwk *jwk_set_only(const struct jwk_set *set, enum jwk_algorithm algorithm);

/* The key's algorithm. */
enum jwk_algorithm jwk_algorithm_of(const struct jwk *key);

/* Whether `signature`, in the form of JWS (RFC 7518), is the key's over `message`. Thread-safe. */
bool jwk_verify(const struct jwk *key, struct slice message, struct slice signature);

#endif
