#include "client/stub/metadata.h"

#include "base/limits.h"

enum { ENTRY_OVERHEAD = 32 }; /* as HTTP/2 counts */

/* What HTTP/2 or the library writes itself. */
static const char *const reserved_keys[] = {"connection", "content-length",    "content-type",
                                            "host",       "keep-alive",        "proxy-connection",
                                            "te",         "transfer-encoding", "upgrade",
                                            "user-agent"};

static bool key_is_reserved(const char *key) {
    for (size_t i = 0; i < sizeof reserved_keys / sizeof reserved_keys[0]; i++)
        if (strcmp(key, reserved_keys[i]) == 0)
            return true;
    return strncmp(key, "grpc-", 5) == 0;
}

static bool key_is_legal(const char *key) {
    size_t size = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    return size > 0 && key[size] == '\0';
}

static bool key_is_binary(const char *key) {
    size_t size = strlen(key);
    return size >= 4 && memcmp(key + size - 4, "-bin", 4) == 0;
}

/* Tells whether all bytes are of `first` to '~'. */
static bool bytes_are_within(struct slice bytes, uint8_t first) {
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.data[i] < first || bytes.data[i] > '~')
            return false;
    return true;
}

const char *metadata_fault(const struct stub_metadata *entries, size_t count) {
    size_t total = 0;
    if (count > HTTP_HEADERS_COUNT_MAX)
        return "There are too many metadata entries.";
    for (size_t i = 0; i < count; i++) {
        const struct stub_metadata *entry = &entries[i];
        if (!entry->key || !key_is_legal(entry->key))
            return "A metadata key has other characters than [a-z0-9_.-].";
        if (key_is_reserved(entry->key))
            return "A metadata key is one that gRPC or HTTP/2 keeps for itself.";
        if (!key_is_binary(entry->key) &&
            !bytes_are_within(slice_of(entry->value, entry->size), ' '))
            return "A metadata value is no printable ASCII, and its key does not end in \"-bin\".";
        if (entry->size > GRPC_METADATA_MAX)
            return "A metadata value is too large.";
        total += strlen(entry->key) + entry->size + ENTRY_OVERHEAD;
    }
    return total > GRPC_METADATA_MAX ? "The metadata are too large." : NULL;
}

bool metadata_has(const struct stub_metadata *entries, size_t count, const char *key) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].key, key) == 0)
            return true;
    return false;
}

bool metadata_is_token(struct slice token) {
    return token.size > 0 && bytes_are_within(token, '!');
}
