/* Error path: names faults as the client sees its body.
 *
 * Where a route's body is one field of the request, the client sends that field's content alone;
 * the service names faults from the request on: "config.syncInterval" is "syncInterval" to the
 * client. */
#ifndef GATEWAY_ERROR_PATH_H
#define GATEWAY_ERROR_PATH_H

#include "base/arena.h"
#include "base/bytes.h"

/* Takes "FIELD." off the paths of a google.rpc.BadRequest in `details` (a google.rpc.Status in wire
 * form, or empty), and off the first such path where `message` repeats it. Both then live in the
 * arena; they stay as they are where nothing begins so, the details do not parse, or there is no
 * memory. */
void error_path_strip(struct slice field, struct arena *arena, struct slice *message,
                      struct slice *details);

#endif
