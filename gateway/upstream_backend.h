/* Upstream backend: one address of the service, the sessions to it and what is known of it. For
 * upstream.c and the upstream_*.c files alone. */
#ifndef GATEWAY_UPSTREAM_BACKEND_H
#define GATEWAY_UPSTREAM_BACKEND_H

#include "gateway/upstream.h"

enum { UPSTREAM_DRAINS_MAX = 8 };

/* The health check of one session. */
struct upstream_check {
    struct upstream_call call;
    struct arena arena;
    struct loop_timer timer; /* a check is out: its end; else the next one */
    uint64_t sent_us;
    bool serving;      /* as the answer under way says */
    unsigned silences; /* checks without an answer, in a row */
};

struct upstream_slot {
    struct upstream_backend *backend;
    struct upstream_session *session; /* NULL between connections */
    struct loop_timer timer;          /* connecting: its end; between connections: the next try */
    uint64_t backoff_us;
    uint64_t tried_us;
    bool timed_out; /* the connect under way */
    bool counted;   /* in the gauge of sessions that are up */
    struct upstream_check check;
};

/* A session that takes no new calls. */
struct upstream_drain {
    struct upstream_session *session; /* NULL: none */
    uint64_t close_us;                /* when to close it whatever is on it; 0: never */
};

/* What is told of a backend. */
enum upstream_standing {
    UPSTREAM_STANDING_NEW,  /* being connected to for the first time, or anew */
    UPSTREAM_STANDING_GOOD, /* in use */
    UPSTREAM_STANDING_ABSENT,
    UPSTREAM_STANDING_SILENT,
    UPSTREAM_STANDING_NOT_SERVING,
    UPSTREAM_STANDING_EJECTED, /* its breaker is not closed */
};

/* How much a backend is wanted for a call; lower is better. */
enum upstream_rank {
    UPSTREAM_RANK_READY,
    UPSTREAM_RANK_CONNECTING, /* the call waits for it */
    UPSTREAM_RANK_DOUBTFUL,   /* connected, but there is something against it */
    UPSTREAM_RANK_NONE,
};

struct upstream_backend {
    struct upstream_backend *next;
    struct upstream_owner owner; /* of its sessions */
    struct upstream *pool;
    struct resolver_address at;
    char name[ADDRESS_TEXT_MAX];
    bool retired; /* its name has moved to other addresses */
    bool closing;
    enum upstream_standing told; /* last */
    unsigned failed_connects;    /* in a row */
    bool mute; /* the last connect that failed was not refused, but had no greeting in time */
    bool judged, serving;      /* by its checks */
    unsigned passes, failures; /* of checks, in a row */
    uint64_t good_since_us;
    size_t outstanding;
    struct upstream_breaker breaker;
    upstream_notice *notice; /* of all threads' breakers, or NULL */
    struct backend_series series;
    struct upstream_slot slots[UPSTREAM_SESSIONS_MAX]; /* those of the policy, then extra ones */
    unsigned slot_count;                               /* ever in use */
    struct upstream_drain drains[UPSTREAM_DRAINS_MAX];
    struct loop_timer drain_timer;
};

/* What backends see of their pool. */
struct upstream {
    struct upstream_options options;
    struct upstream_backend *backends; /* those in use, then none that is retired */
    struct upstream_backend *retired;  /* calls on them are still active */
    unsigned backend_count;
    unsigned turn; /* where the next search begins */
    unsigned generation;
    struct loop_timer refresh;
    bool closing;
};

/* upstream_backend.c */

/* Opens a backend and begins to connect; NULL without memory. */
struct upstream_backend *upstream_backend_open(struct upstream *pool,
                                               const struct resolver_address *at);

/* Closes its sessions, whose calls end as UNAVAILABLE, and frees it; returns NULL. */
struct upstream_backend *upstream_backend_close(struct upstream_backend *backend);

/* Takes no new calls: its sessions end with the calls they have. */
void upstream_backend_retire(struct upstream_backend *backend);

/* Tells whether a session is left. */
bool upstream_backend_has_sessions(const struct upstream_backend *backend);

/* Connects at once where there is no connection: a request is the best reason to look whether a
 * service is back. At most once a millisecond. */
void upstream_backend_connect(struct upstream_backend *backend);

/* How much the backend is wanted for a call. */
enum upstream_rank upstream_backend_rank(struct upstream_backend *backend);

/* The least busy session of a backend whose rank is better than NONE. Where all have as many calls
 * as the service takes, one more is made, up to UPSTREAM_SESSIONS_MAX; beyond that calls wait. */
struct upstream_session *upstream_backend_session(struct upstream_backend *backend);

/* Something about the backend is new: tells it in log and metrics. */
void upstream_backend_update(struct upstream_backend *backend);

/* A slot's session takes no new calls; those on it end within `grace_us`, 0: in their own time. */
void upstream_slot_drain(struct upstream_slot *slot, uint64_t grace_us);

/* Tells whether the slot's session is up. */
static inline bool upstream_slot_is_up(const struct upstream_slot *slot) {
    return slot->session && upstream_session_state(slot->session) == UPSTREAM_UP;
}

/* upstream_health.c */

/* Begins to check the slot's session, which is up. */
void upstream_check_begin(struct upstream_slot *slot);

/* Checks no more. */
void upstream_check_end(struct upstream_slot *slot);

#endif
