/* gRPC relay: one gRPC call passed through to the service, by whatever HTTP its client speaks.
 *
 * Messages are handed on as they come, byte for byte; what the relay looks at is their framing, for
 * its bounds. A client is granted room only as the service takes, the service only as the client
 * takes. Every end is a gRPC status: the service's, or the gateway's own. One thread. */
#ifndef GATEWAY_GRPC_RELAY_H
#define GATEWAY_GRPC_RELAY_H

#include "gateway/api.h"
#include "gateway/grpc_message.h"
#include "gateway/grpc_metadata.h"
#include "gateway/loop.h"
#include "gateway/peer.h"
#include "gateway/upstream_session.h"
#include "gateway/worker.h"

struct grpc_relay;

/* What a relay tells its owner. None is called within grpc_relay_close, and none may close it. */
struct grpc_relay_sink {
    /* The answer's head, borrowed until this returns; not told where only trailers come. */
    void (*head)(struct grpc_relay *relay, const struct transcode_header *fields, size_t count);
    /* There is more in grpc_relay_ready, or the end has come: grpc_relay_end. */
    void (*more)(struct grpc_relay *relay);
    /* So many bytes of the request are with the service: their client may send as many more. */
    void (*taken)(struct grpc_relay *relay, size_t size);
    /* The headers given to grpc_relay_begin are needed no more. Once. */
    void (*settled)(struct grpc_relay *relay);
    /* The client takes nothing, or the service has surely not seen the call, which the client may
     * then send again: break it off. */
    void (*broken)(struct grpc_relay *relay, bool refused);
};

/* The head of a call. Slices live until `settled`. */
struct grpc_relay_request {
    struct slice path, content_type, timeout;
    const struct peer *peer;    /* who the service is told of */
    const struct ip *client_ip; /* the client behind it */
    const struct transcode_header *headers;
    size_t header_count;
    const char *fault; /* why it ends, RESOURCE_EXHAUSTED, before it begins; NULL: all is well */
};

/* The trailers of a call, or all of its answer. */
struct grpc_relay_end {
    size_t count;
    struct transcode_header list[];
};

/* In the owner's memory; fields are the relay's own. */
struct grpc_relay {
    struct upstream_call call;
    struct worker *worker;
    struct api *api;                    /* held */
    const struct schema_method *method; /* NULL: not in the descriptor set */
    const struct grpc_relay_sink *sink;
    struct loop_timer deadline;
    struct loop_timer watch;         /* set while one side waits for its client */
    struct relay_metadata *metadata; /* until settled */
    struct grpc_relay_end *end;
    struct arena arena;  /* of the call's texts */
    struct buffer ready; /* for the client, from ready_taken on */
    size_t ready_taken;
    struct grpc_tracker tracker; /* of the request */
    uint64_t begun_us;
    uint64_t bytes_in, bytes_out;
    uint64_t watched_in, watched_out; /* at the last look */
    uint64_t buffered_bytes;          /* counted in the gateway's */
    int code;                         /* of the end */
    struct ip client_ip;
    unsigned still; /* looks at which the client has taken nothing */
    bool settled, answered, draining;
};

/* Begins a call. Whatever is wrong is told as its end, which may be before this returns. */
void grpc_relay_begin(struct grpc_relay *relay, struct worker *worker,
                      const struct grpc_relay_sink *sink, const struct grpc_relay_request *request);

/* Ends it at any moment: the service sees a cancellation, the call is counted. */
void grpc_relay_close(struct grpc_relay *relay);

/* Takes some of the request, in the framing of messages. */
void grpc_relay_body(struct grpc_relay *relay, struct slice bytes);

/* The request is complete. */
void grpc_relay_body_end(struct grpc_relay *relay);

/* Ends the call with a status of the gateway's own, unless it has ended. `message` lives until this
 * returns. */
void grpc_relay_fail(struct grpc_relay *relay, int code, struct slice message);

/* Bytes for the client; they live until grpc_relay_take. */
static inline struct slice grpc_relay_ready(const struct grpc_relay *relay) {
    return slice_after(buffer_slice(&relay->ready), relay->ready_taken);
}

/* Bytes of the request that wait for the service. */
size_t grpc_relay_queued(const struct grpc_relay *relay);

/* Counts bytes of grpc_relay_ready as sent: the service may send as many more. */
void grpc_relay_take(struct grpc_relay *relay, size_t size);

/* The trailers, once what is ready is all there will be; else NULL. Where no head was told they are
 * the whole answer, content-type included. They live as long as the relay. */
const struct grpc_relay_end *grpc_relay_ended(const struct grpc_relay *relay);

/* Tells whether the head was told. */
static inline bool grpc_relay_answered(const struct grpc_relay *relay) {
    return relay->answered;
}

/* The gateway stops: calls get the most of its time to do so, then end. */
void grpc_relay_drain(struct grpc_relay *relay);

#endif
