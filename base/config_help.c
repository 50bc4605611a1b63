#include "base/config.h"
#include "base/config_value.h"

enum { HELP_COLUMN = 30 };

/* Prints a flag and, from a column on, its sentence. */
static void help_print(FILE *out, const char *flag, const char *sentence) {
    fprintf(out, "  %-*s %s\n", HELP_COLUMN, flag, sentence);
}

static void option_print_help(const struct config_program *program,
                              const struct config_option *option, FILE *out) {
    static const char *const VALUE_NAMES[] = {"TEXT", "", "NUMBER", "BYTES"};
    char flag[128], environment[CONFIG_ENVIRONMENT_NAME_MAX];
    config_environment_name(program, option->name, environment);
    if (option->kind == CONFIG_FLAG)
        snprintf(flag, sizeof flag, "--[no-]%s", option->name);
    else
        snprintf(flag, sizeof flag, "--%s %s", option->name,
                 option->value_name ? option->value_name : VALUE_NAMES[option->kind]);
    help_print(out, flag, option->help);
    fprintf(out, "  %-*s [%s%s%s]\n", HELP_COLUMN, "", environment,
            option->fallback ? "; default " : "; no default",
            option->fallback ? option->fallback : "");
}

void config_print_help(const struct config_program *program, FILE *out) {
    char environment[CONFIG_ENVIRONMENT_NAME_MAX];
    config_environment_name(program, "config", environment);
    fprintf(out, "Usage: %s [OPTION]...\n%s\n\n", program->name, program->summary);
    for (size_t i = 0; i < program->options_count; i++)
        option_print_help(program, &program->options[i], out);
    help_print(out, "--config FILE", "Read options from FILE, as lines \"name = value\".");
    fprintf(out, "  %-*s [%s]\n", HELP_COLUMN, "", environment);
    help_print(out, "--check-config", "Check the configuration, print it and end.");
    help_print(out, "--help", "Print this help and end.");
    help_print(out, "--version", "Print the version and end.");
    fprintf(out, "\nFlags go before the environment, the environment before the file.\n");
}
