/* Documents from lines of JSON, for fuzz targets whose corpus can be read. */
#ifndef TESTS_FUZZ_FUZZ_JSON_H
#define TESTS_FUZZ_FUZZ_JSON_H

#include "base/arena.h"
#include "base/bytes.h"

/* Cuts the last line off a text: `text` becomes what is before it, the line is returned. */
struct slice fuzz_line_cut(struct slice *text);

/* Reads JSON text as a canonical document in the arena; false when it is none. */
bool fuzz_document(struct slice json, struct arena *arena, struct slice *ret_document);

#endif
