/* Trace context: the traceparent header (W3C Trace Context, level 1). Pure. */
#ifndef GATEWAY_TRACE_CONTEXT_H
#define GATEWAY_TRACE_CONTEXT_H

#include "base/bytes.h"
#include "base/id.h"

enum { TRACEPARENT_SIZE = 55, TRACE_ID_SIZE = 32 };

/* Tells whether the value is well-formed: lower-case hexadecimal, ids that are not all zeros, a
 * version that is not ff. */
bool traceparent_is_valid(struct slice value);

/* The trace's id within a valid value. */
struct slice traceparent_trace_id(struct slice value);

/* Begins a trace that is not sampled; writes a NUL behind it. */
void traceparent_make(const struct random_source *random, char text[TRACEPARENT_SIZE + 1]);

#endif
