/* Patch operations said in JSON. */
#ifndef TESTS_SERVICE_CORE_PATCH_STEPS_H
#define TESTS_SERVICE_CORE_PATCH_STEPS_H

#include "service/core/document_read.h"
#include "service/core/patch_operation.h"
#include "tests/service/core/test_arena.h"

/* A value of JSON, as it stands in a document. */
static inline struct slice value_of(const char *json) {
    struct value value;
    char *text = arena_format(&arena, "{\"v\":%s}", json);
    assert_non_null(text);
    assert_true(document_find(doc(text), SLICE("v"), &value));
    return value.bytes;
}

static inline struct slice list_of(const char *json) {
    struct value value;
    assert_true(value_read(value_of(json), &value));
    return value.list;
}

static inline struct patch_operation set(const char *path, const char *json) {
    return (struct patch_operation){
        .step = PATCH_SET, .path = slice_text(path), .value = value_of(json)};
}
static inline struct patch_operation gone(const char *path) {
    return (struct patch_operation){.step = PATCH_REMOVE, .path = slice_text(path)};
}
static inline struct patch_operation move(const char *from, const char *path) {
    return (struct patch_operation){
        .step = PATCH_MOVE, .from = slice_text(from), .path = slice_text(path)};
}
static inline struct patch_operation order(const char *path, const char *ids) {
    return (struct patch_operation){
        .step = PATCH_ORDER, .path = slice_text(path), .value = list_of(ids)};
}

#endif
