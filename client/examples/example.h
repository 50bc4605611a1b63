/* Example: what the example services share: a channel by flags, JSON objects of texts. */
#ifndef CLIENT_EXAMPLES_EXAMPLE_H
#define CLIENT_EXAMPLES_EXAMPLE_H

#include "client/stub/channel.h"
#include "google/protobuf/struct.pb-c.h"
#include "google/protobuf/timestamp.pb-c.h"

enum { EXAMPLE_FIELDS_MAX = 4, EXAMPLE_LINE_MAX = 1024 };

/* The flags of an example; texts are the command line's. */
struct example {
    const char *target;     /* --target HOST:PORT or unix:PATH */
    const char *token_file; /* --token-file: a JWT of role "service", read anew for each call */
    const char *roots_file; /* --roots: PEM, for TLS; NULL: cleartext */
    const char *user;       /* --user: whose records */
    unsigned long count;    /* --count: stop after so many events; 0: never */
};

/* Reads the flags; false after a word on standard error. */
bool example_read_flags(struct example *example, int argc, char **argv);

/* Opens a channel as the flags say; `example` outlives it. NULL after a word on standard error. */
struct stub_channel *example_open(struct example *example);

/* Says on standard error how a call has failed, and ends the status. */
void example_complain(const char *what, struct stub_status *status);

/* A JSON object of few texts, in the caller's memory. Texts are borrowed. */
struct example_object {
    Google__Protobuf__Struct object; /* to be put into a message */
    Google__Protobuf__Struct__FieldsEntry entries[EXAMPLE_FIELDS_MAX],
        *entry_pointers[EXAMPLE_FIELDS_MAX];
    Google__Protobuf__Value values[EXAMPLE_FIELDS_MAX];
};

/* Makes it empty. */
void example_object_init(struct example_object *object);

/* Adds a member; at most EXAMPLE_FIELDS_MAX. */
void example_object_add(struct example_object *object, const char *name, const char *text);

/* The text of a member; "" without. Lives as long as the object. */
const char *example_object_text(const Google__Protobuf__Struct *object, const char *name);

/* The time now. */
Google__Protobuf__Timestamp example_now(void);

#endif
