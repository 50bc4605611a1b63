#include "base/config_value.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static const char *flag_read(struct slice text, int64_t *ret_number) {
    static const char *const WORDS[2][3] = {{"false", "0", "no"}, {"true", "1", "yes"}};
    for (int value = 0; value < 2; value++) {
        for (int i = 0; i < 3; i++) {
            if (slice_equal(text, slice_text(WORDS[value][i]))) {
                *ret_number = value;
                return NULL;
            }
        }
    }
    return "is neither true nor false";
}

/* The factor that a last letter stands for; 1 for none. */
static int64_t unit_factor(uint8_t letter) {
    switch (letter | 0x20) {
    case 'k':
        return INT64_C(1) << 10;
    case 'm':
        return INT64_C(1) << 20;
    case 'g':
        return INT64_C(1) << 30;
    default:
        return 1;
    }
}

/* Reads a decimal with an optional '-' and, where `units`, an optional unit. False when malformed;
 * saturates beyond 64 bits, which is beyond any option's bounds. */
static bool number_read(struct slice text, bool units, int64_t *ret_number) {
    bool negative = text.size > 0 && text.data[0] == '-';
    text = slice_after(text, negative);
    int64_t factor = units && text.size > 0 ? unit_factor(text.data[text.size - 1]) : 1;
    text.size -= factor > 1;
    if (text.size == 0)
        return false;
    int64_t number = 0;
    bool beyond = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        beyond |= __builtin_mul_overflow(number, 10, &number) ||
                  __builtin_add_overflow(number, text.data[i] - '0', &number);
    }
    beyond |= __builtin_mul_overflow(number, factor, &number);
    if (beyond)
        number = INT64_MAX;
    *ret_number = negative ? -number : number;
    return true;
}

const char *config_value_read(const struct config_option *option, struct slice text, char room[128],
                              int64_t *ret_number) {
    if (option->kind == CONFIG_TEXT) {
        *ret_number = 0;
        return NULL;
    }
    if (option->kind == CONFIG_FLAG)
        return flag_read(text, ret_number);
    bool bytes = option->kind == CONFIG_BYTES;
    int64_t number;
    if (!number_read(text, bytes, &number))
        return bytes ? "is no size in bytes, such as 512k, 64m or 1g" : "is no whole number";
    if (number < option->min || number > option->max) {
        snprintf(room, 128, "is not between %" PRId64 " and %" PRId64, option->min, option->max);
        return room;
    }
    *ret_number = number;
    return NULL;
}

bool config_value_is_secret(const struct config_option *option) {
    struct slice name = slice_text(option->name), end = SLICE("-secret");
    return name.size >= end.size && slice_equal(slice_after(name, name.size - end.size), end);
}

void config_environment_name(const struct config_program *program, const char *option,
                             char ret_name[CONFIG_ENVIRONMENT_NAME_MAX]) {
    int size = snprintf(ret_name, CONFIG_ENVIRONMENT_NAME_MAX, "%s_%s", program->environment_prefix,
                        option);
    assert(size > 0);
    assert(size < CONFIG_ENVIRONMENT_NAME_MAX);
    (void)size;
    for (char *at = ret_name; *at; at++)
        *at = (char)(*at == '-' ? '_' : *at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
}
