#include "service/core/merge_text.h"

#include <assert.h>

#include "service/core/slice_index.h"

/* A text as words: each with the white space before it; the last may be white space alone. */
struct words {
    struct slice *words;
    uint32_t *numbers; /* equal for equal words, whatever is before them */
    uint32_t count;
};

static bool is_space(uint8_t byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Splits a text. `ret_fits` is false when there are too many words. */
static enum sync_status words_split(struct slice text, struct arena *arena, struct words *words,
                                    bool *ret_fits) {
    size_t count = 0;
    for (size_t i = 0; i < text.size; count++) {
        while (i < text.size && is_space(text.data[i]))
            i++;
        while (i < text.size && !is_space(text.data[i]))
            i++;
    }
    *ret_fits = count <= MERGE_TEXT_WORDS_MAX;
    if (!*ret_fits)
        return SYNC_OK;
    words->words = arena_alloc(arena, count * sizeof *words->words);
    words->numbers = arena_alloc(arena, count * sizeof *words->numbers);
    if (!words->words || !words->numbers)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0, begin = 0; i < text.size; begin = i) {
        while (i < text.size && is_space(text.data[i]))
            i++;
        while (i < text.size && !is_space(text.data[i]))
            i++;
        words->words[words->count++] = slice_of(text.data + begin, i - begin);
    }
    return SYNC_OK;
}

/* Numbers the words of all three texts alike. */
static enum sync_status words_number(struct words texts[3], struct arena *arena) {
    struct slice_index index;
    size_t next = 0;
    if (!slice_index_init(&index, arena, (size_t)texts[0].count + texts[1].count + texts[2].count))
        return SYNC_ERR_NO_MEMORY;
    for (int side = 0; side < 3; side++)
        for (uint32_t i = 0; i < texts[side].count; i++) {
            struct slice word = texts[side].words[i];
            while (word.size > 0 && is_space(word.data[0]))
                word = slice_after(word, 1);
            size_t number = slice_index_add(&index, word, next);
            next += number == next;
            texts[side].numbers[i] = (uint32_t)number;
        }
    return SYNC_OK;
}

/* The words of a base and a side that are the same, by a longest common subsequence of what is left
 * when equal ends are cut off. `ret_match` is parallel to the base: 1 + the place in the side, or
 * 0. `ret_fits` is false when that would take too long. */
static enum sync_status words_match(const struct words *base, const struct words *side,
                                    struct arena *arena, uint32_t **ret_match, bool *ret_fits) {
    const uint32_t *a = base->numbers, *b = side->numbers;
    uint32_t begin = 0, a_end = base->count, b_end = side->count;
    uint32_t *match = arena_zalloc(arena, base->count, sizeof *match);
    if (!match)
        return SYNC_ERR_NO_MEMORY;
    for (; begin < a_end && begin < b_end && a[begin] == b[begin]; begin++)
        match[begin] = begin + 1;
    for (; a_end > begin && b_end > begin && a[a_end - 1] == b[b_end - 1]; a_end--, b_end--)
        match[a_end - 1] = b_end;
    size_t rows = a_end - begin, columns = b_end - begin;
    *ret_match = match;
    *ret_fits = rows * columns <= MERGE_TEXT_CELLS_MAX;
    if (!*ret_fits || rows == 0 || columns == 0)
        return SYNC_OK;
    /* length[i][j]: of the longest common subsequence of what begins at i and at j. */
    uint16_t *length = arena_zalloc(arena, (rows + 1) * (columns + 1), sizeof *length);
    if (!length)
        return SYNC_ERR_NO_MEMORY;
    size_t width = columns + 1;
    for (size_t i = rows; i-- > 0;)
        for (size_t j = columns; j-- > 0;) {
            uint16_t down = length[(i + 1) * width + j], right = length[i * width + j + 1];
            length[i * width + j] = a[begin + i] == b[begin + j]
                                        ? (uint16_t)(length[(i + 1) * width + j + 1] + 1)
                                    : down > right ? down
                                                   : right;
        }
    for (size_t i = 0, j = 0; i < rows && j < columns;) {
        if (a[begin + i] == b[begin + j])
            match[begin + i++] = begin + (uint32_t)j++ + 1;
        else if (length[(i + 1) * width + j] >= length[i * width + j + 1])
            i++;
        else
            j++;
    }
    return SYNC_OK;
}

