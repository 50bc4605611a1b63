/* Documents from JSON text, and back, for tests: small, and trusting the text. */
#ifndef TESTS_SERVICE_CORE_JSON_DOCUMENT_H
#define TESTS_SERVICE_CORE_JSON_DOCUMENT_H

#include "base/arena.h"
#include "service/core/document.h"

/* A google.protobuf.Struct as any client may send it: members in the text's order, not normalized.
 * Ends the process when the text is no JSON object. */
struct slice json_struct(const char *text, struct arena *arena);

/* The canonical document of JSON text. Ends the process when it is refused. */
struct slice json_document(const char *text, struct arena *arena);

/* Canonical JSON text of a canonical document, NUL-terminated. */
const char *json_text(struct slice document, struct arena *arena);

#endif
