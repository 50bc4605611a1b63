/* Greeter: a server of greeter.v1.GreeterService on the generated skeleton and the runtime of
 * service/rpc, without a store. Ends the test program when a step of its own fails.
 *
 * Greet and GreetOften say "Hello NAME", the latter GREETER_OFTEN times; GreetEach says it to each
 * name; GreetTogether says "Hello A, B, C" once all names have come. To greet "nobody" fails with
 * INVALID_ARGUMENT, at once. */
#ifndef TESTS_CLIENT_GENERATED_GREETER_SERVER_H
#define TESTS_CLIENT_GENERATED_GREETER_SERVER_H

enum { GREETER_OFTEN = 3 };

struct greeter;

/* Starts on a Unix socket of a folder of its own. */
struct greeter *greeter_open(void);

/* Drains and closes; returns NULL. */
struct greeter *greeter_close(struct greeter *greeter);

/* "unix:PATH"; lives as long as the server. */
const char *greeter_target(const struct greeter *greeter);

/* Client streams whose handlers have begun, and those that have heard that no more will come. */
unsigned greeter_begun(struct greeter *greeter);
unsigned greeter_ended(struct greeter *greeter);

#endif