/* Some words of a text that stand together, as they are written. */
static struct slice words_between(const struct words *words, uint32_t begin, uint32_t end) {
    if (begin == end)
        return SLICE_EMPTY;
    const uint8_t *first = words->words[begin].data;
    return slice_of(first, (size_t)(slice_end(words->words[end - 1]) - first));
}

/* The merge on the way: three texts, and how far each is written. */
struct text_merge {
    struct words texts[3]; /* base, ours, theirs */
    uint32_t at[3];
    uint32_t *match[2]; /* of ours and theirs */
    bool takes_theirs, is_disputed;
    uint8_t *out, *next;
};

/* Writes words, with a blank where they would run together with what is there: the first word of a
 * text has none, and may come behind others. That can be so once, as what is written begins with
 * the other side's first word, or that is never written. */
static void merge_put(struct text_merge *merge, struct slice bytes) {
    if (bytes.size == 0)
        return;
    if (merge->next > merge->out && !is_space(bytes.data[0]) && !is_space(merge->next[-1]))
        *merge->next++ = ' ';
    memcpy(merge->next, bytes.data, bytes.size);
    merge->next += bytes.size;
}

/* Writes what is between two words that all have; `end` is where it ends in each text. */
static void merge_put_change(struct text_merge *merge, const uint32_t end[3]) {
    struct slice sides[3];
    for (int i = 0; i < 3; i++)
        sides[i] = words_between(&merge->texts[i], merge->at[i], end[i]);
    if (slice_equal(sides[0], sides[1]) || slice_equal(sides[1], sides[2])) {
        merge_put(merge, sides[2]);
    } else if (slice_equal(sides[0], sides[2])) {
        merge_put(merge, sides[1]);
    } else if (sides[0].size == 0) {
        merge_put(merge, sides[1]);
        merge_put(merge, sides[2]);
    } else {
        merge->is_disputed = true;
        merge_put(merge, sides[merge->takes_theirs ? 2 : 1]);
    }
}

/* Writes a word that all have, with the white space of the side that changed it. */
static void merge_put_same(struct text_merge *merge, const uint32_t place[3]) {
    struct slice base = merge->texts[0].words[place[0]], ours = merge->texts[1].words[place[1]];
    merge_put(merge, slice_equal(base, ours) ? merge->texts[2].words[place[2]] : ours);
}

static void merge_run(struct text_merge *merge) {
    const uint32_t count = merge->texts[0].count;
    for (uint32_t i = 0; i < count; i++) {
        if (merge->match[0][i] == 0 || merge->match[1][i] == 0)
            continue;
        const uint32_t place[3] = {i, merge->match[0][i] - 1, merge->match[1][i] - 1};
        merge_put_change(merge, place);
        merge_put_same(merge, place);
        for (int side = 0; side < 3; side++)
            merge->at[side] = place[side] + 1;
    }
    const uint32_t ends[3] = {count, merge->texts[1].count, merge->texts[2].count};
    merge_put_change(merge, ends);
}

enum sync_status merge_text(struct slice base, struct slice ours, struct slice theirs,
                            bool takes_theirs, struct arena *arena,
                            struct merged_text *ret_merged) {
    assert(arena);
    assert(ret_merged);
    struct text_merge merge = {.takes_theirs = takes_theirs};
    const struct slice texts[3] = {base, ours, theirs};
    enum sync_status status = SYNC_OK;
    bool fits = true;
    for (int i = 0; i < 3 && fits && !status; i++)
        status = words_split(texts[i], arena, &merge.texts[i], &fits);
    if (!status && fits)
        status = words_number(merge.texts, arena);
    for (int i = 0; i < 2 && fits && !status; i++)
        status = words_match(&merge.texts[0], &merge.texts[i + 1], arena, &merge.match[i], &fits);
    if (status)
        return status;
    if (!fits) {
        *ret_merged = (struct merged_text){.is_merged = false};
        return SYNC_OK;
    }
    merge.out = merge.next = arena_alloc(arena, ours.size + theirs.size + MERGE_TEXT_EXTRA);
    if (!merge.out)
        return SYNC_ERR_NO_MEMORY;
    merge_run(&merge);
    assert((size_t)(merge.next - merge.out) <= ours.size + theirs.size + MERGE_TEXT_EXTRA);
    *ret_merged = (struct merged_text){
        .is_merged = true,
        .is_disputed = merge.is_disputed,
        .text = slice_of(merge.out, (size_t)(merge.next - merge.out)),
    };
    return SYNC_OK;
}
