#include "base/config.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "base/config_value.h"
#include "base/limits.h"
#include "base/memory.h"

/* Where a value came from; a later one goes before an earlier one. */
enum config_source { FROM_DEFAULT, FROM_FILE, FROM_ENVIRONMENT, FROM_FLAG };

static const char *const SOURCE_NAMES[] = {"default", "file", "environment", "flag"};

struct config_setting {
    char *text; /* owned; NULL when unset */
    int64_t number;
    enum config_source source;
    unsigned file_line; /* where the file sets it; 0: it does not */
};

struct config {
    const struct config_program *program;
    bool wants_help, wants_version, wants_check;
    char *file_name; /* owned; NULL when there is no file */
    struct config_setting settings[];
};

/* What the readers of one configuration share. */
struct config_reading {
    struct config *config;
    struct sync_error *error;
};

enum { SHOWN_MAX = 80 /* bytes of a wrong value in an error */ };

/* A place in the configuration, for an error's line. */
struct config_place {
    enum config_source source;
    unsigned line;
};

/* Fills the error: the place, then what is wrong. */
__attribute__((format(printf, 4, 5))) static enum sync_status
config_fail(struct config_reading *reading, struct config_place place, const char *option,
            const char *format, ...) {
    char message[SYNC_ERROR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (place.source == FROM_FILE)
        return sync_error_set(reading->error, SYNC_ERR_INVALID, "INVALID_CONFIG", option,
                              "%.80s:%u: %s", reading->config->file_name, place.line, message);
    return sync_error_set(reading->error, SYNC_ERR_INVALID, "INVALID_CONFIG", option, "%s: %s",
                          SOURCE_NAMES[place.source], message);
}

static enum sync_status config_no_memory(struct config_reading *reading) {
    return sync_error_set(reading->error, SYNC_ERR_NO_MEMORY, "NO_MEMORY", NULL,
                          "out of memory while reading the configuration");
}

/* The index of the option with this name, or options_count. */
static size_t option_find(const struct config_program *program, struct slice name) {
    size_t i = 0;
    while (i < program->options_count && !slice_equal(slice_text(program->options[i].name), name))
        i++;
    return i;
}

/* Notes that a line of the file sets the option; twice is a mistake. */
static enum sync_status config_note_line(struct config_reading *reading, size_t index,
                                         struct config_place place) {
    struct config_setting *setting = &reading->config->settings[index];
    const char *name = reading->config->program->options[index].name;
    if (setting->file_line > 0)
        return config_fail(reading, place, name, "%s is set on line %u already", name,
                           setting->file_line);
    setting->file_line = place.line;
    return SYNC_OK;
}

/* Sets an option unless a source that goes before has set it. */
static enum sync_status config_set(struct config_reading *reading, size_t index, struct slice text,
                                   struct config_place place) {
    const struct config_option *option = &reading->config->program->options[index];
    struct config_setting *setting = &reading->config->settings[index];
    char room[128];
    int64_t number;
    const char *fault = config_value_read(option, text, room, &number);
    if (!fault && text.size > 0 && memchr(text.data, 0, text.size))
        fault = "contains a NUL";
    if (fault && config_value_is_secret(option))
        return config_fail(reading, place, option->name, "%s: the value %s", option->name, fault);
    if (fault)
        return config_fail(reading, place, option->name, "%s: \"%.*s\" %s", option->name,
                           (int)(text.size < SHOWN_MAX ? text.size : SHOWN_MAX),
                           text.size > 0 ? (const char *)text.data : "", fault);
    if (setting->text && setting->source > place.source)
        return SYNC_OK;
    char *copy = memory_copy_text(text.data, text.size);
    if (!copy)
        return config_no_memory(reading);
    memory_free(setting->text);
    setting->text = copy;
    setting->number = number;
    setting->source = place.source;
    return SYNC_OK;
}

/* Names the file to read. */
static enum sync_status config_set_file(struct config_reading *reading, struct slice name) {
    char *copy = memory_copy_text(name.data, name.size);
    if (!copy)
        return config_no_memory(reading);
    memory_free(reading->config->file_name);
    reading->config->file_name = copy;
    return SYNC_OK;
}

/* Reads --no-NAME, which is all that a name outside the table may be. */
static enum sync_status config_read_negation(struct config_reading *reading, struct slice name,
                                             bool has_value, const char *argument) {
    const struct config_program *program = reading->config->program;
    const struct config_place place = {.source = FROM_FLAG};
    size_t option = program->options_count;
    if (!has_value && slice_starts_with(name, SLICE("no-")))
        option = option_find(program, slice_after(name, 3));
    if (option == program->options_count || program->options[option].kind != CONFIG_FLAG)
        return config_fail(reading, place, NULL, "unknown option \"%.*s\"",
                           (int)strcspn(argument, "="), argument);
    return config_set(reading, option, SLICE("false"), place);
}

/* Reads one flag at argv[*index], and its value behind it; leaves *index at the last one used. */
static enum sync_status config_read_flag(struct config_reading *reading, int argc, char **argv,
                                         int *index) {
    struct config *config = reading->config;
    const struct config_place place = {.source = FROM_FLAG};
    struct slice name = slice_text(argv[*index]);
    if (!slice_starts_with(name, SLICE("--")) || name.size == 2)
        return config_fail(reading, place, NULL, "unexpected argument \"%.80s\"", argv[*index]);
    name = slice_after(name, 2);
    const uint8_t *equals = memchr(name.data, '=', name.size);
    struct slice value = SLICE_EMPTY;
    if (equals) {
        value = slice_text((const char *)equals + 1);
        name.size = (size_t)(equals - name.data);
    }
    if (!equals && slice_equal(name, SLICE("check-config"))) {
        config->wants_check = true;
        return SYNC_OK;
    }
    size_t option = option_find(config->program, name);
    bool is_file = slice_equal(name, SLICE("config"));
    if (!is_file && option == config->program->options_count)
        return config_read_negation(reading, name, equals, argv[*index]);
    if (!is_file && !equals && config->program->options[option].kind == CONFIG_FLAG)
        return config_set(reading, option, SLICE("true"), place);
    if (!equals) {
        if (*index + 1 >= argc || strncmp(argv[*index + 1], "--", 2) == 0)
            return config_fail(reading, place, NULL, "%.80s needs a value", argv[*index]);
        value = slice_text(argv[++*index]);
    }
    return is_file ? config_set_file(reading, value) : config_set(reading, option, value, place);
}

/* Reads the flags. */
static enum sync_status config_read_flags(struct config_reading *reading, int argc, char **argv) {
    enum sync_status status = SYNC_OK;
    for (int i = 1; i < argc && status == SYNC_OK; i++)
        status = config_read_flag(reading, argc, argv, &i);
    return status;
}

/* The value of the option in the environment, or NULL. */
static const char *environment_find(char **environment, const struct config_program *program,
                                    const char *option) {
    char name[CONFIG_ENVIRONMENT_NAME_MAX];
    config_environment_name(program, option, name);
    size_t size = strlen(name);
    for (char **entry = environment; entry && *entry; entry++)
        if (strncmp(*entry, name, size) == 0 && (*entry)[size] == '=')
            return *entry + size + 1;
    return NULL;
}

static enum sync_status config_read_environment(struct config_reading *reading,
                                                char **environment) {
    const struct config_program *program = reading->config->program;
    const char *file = environment_find(environment, program, "config");
    if (file && !reading->config->file_name) {
        enum sync_status status = config_set_file(reading, slice_text(file));
        if (status != SYNC_OK)
            return status;
    }
    for (size_t i = 0; i < program->options_count; i++) {
        const char *text = environment_find(environment, program, program->options[i].name);
        if (!text)
            continue;
        enum sync_status status = config_set(reading, i, slice_text(text),
                                             (struct config_place){.source = FROM_ENVIRONMENT});
        if (status != SYNC_OK)
            return status;
    }
    return SYNC_OK;
}

static bool byte_is_space(uint8_t byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct slice slice_trim(struct slice text) {
    while (text.size > 0 && byte_is_space(text.data[0]))
        text = slice_after(text, 1);
    while (text.size > 0 && byte_is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* The line without its comment: '#' at its beginning or after a space, so that a value may hold
 * one. */
static struct slice line_uncomment(struct slice line) {
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] == '#' && (i == 0 || byte_is_space(line.data[i - 1])))
            return slice_first(line, i);
    return line;
}

static enum sync_status config_read_line(struct config_reading *reading, struct slice line,
                                         unsigned number) {
    const struct config_place place = {.source = FROM_FILE, .line = number};
    line = slice_trim(line_uncomment(line));
    if (line.size == 0)
        return SYNC_OK;
    const uint8_t *equals = memchr(line.data, '=', line.size);
    if (!equals)
        return config_fail(reading, place, NULL, "the line is not \"name = value\"");
    struct slice name = slice_trim(slice_first(line, (size_t)(equals - line.data)));
    struct slice value = slice_trim(slice_after(line, (size_t)(equals - line.data) + 1));
    size_t option = option_find(reading->config->program, name);
    if (option == reading->config->program->options_count)
        return config_fail(reading, place, NULL, "unknown option \"%.*s\"",
                           (int)(name.size < SHOWN_MAX ? name.size : SHOWN_MAX),
                           (const char *)name.data);
    enum sync_status status = config_note_line(reading, option, place);
    return status == SYNC_OK ? config_set(reading, option, value, place) : status;
}

/* Reads the whole file into `content`. */
static enum sync_status config_load_file(struct config_reading *reading, struct buffer *content) {
    const char *name = reading->config->file_name;
    FILE *file = fopen(name, "re");
    if (!file)
        return sync_error_set(reading->error, SYNC_ERR_IO, "CONFIG_FILE", "config", "%.120s: %s",
                              name, strerror(errno));
    size_t size = 0;
    do {
        uint8_t piece[4096];
        size = fread(piece, 1, sizeof piece, file);
        buffer_append(content, slice_of(piece, size));
    } while (size > 0 && !content->failed);
    bool broken = ferror(file) != 0;
    fclose(file);
    if (broken)
        return sync_error_set(reading->error, SYNC_ERR_IO, "CONFIG_FILE", "config",
                              "%.120s: cannot be read", name);
    if (buffer_status(content) == SYNC_ERR_TOO_LARGE)
        return sync_error_set(reading->error, SYNC_ERR_TOO_LARGE, "CONFIG_FILE", "config",
                              "%.120s: is larger than %d bytes", name, CONFIG_FILE_MAX);
    return content->failed ? config_no_memory(reading) : SYNC_OK;
}

static enum sync_status config_read_file(struct config_reading *reading) {
    if (!reading->config->file_name)
        return SYNC_OK;
    struct buffer content;
    buffer_init(&content, CONFIG_FILE_MAX);
    enum sync_status status = config_load_file(reading, &content);
    struct slice rest = buffer_slice(&content);
    for (unsigned number = 1; status == SYNC_OK && rest.size > 0; number++) {
        const uint8_t *end = memchr(rest.data, '\n', rest.size);
        struct slice line = end ? slice_first(rest, (size_t)(end - rest.data)) : rest;
        rest = slice_after(rest, line.size + (end != NULL));
        status = config_read_line(reading, line, number);
    }
    buffer_done(&content);
    return status;
}

/* Sets what no source has set; the table's own texts are right, or the program is wrong. */
static enum sync_status config_read_defaults(struct config_reading *reading) {
    struct config *config = reading->config;
    for (size_t i = 0; i < config->program->options_count; i++) {
        const char *fallback = config->program->options[i].fallback;
        if (!fallback || config->settings[i].text)
            continue;
        enum sync_status status = config_set(reading, i, slice_text(fallback),
                                             (struct config_place){.source = FROM_DEFAULT});
        assert(status == SYNC_OK || status == SYNC_ERR_NO_MEMORY);
        if (status != SYNC_OK)
            return status;
    }
    return SYNC_OK;
}

/* Help and version are asked for when something is wrong: nothing else is read then. */
static bool config_read_wishes(struct config *config, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        config->wants_help |= strcmp(argv[i], "--help") == 0;
        config->wants_version |= strcmp(argv[i], "--version") == 0;
    }
    return config->wants_help || config->wants_version;
}

enum sync_status config_open(const struct config_program *program, int argc, char **argv,
                             char **environment, struct sync_error *error,
                             struct config **ret_config) {
    assert(program);
    struct config *config =
        memory_zalloc(1, sizeof *config + program->options_count * sizeof config->settings[0]);
    struct config_reading reading = {.config = config, .error = error};
    if (!config)
        return config_no_memory(&reading);
    config->program = program;
    enum sync_status status = SYNC_OK;
    if (!config_read_wishes(config, argc, argv)) {
        status = config_read_flags(&reading, argc, argv);
        if (status == SYNC_OK)
            status = config_read_environment(&reading, environment);
        if (status == SYNC_OK)
            status = config_read_file(&reading);
    }
    if (status == SYNC_OK)
        status = config_read_defaults(&reading);
    if (status == SYNC_OK)
        *ret_config = config;
    else
        config_close(config);
    return status;
}

struct config *config_close(struct config *config) {
    if (!config)
        return NULL;
    for (size_t i = 0; i < config->program->options_count; i++)
        memory_free(config->settings[i].text);
    memory_free(config->file_name);
    memory_free(config);
    return NULL;
}

bool config_wants_help(const struct config *config) {
    return config->wants_help;
}

bool config_wants_version(const struct config *config) {
    return config->wants_version;
}

bool config_wants_check(const struct config *config) {
    return config->wants_check;
}

/* The option and its setting, which must be in the table. */
static const struct config_setting *config_find(const struct config *config, const char *name,
                                                enum config_kind *ret_kind) {
    size_t i = option_find(config->program, slice_text(name));
    assert(i < config->program->options_count);
    *ret_kind = config->program->options[i].kind;
    return &config->settings[i];
}

const char *config_text(const struct config *config, const char *name) {
    enum config_kind kind;
    const struct config_setting *setting = config_find(config, name, &kind);
    assert(kind == CONFIG_TEXT);
    return setting->text;
}

bool config_flag(const struct config *config, const char *name) {
    enum config_kind kind;
    const struct config_setting *setting = config_find(config, name, &kind);
    assert(kind == CONFIG_FLAG);
    return setting->number != 0;
}

int64_t config_int(const struct config *config, const char *name) {
    enum config_kind kind;
    const struct config_setting *setting = config_find(config, name, &kind);
    assert(kind == CONFIG_INT || kind == CONFIG_BYTES);
    return setting->number;
}

void config_print(const struct config *config, FILE *out) {
    for (size_t i = 0; i < config->program->options_count; i++) {
        const struct config_option *option = &config->program->options[i];
        const struct config_setting *setting = &config->settings[i];
        if (!setting->text)
            fprintf(out, "# %s is not set\n", option->name);
        else
            fprintf(out, "%s = %s  # from %s\n", option->name,
                    config_value_is_secret(option) ? "(set)" : setting->text,
                    SOURCE_NAMES[setting->source]);
    }
}
