/* Configuration: flags before environment before file before default.
 *
 * A program declares its options in a table; "http" is then --http VALUE or --http=VALUE,
 * PREFIX_HTTP in the environment (dashes become underscores), and `http = VALUE` in the file named
 * by --config or PREFIX_CONFIG ('#' begins a comment). Every program also has --help, --version and
 * --check-config; the caller acts on them. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

struct config;

enum config_kind {
    CONFIG_TEXT,  /* any text */
    CONFIG_FLAG,  /* --name, --no-name; true/false/1/0/yes/no elsewhere */
    CONFIG_INT,   /* decimal within [min, max] */
    CONFIG_BYTES, /* decimal with optional k, m, g (powers of 1024) within [min, max] */
};

struct config_option {
    const char *name; /* lower-case words with dashes */
    enum config_kind kind;
    const char *fallback;   /* the default as text; NULL: unset */
    const char *value_name; /* shown in help, such as "HOST:PORT" */
    const char *help;       /* one sentence */
    int64_t min, max;       /* for CONFIG_INT and CONFIG_BYTES */
};

struct config_program {
    const char *name, *summary, *version;
    const char *environment_prefix; /* such as "SYNC" */
    const struct config_option *options;
    size_t options_count;
};

/* Reads everything in order of precedence. On error nothing is made and `error` holds one clear
 * line naming the option and where it came from. `environment` is an envp array. The table outlives
 * the config. */
enum sync_status config_open(const struct config_program *program, int argc, char **argv,
                             char **environment, struct sync_error *error,
                             struct config **ret_config);

/* Closes; returns NULL. */
struct config *config_close(struct config *config);

/* --help, --version or --check-config was given. */
bool config_wants_help(const struct config *config);
bool config_wants_version(const struct config *config);
bool config_wants_check(const struct config *config);

/* Values by option name; asserting that the option is in the table with that kind. Text lives as
 * long as the config and is NULL when unset; a flag is then false, a number 0. */
const char *config_text(const struct config *config, const char *name);
bool config_flag(const struct config *config, const char *name);
int64_t config_int(const struct config *config, const char *name);

/* Prints usage, every option with its default, environment name and sentence. */
void config_print_help(const struct config_program *program, FILE *out);

/* Prints the effective configuration, `name = value  # from flag|environment|file|default`. Options
 * whose names end in "-secret" show "(set)". */
void config_print(const struct config *config, FILE *out);

#endif
