#include "tools/protoc-gen-grpc-c/name.h"

#include <assert.h>

enum { NAME_MAX_BYTES = 64 << 10 };

/* ASCII alone, whatever the locale. */
static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static char to_lower(char c) {
    return (char)(is_upper(c) ? c - 'A' + 'a' : c);
}

static char to_upper(char c) {
    return (char)(is_lower(c) ? c - 'a' + 'A' : c);
}

/* The buffer's text in the arena; ends the buffer. */
static char *name_take(struct arena *arena, struct buffer *text) {
    char *name = buffer_status(text) == SYNC_OK ? arena_copy_text(arena, buffer_slice(text)) : NULL;
    buffer_done(text);
    return name;
}

/* Tells whether a word begins at `name[at]`: after a small letter or digit, or as the last capital
 * of a row ("HTTPConfig"). */
static bool word_begins(const char *name, size_t at) {
    if (at == 0 || !is_upper(name[at]))
        return false;
    char before = name[at - 1];
    return is_lower(before) || is_digit(before) || (is_upper(before) && is_lower(name[at + 1]));
}

char *name_snake(struct arena *arena, const char *name) {
    assert(name);
    struct buffer out;
    buffer_init(&out, NAME_MAX_BYTES);
    bool is_open = false; /* an underscore is due before the next letter */
    for (size_t i = 0; name[i]; i++) {
        if (!is_upper(name[i]) && !is_lower(name[i]) && !is_digit(name[i])) {
            is_open = true;
            continue;
        }
        if (out.size == 0 ? is_digit(name[i]) : is_open || word_begins(name, i))
            buffer_append_byte(&out, '_');
        buffer_append_byte(&out, (uint8_t)to_lower(name[i]));
        is_open = false;
    }
    if (out.size == 0)
        buffer_append_byte(&out, '_');
    return name_take(arena, &out);
}

char *name_upper(struct arena *arena, const char *text) {
    struct buffer out;
    buffer_init(&out, NAME_MAX_BYTES);
    for (; *text; text++) {
        char c = to_upper(*text);
        buffer_append_byte(&out, is_upper(c) || is_digit(c) ? (uint8_t)c : '_');
    }
    return name_take(arena, &out);
}

bool name_is_reserved(const char *name) {
    static const char *const reserved[] = {
        "alignas", "alignof",  "asm",      "assert", "auto",     "bool",          "break",
        "case",    "char",     "complex",  "const",  "continue", "default",       "do",
        "double",  "else",     "enum",     "errno",  "extern",   "false",         "float",
        "for",     "goto",     "if",       "inline", "int",      "linux",         "long",
        "main",    "noreturn", "offsetof", "packed", "register", "restrict",      "return",
        "short",   "signed",   "sizeof",   "static", "stdin",    "static_assert", "stderr",
        "stdout",  "struct",   "switch",   "true",   "typedef",  "thread_local",  "typeof",
        "union",   "unix",     "unsigned", "void",   "volatile", "while",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (strcmp(name, reserved[i]) == 0)
            return true;
    return false;
}

/* protoc-c's ways with one part of a name. */
typedef void name_part_write(struct buffer *out, const char *part, size_t size);

static void write_camel(struct buffer *out, const char *part, size_t size) {
    bool is_next_upper = true;
    for (size_t i = 0; i < size; i++) {
        if (part[i] == '_') {
            is_next_upper = true;
            continue;
        }
        buffer_append_byte(out, (uint8_t)(is_next_upper ? to_upper(part[i]) : part[i]));
        is_next_upper = false;
    }
}

/* An underscore before each capital that follows none. */
static void write_words(struct buffer *out, const char *part, size_t size, char (*change)(char)) {
    bool was_upper = true;
    for (size_t i = 0; i < size; i++) {
        if (is_upper(part[i]) && !was_upper)
            buffer_append_byte(out, '_');
        buffer_append_byte(out, (uint8_t)change(part[i]));
        was_upper = is_upper(part[i]);
    }
}

static void write_lower_words(struct buffer *out, const char *part, size_t size) {
    write_words(out, part, size, to_lower);
}

static void write_upper_words(struct buffer *out, const char *part, size_t size) {
    write_words(out, part, size, to_upper);
}

/* The parts between the dots, written one by one with two underscores between. */
static char *name_of_parts(struct arena *arena, const char *full_name, name_part_write *write,
                           const char *suffix) {
    struct buffer out;
    buffer_init(&out, NAME_MAX_BYTES);
    while (*full_name) {
        size_t size = strcspn(full_name, ".");
        if (size > 0 && out.size > 0)
            buffer_append(&out, SLICE("__"));
        write(&out, full_name, size);
        full_name += size + (full_name[size] == '.');
    }
    buffer_append(&out, slice_text(suffix));
    return name_take(arena, &out);
}

char *name_message_type(struct arena *arena, const char *full_name) {
    return name_of_parts(arena, full_name, write_camel, "");
}

char *name_message_init(struct arena *arena, const char *full_name) {
    return name_of_parts(arena, full_name, write_upper_words, "__INIT");
}

char *name_message_descriptor(struct arena *arena, const char *full_name) {
    return name_of_parts(arena, full_name, write_lower_words, "__descriptor");
}
