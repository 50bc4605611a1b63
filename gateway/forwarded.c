#include "gateway/forwarded.h"

#include "gateway/http_text.h"

/* The entries of all headers of one name, from the last to the first. */
struct chain {
    const struct transcode_header *headers;
    size_t left; /* headers not yet looked at */
    struct slice name, rest;
    bool begun;
};

/* Cuts the last entry off; false when there is none. */
static bool chain_next(struct chain *chain, struct slice *ret_entry) {
    while (!chain->begun) {
        if (chain->left == 0)
            return false;
        const struct transcode_header *header = &chain->headers[--chain->left];
        chain->begun = slice_equal(header->name, chain->name);
        chain->rest = header->value;
    }
    const uint8_t *comma =
        chain->rest.size ? memrchr(chain->rest.data, ',', chain->rest.size) : NULL;
    size_t at = comma ? (size_t)(comma - chain->rest.data) + 1 : 0;
    *ret_entry = http_text_trim(slice_after(chain->rest, at));
    chain->rest = comma ? slice_first(chain->rest, at - 1) : SLICE_EMPTY;
    chain->begun = comma != NULL;
    return true;
}

/* The value of "for" in an element of Forwarded, without quotes; empty when there is none. */
static struct slice element_for(struct slice element) {
    while (element.size) {
        const uint8_t *mark = memchr(element.data, ';', element.size);
        size_t size = mark ? (size_t)(mark - element.data) : element.size;
        struct slice pair = http_text_trim(slice_first(element, size));
        if (pair.size > 4 && http_text_is(slice_first(pair, 4), SLICE("for="))) {
            struct slice value = slice_after(pair, 4);
            bool quoted = value.size > 2 && value.data[0] == '"' && slice_end(value)[-1] == '"';
            return quoted ? slice_of(value.data + 1, value.size - 2) : value;
        }
        element = slice_after(element, mark ? size + 1 : size);
    }
    return SLICE_EMPTY;
}

static bool headers_have(const struct transcode_header *headers, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(headers[i].name, name))
            return true;
    }
    return false;
}

struct ip forwarded_client(const struct networks *trusted, const struct ip *peer,
                           const struct transcode_header *headers, size_t header_count) {
    struct ip client = *peer;
    if (!networks_have(trusted, &client))
        return client;
    bool plain = headers_have(headers, header_count, SLICE("x-forwarded-for"));
    struct chain chain = {.headers = headers,
                          .left = header_count,
                          .name = plain ? SLICE("x-forwarded-for") : SLICE("forwarded")};
    struct slice entry;
    struct ip next;
    while (networks_have(trusted, &client) && chain_next(&chain, &entry) &&
           ip_parse(plain ? entry : element_for(entry), &next))
        client = next;
    return client;
}
