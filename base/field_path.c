#include "base/field_path.h"

bool field_path_holds(struct slice outer, struct slice inner) {
    if (!slice_starts_with(inner, outer))
        return false;
    return inner.size == outer.size || inner.data[outer.size] == '.' ||
           inner.data[outer.size] == '[';
}

/* The place of what stands at `i`: the end and the separators before all else, so that nothing
 * comes between a field and what lies in it. */
static int rank_at(struct slice path, size_t i) {
    if (i == path.size)
        return 0;
    if (path.data[i] == '.')
        return 1;
    return path.data[i] == '[' ? 2 : 3 + path.data[i];
}

/* The number of digits from `i` on, when they follow an opening bracket. */
static size_t index_digits(struct slice path, size_t i) {
    size_t end = i;
    if (i == 0 || path.data[i - 1] != '[')
        return 0;
    while (end < path.size && path.data[end] >= '0' && path.data[end] <= '9')
        end++;
    return end - i;
}

int field_path_compare(struct slice a, struct slice b) {
    size_t i = 0;
    for (;;) {
        size_t digits = index_digits(a, i), others = index_digits(b, i);
        if (digits > 0 && others > 0 && digits != others)
            return digits < others ? -1 : 1;
        int x = rank_at(a, i), y = rank_at(b, i);
        if (x != y || x == 0)
            return x - y;
        i++;
    }
}
