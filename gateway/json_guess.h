/* JSON guess: which member of an object comes after which. Objects of one kind mostly name their
 * members in one order: a name that comes where it came before is known by one comparison, of its
 * quotes and colon as well, and need not be scanned and looked up. */
#ifndef GATEWAY_JSON_GUESS_H
#define GATEWAY_JSON_GUESS_H

#include "gateway/schema_types.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { JSON_GUESS_BITS = 5 };

/* What came after what. Zeroed to begin with. */
struct json_guesses {
    const struct schema_field *next[1 << JSON_GUESS_BITS]; /* by what came before it */
};

/* Where the guess stands of what comes behind `before`: a field, or the message whose object has
 * just been opened. */
static inline const struct schema_field **json_guess_place(struct json_guesses *guesses,
                                                           const void *before) {
    return &guesses->next[(uintptr_t)before * 0x9e3779b97f4a7c15u >> (64 - JSON_GUESS_BITS)];
}

/* Whether the input goes on with the field's name in quotes and a colon. */
static inline bool json_guess_holds(const struct schema_field *field, const uint8_t *next,
                                    const uint8_t *end) {
    const uint8_t *label = field->json_label.data + 1; /* behind its comma */
    size_t size = field->json_label.size - 1;
    if ((size_t)(end - next) < (size > SCHEMA_LABEL_WIDE ? size : SCHEMA_LABEL_WIDE))
        return false;
#ifdef __SSE2__
    __m128i same = _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)label),
                                  _mm_loadu_si128((const __m128i *)next));
    uint32_t differ = (uint32_t)_mm_movemask_epi8(same) ^ 0xffff;
    if (size <= SCHEMA_LABEL_WIDE)
        return (differ & ((1u << size) - 1)) == 0;
    return differ == 0 && memcmp(label + SCHEMA_LABEL_WIDE, next + SCHEMA_LABEL_WIDE,
                                 size - SCHEMA_LABEL_WIDE) == 0;
#else
    return memcmp(label, next, size) == 0;
#endif
}

/* The field of the message that comes behind `before`, if that was guessed and its name is what the
 * input goes on with; else NULL. */
static inline const struct schema_field *json_guess(struct json_guesses *guesses,
                                                    const struct schema_message *message,
                                                    const void *before, const uint8_t *next,
                                                    const uint8_t *end) {
    const struct schema_field *field = *json_guess_place(guesses, before);
    /* Two may share a place. */
    bool is_of = (uintptr_t)field - (uintptr_t)message->fields <
                 message->field_count * sizeof *message->fields;
    return is_of && json_guess_holds(field, next, end) ? field : NULL;
}

/* Notes that the field came behind `before`. */
static inline void json_guess_note(struct json_guesses *guesses, const void *before,
                                   const struct schema_field *field) {
    if (field->label_leads)
        *json_guess_place(guesses, before) = field;
}

#endif
