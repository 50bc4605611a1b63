/* Comment: text as a C comment, as one writes it by hand. */
#ifndef TOOLS_PROTOC_GEN_GRPC_C_COMMENT_H
#define TOOLS_PROTOC_GEN_GRPC_C_COMMENT_H

#include "base/bytes.h"

enum { COMMENT_COLUMNS_MAX = 100 };

/* Appends `text` as one block comment and a line end, `indent` columns in. Paragraphs (parted by
 * blank lines) and items of lists are wrapped; lines four columns in or more, between lines of ```
 * and of tables stay as they are. What would end the comment, or trouble a compiler in it, is
 * changed as little as possible: "*" and "/" come apart, control characters go. Lines meant for
 * linters ("buf:lint:ignore") are left out. Of text without words nothing is appended. */
void comment_write(struct buffer *out, unsigned indent, struct slice text);

#endif
