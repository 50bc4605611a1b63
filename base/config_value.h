/* Configuration values: the syntax of each kind, and names. For the other config files. */
#ifndef BASE_CONFIG_VALUE_H
#define BASE_CONFIG_VALUE_H

#include "base/bytes.h"
#include "base/config.h"

/* Checks `text` against the option's kind and bounds, and reads it to a number: CONFIG_FLAG to 0 or
 * 1, CONFIG_TEXT to 0. Returns NULL, or what is wrong as the end of a sentence, in static memory or
 * in `room`. */
const char *config_value_read(const struct config_option *option, struct slice text, char room[128],
                              int64_t *ret_number);

enum { CONFIG_ENVIRONMENT_NAME_MAX = 128 };

/* Writes the option's name in the environment, such as SYNC_DATA_DIRECTORY. */
void config_environment_name(const struct config_program *program, const char *option,
                             char ret_name[CONFIG_ENVIRONMENT_NAME_MAX]);

/* Tells whether the option's value must not be shown. */
bool config_value_is_secret(const struct config_option *option);

#endif
