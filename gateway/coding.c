#include "gateway/compress.h"
#include "gateway/http_text.h"

static const struct slice coding_names[] = {
    [CODING_IDENTITY] = {(const uint8_t *)"identity", 8},
    [CODING_GZIP] = {(const uint8_t *)"gzip", 4},
    [CODING_ZSTD] = {(const uint8_t *)"zstd", 4},
};

enum content_coding coding_parse(struct slice text) {
    if (text.size == 0)
        return CODING_IDENTITY;
    if (http_text_is(text, SLICE("x-gzip")))
        return CODING_GZIP;
    for (int coding = CODING_IDENTITY; coding < CODING_UNKNOWN; coding++) {
        if (http_text_is(text, coding_names[coding]))
            return (enum content_coding)coding;
    }
    return CODING_UNKNOWN;
}

struct slice coding_name(enum content_coding coding) {
    return coding < CODING_UNKNOWN ? coding_names[coding] : SLICE_EMPTY;
}

/* Cuts the text up to `mark` off the front, and the mark. */
static struct slice cut(struct slice *rest, uint8_t mark) {
    const uint8_t *found = rest->size ? memchr(rest->data, mark, rest->size) : NULL;
    struct slice head = found ? slice_first(*rest, (size_t)(found - rest->data)) : *rest;
    *rest = found ? slice_after(*rest, head.size + 1) : SLICE_EMPTY;
    return http_text_trim(head);
}

/* A weight in thousandths; what is malformed counts as 0. */
static int weight_of(struct slice parameters) {
    int weight = 1000;
    while (parameters.size) {
        struct slice parameter = cut(&parameters, ';');
        if (parameter.size < 3 || (parameter.data[0] | 32) != 'q' || parameter.data[1] != '=')
            continue;
        weight = 0;
        for (size_t i = 2, unit = 1000; i < parameter.size && i < 7; i++) {
            if (i == 3 && parameter.data[i] == '.')
                continue;
            if (parameter.data[i] < '0' || parameter.data[i] > '9')
                return 0;
            weight += (parameter.data[i] - '0') * (int)unit;
            unit /= 10;
        }
    }
    return weight > 1000 ? 1000 : weight;
}

/* What an Accept-Encoding header says of each coding, and of those it does not name; -1: nothing.
 */
struct weights {
    int codings[CODING_UNKNOWN];
    int others;
};

static struct weights weights_read(struct slice accept_encoding) {
    struct weights weights = {{-1, -1, -1}, -1};
    while (accept_encoding.size) {
        struct slice element = cut(&accept_encoding, ',');
        struct slice name = cut(&element, ';');
        int weight = weight_of(element);
        enum content_coding coding = name.size ? coding_parse(name) : CODING_UNKNOWN;
        if (slice_equal(name, SLICE("*")))
            weights.others = weight;
        else if (coding != CODING_UNKNOWN)
            weights.codings[coding] = weight;
    }
    return weights;
}

bool coding_refuses_identity(struct slice accept_encoding) {
    const struct weights weights = weights_read(accept_encoding);
    int weight = weights.codings[CODING_IDENTITY];
    return weight < 0 ? weights.others == 0 : weight == 0;
}

enum content_coding coding_negotiate(struct slice accept_encoding) {
    const struct weights weights = weights_read(accept_encoding);
    enum content_coding best = CODING_IDENTITY;
    int best_weight = 0;
    for (int coding = CODING_ZSTD; coding >= CODING_IDENTITY; coding--) {
        int weight = weights.codings[coding];
        /* Identity without a weight of its own is acceptable, but anything named is better. */
        if (weight < 0)
            weight = weights.others >= 0 ? weights.others : 0;
        if (weight > best_weight) {
            best = (enum content_coding)coding;
            best_weight = weight;
        }
    }
    return best;
}
