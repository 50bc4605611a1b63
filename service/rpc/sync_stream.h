/* Sync streams: the bidirectional SyncService.Sync. What a stream says is a session's matter
 * (service/core/session.h); here its messages are carried, its requests answered from the store,
 * and it is woken by what happens elsewhere. */
#ifndef SERVICE_RPC_SYNC_STREAM_H
#define SERVICE_RPC_SYNC_STREAM_H

#include "service/limit/admission.h"
#include "service/rpc/service.h"

struct sync_streams;

struct sync_stream_options {
    struct admission_options admission;
    uint64_t send_timeout_us; /* for a message to be taken by the device */
    size_t memory_max; /* bytes of messages that all streams together hold, come and to go; the
                          library has what is being sent a second time */
};

/* Opens what all streams of a service share; the service has its store, timers and metrics by then.
 * SYNC_ERR_NO_MEMORY. */
enum sync_status sync_streams_open(struct service *service,
                                   const struct sync_stream_options *options,
                                   struct sync_streams **ret_streams);

/* Closes it once no stream is left; returns NULL. NULL is allowed. */
struct sync_streams *sync_streams_close(struct sync_streams *streams);

/* Ends the streams of a device that has been revoked, at once. NULL streams: there are none. */
void sync_streams_revoke(struct sync_streams *streams, struct slice user, struct slice device);

#endif
