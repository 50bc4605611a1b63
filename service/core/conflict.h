/* Conflicts as stored, and their resolution. Pure. */
#ifndef SERVICE_CORE_CONFLICT_H
#define SERVICE_CORE_CONFLICT_H

#include "service/core/change_batch.h"

enum conflict_type { /* numbers of travelsense.sync.v1.ConflictType; the client's side first */
                     CONFLICT_UPDATE_UPDATE = 1,
                     CONFLICT_UPDATE_DELETE = 2,
                     CONFLICT_DELETE_UPDATE = 3,
};

/* How a conflict is resolved; numbers of travelsense.sync.v1.Resolution. */
enum resolution { RESOLUTION_CLIENT = 1, RESOLUTION_SERVER = 2, RESOLUTION_MERGE = 3 };

/* A conflict. Documents are canonical; `has_` tells an empty one from none. */
struct conflict {
    struct slice id, user, device, change_id;
    struct record_key key;
    enum conflict_type type;
    bool has_base, has_client, has_server;
    struct slice base, client, server, suggested;
    struct slice *fields; /* dotted paths in dispute */
    size_t field_count;
    uint64_t server_version;
    int64_t detected_us, resolved_us; /* resolved_us 0: open */
    enum resolution resolution;       /* when resolved */
    struct slice merged;              /* when resolved by merge */
    uint64_t resolved_version;        /* the record's version that the resolution made */
};

/* Packs a conflict for TABLE_CONFLICT, and reads it back; both live in the arena. */
enum sync_status conflict_pack(const struct conflict *conflict, struct arena *arena,
                               struct slice *ret_value);
enum sync_status conflict_unpack(struct slice value, struct arena *arena,
                                 struct conflict *ret_conflict);

/* The index key in TABLE_CONFLICT_BY_USER. */
enum sync_status conflict_index_key(struct slice user, bool resolved, struct slice conflict_id,
                                    struct arena *arena, struct slice *ret_key);

/* A resolution that a user asks for. */
struct resolution_request {
    enum resolution resolution;
    struct slice merged;       /* canonical; for RESOLUTION_MERGE */
    uint64_t expected_version; /* of the record; 0: any */
    int64_t now_us;
};

/* Resolves. `view` holds the record (view->records[0], of conflict->key). The same resolution of a
 * resolved conflict changes nothing (`ret_set` empty); another is SYNC_ERR_PRECONDITION, as is a
 * record that moved past expected_version. `ret_conflict` and `ret_record` are as after it. A
 * resolution is a change of the user's without device in the log. */
enum sync_status conflict_resolve(const struct user_view *view, const struct conflict *conflict,
                                  const struct resolution_request *request, struct arena *arena,
                                  struct sync_error *error, struct write_set *ret_set,
                                  struct conflict *ret_conflict, struct record *ret_record);

#endif
