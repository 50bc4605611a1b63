/* Limits: every bound on what comes from outside, by name. A refusal names the bound. Sizes in
 * bytes. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* ids */
    USER_ID_MAX = 128,
    DEVICE_ID_MAX = 128,
    CHANGE_ID_MAX = 128,
    DATA_ID_MAX = 256,
    DEVICE_NAME_MAX = 256,

    DATA_TYPES_NAMED_MAX = 100, /* in a request; the same may be named again */

    /* uploads */
    BATCH_CHANGES_MAX = 1000,
    CHANGE_DATA_MAX = 256 << 10,
    CHANGE_OPERATIONS_MAX = 256, /* of one update, of CHANGE_DATA_MAX bytes together */
    /* Faults named in one answer, where each field of each change of a batch may be at fault. */
    BATCH_FAULTS_MAX = 10 * BATCH_CHANGES_MAX,

    /* a program's own */
    CONFIG_FILE_MAX = 1 << 20,
    LOG_TEXT_MAX = 4 << 10, /* of one field; longer text is cut */
    LOG_LINE_MAX = 1 << 20,

    /* streams */
    SYNC_BATCH_BYTES_MAX = 8 << 20,     /* of a batch in a Sync stream */
    SYNC_UNACKNOWLEDGED_MAX = 16 << 20, /* bytes of records before an acknowledgement */
    STREAMS_MAX = 50000,                /* Sync streams open at once, by default */
    STREAMS_MEMORY_MAX = 256 << 20,     /* of messages that all of them hold; by default */

    /* documents, wire and JSON */
    DOCUMENT_DEPTH_MAX = 64,
    WIRE_DEPTH_MAX = 100,
    JSON_DEPTH_MAX = 100,
    JSON_FAULTS_MAX = 100, /* named where the gateway answers alone, whoever asks */
    CURSOR_TEXT_MAX = 128,
    PAGE_TOKEN_MAX = 1024,

    /* reading */
    LOAD_HISTORY_MAX = 65536,          /* entries of logs, the newest of all records, that a change
                                          or a batch of them is judged by, … */
    LOAD_HISTORY_BYTES_MAX = 32 << 20, /* … and their bytes */
    PAGE_SIZE_DEFAULT = 50,
    PAGE_SIZE_MAX = 1000,
    BUNDLE_PAGE_SIZE_MAX = 10000,
    BUNDLE_BYTES_MAX = 64 << 20,
    BUNDLE_CHUNK_BYTES = 1 << 20, /* before compression */
    RECORD_KEYS_MAX = 1000,       /* in one GetRecords or PutRecords */
    AUDIT_PARTS_MAX = 256,        /* ranges of a kind of data in one audit */
    AUDIT_RECORDS_MAX = 65536,    /* looked through for a kind of data, tombstones included … */
    AUDIT_BYTES_MAX = 64 << 20,   /* … and their data; where either ends, the next call goes on */
    AUDIT_ANSWER_BYTES_MAX = 4 << 20, /* data of records that an audit's answer brings */

    /* HTTP */
    HTTP_REQUEST_LINE_MAX = 16 << 10,
    HTTP_HEADERS_BYTES_MAX = 32 << 10,
    HTTP_HEADERS_COUNT_MAX = 100,
    HTTP_BODY_MAX = 32 << 20,
    HTTP2_IDLE_FRAMES_MAX = 500,     /* at once, that carry nothing of a request */
    HTTP2_PROVOKED_RESETS_MAX = 100, /* streams that a client makes us reset, within 10 s */
    GRPC_METADATA_MAX = 8 << 10,
    GRPC_MESSAGE_MAX = 64 << 20,
    MESSAGES_BYTES_MAX = 256 << 20, /* received by the service and in use, of all calls; default */

    /* auth */
    TOKEN_MAX = 8 << 10,
    TOKEN_CACHE_MAX = 65536, /* verified tokens remembered */
    JWKS_KEYS_MAX = 64,

    HEALTH_WATCHES_MAX = 1000, /* open at once, by anybody */

    /* A stream that has to end waits so long for the client to take what is under way, so that one
     * that is only slow hears why. */
    STREAM_END_PATIENCE_MS = 5000,

    /* per user */
    USER_WATCHES_MAX = 100,        /* streams that watch operations or records */
    USER_SYNC_OPERATIONS_MAX = 50, /* concurrent, from the specification */
    USER_DEVICES_MAX = 100,
    USER_CONFLICTS_OPEN_MAX = 10000,
    HELD_CHANGES_MAX = 100,         /* behind the conflicts of a device and a record … */
    HELD_BYTES_MAX = 1 << 20,       /* … and their bytes, with 256 for each … */
    USER_HELD_BYTES_MAX = 16 << 20, /* … and of all of a user's */
    USER_DECISIONS_MAX = 10000,     /* resolved conflicts that are kept; by default */
    USER_PARKED_MAX = 1000, /* changes that a fault of the service keeps from being applied */
};

_Static_assert(DOCUMENT_DEPTH_MAX < WIRE_DEPTH_MAX, "a document lies inside a message");
_Static_assert(PAGE_SIZE_DEFAULT <= PAGE_SIZE_MAX, "");
_Static_assert(SYNC_BATCH_BYTES_MAX <= GRPC_MESSAGE_MAX, "");
_Static_assert(BUNDLE_CHUNK_BYTES <= BUNDLE_BYTES_MAX, "");
_Static_assert(SYNC_BATCH_BYTES_MAX <= STREAMS_MEMORY_MAX, "");
_Static_assert(2 * GRPC_MESSAGE_MAX <= MESSAGES_BYTES_MAX, "no one message takes it all");
_Static_assert(CHANGE_DATA_MAX <= AUDIT_ANSWER_BYTES_MAX, "an audit brings any record");
_Static_assert(CHANGE_DATA_MAX < HELD_BYTES_MAX && HELD_BYTES_MAX <= USER_HELD_BYTES_MAX,
               "any change can be held");
_Static_assert(HTTP_BODY_MAX <= GRPC_MESSAGE_MAX,
               "a body that HTTP accepts fits the service's message");

#endif
