#include "tests/service/store/row_damage.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <rocksdb/c.h>
#include <stdio.h>

enum { FAMILIES_MAX = 16, KEY_MAX = 1024 };

/* The database with all its families. */
struct opened {
    rocksdb_options_t *options;
    rocksdb_t *db;
    char **names;
    size_t count;
    rocksdb_column_family_handle_t *families[FAMILIES_MAX];
};

static void open_all(struct opened *opened, const char *path) {
    const rocksdb_options_t *options[FAMILIES_MAX];
    char name[800], *error = NULL;
    snprintf(name, sizeof name, "%s/db", path);
    opened->options = rocksdb_options_create();
    opened->names = rocksdb_list_column_families(opened->options, name, &opened->count, &error);
    assert_null(error);
    assert_true(opened->count <= FAMILIES_MAX);
    for (size_t i = 0; i < opened->count; i++)
        options[i] = opened->options;
    opened->db = rocksdb_open_column_families(opened->options, name, (int)opened->count,
                                              (const char *const *)opened->names, options,
                                              opened->families, &error);
    assert_null(error);
}

static rocksdb_column_family_handle_t *family_of(const struct opened *opened, const char *name) {
    for (size_t i = 0; i < opened->count; i++)
        if (strcmp(opened->names[i], name) == 0)
            return opened->families[i];
    fail_msg("there is no family %s", name);
    return NULL;
}

static void close_all(struct opened *opened) {
    for (size_t i = 0; i < opened->count; i++)
        rocksdb_column_family_handle_destroy(opened->families[i]);
    rocksdb_list_column_families_destroy(opened->names, opened->count);
    rocksdb_close(opened->db);
    rocksdb_options_destroy(opened->options);
}

void row_damage(const char *path, enum table table, struct slice key) {
    struct opened opened;
    char stored[KEY_MAX] = {(char)table}, *error = NULL;
    size_t size;
    assert_true(key.size < KEY_MAX);
    memcpy(stored + 1, key.data, key.size);
    open_all(&opened, path);
    rocksdb_column_family_handle_t *rows = family_of(&opened, "rows");
    rocksdb_readoptions_t *read = rocksdb_readoptions_create();
    rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
    char *value = rocksdb_get_cf(opened.db, read, rows, stored, 1 + key.size, &size, &error);
    assert_true(!error && value && size > 0);
    value[size - 1] ^= 1;
    rocksdb_put_cf(opened.db, write, rows, stored, 1 + key.size, value, size, &error);
    assert_null(error);
    rocksdb_free(value);
    rocksdb_writeoptions_destroy(write);
    rocksdb_readoptions_destroy(read);
    close_all(&opened);
}
