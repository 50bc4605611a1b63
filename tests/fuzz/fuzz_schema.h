/* Fuzz schema: the messages that the transcoder's fuzz targets read and write. */
#ifndef TESTS_FUZZ_FUZZ_SCHEMA_H
#define TESTS_FUZZ_FUZZ_SCHEMA_H

#include "gateway/schema.h"

enum { FUZZ_MESSAGES = 8 };

/* A message and the schema it is of; both live until the program ends. */
struct fuzz_message {
    const struct schema *schema;
    const struct schema_message *message;
};

/* The message of that number, below FUZZ_MESSAGES. Opens the schemas the first time. */
struct fuzz_message fuzz_message_at(unsigned number);

#endif
