#include "service/auth/jwk.h"

#include "base/memory.h"
#include "service/auth/jwk_private.h"

bool jwk_algorithm_parse(struct slice name, enum jwk_algorithm *ret_algorithm) {
    static const char *const names[JWK_ALGORITHMS] = {
        [JWK_RS256] = "RS256",
        [JWK_ES256] = "ES256",
        [JWK_EDDSA] = "EdDSA",
        [JWK_HS256] = "HS256",
    };
    for (size_t i = 0; i < JWK_ALGORITHMS; i++) {
        if (slice_equal(name, slice_text(names[i]))) {
            *ret_algorithm = (enum jwk_algorithm)i;
            return true;
        }
    }
    return false;
}

/* Reads the keys of "keys". */
static enum sync_status set_fill(struct jwk_set *set, json_t *keys, struct sync_error *error) {
    size_t index;
    json_t *object;
    json_array_foreach(keys, index, object) {
        enum sync_status status = jwk_parse(object, error, &set->keys[set->count]);
        if (status == SYNC_ERR_NOT_FOUND)
            continue;
        if (status != SYNC_OK)
            return status;
        const char *id = set->keys[set->count++].id;
        for (size_t i = 0; id[0] && i + 1 < set->count; i++) {
            if (strcmp(set->keys[i].id, id) == 0)
                return sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL,
                                      "two keys have the id \"%s\"", id);
        }
    }
    if (set->count == 0)
        return sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL, "the set holds no usable key");
    return SYNC_OK;
}

enum sync_status jwk_set_parse(struct slice json, struct sync_error *error,
                               struct jwk_set **ret_set) {
    json_error_t fault;
    json_t *root = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &fault);
    json_t *keys = json_object_get(root, "keys");
    struct jwk_set *set = memory_zalloc(1, sizeof *set);
    enum sync_status status = SYNC_OK;
    if (!set)
        status =
            sync_error_set(error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL, "no memory for the keys");
    else if (!root)
        status = sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL, "not JSON, line %d: %s",
                                fault.line, fault.text);
    else if (!json_is_array(keys) || json_array_size(keys) > JWKS_KEYS_MAX)
        status = sync_error_set(error, SYNC_ERR_INVALID, "JWKS", NULL,
                                "no \"keys\" with at most %d keys", JWKS_KEYS_MAX);
    else
        status = set_fill(set, keys, error);
    json_decref(root);
    if (status != SYNC_OK) {
        jwk_set_close(set);
        return status;
    }
    *ret_set = set;
    return SYNC_OK;
}

struct jwk_set *jwk_set_close(struct jwk_set *set) {
    if (!set)
        return NULL;
    for (size_t i = 0; i < set->count; i++)
        jwk_done(&set->keys[i]);
    memory_free(set);
    return NULL;
}

const struct jwk *jwk_set_find(const struct jwk_set *set, struct slice id) {
    for (size_t i = 0; id.size > 0 && i < set->count; i++) {
        if (slice_equal(slice_text(set->keys[i].id), id))
            return &set->keys[i];
    }
    return NULL;
}

const struct jwk *jwk_set_only(const struct jwk_set *set, enum jwk_algorithm algorithm) {
    const struct jwk *only = NULL;
    for (size_t i = 0; i < set->count; i++) {
        if (set->keys[i].algorithm != algorithm)
            continue;
        if (only)
            return NULL;
        only = &set->keys[i];
    }
    return only;
}

enum jwk_algorithm jwk_algorithm_of(const struct jwk *key) {
    return key->algorithm;
}
