/* Changes that a fault of the service keeps from being applied are set aside one by one, so that
 * they hold up nothing but later changes of their device to the same record. */
#include <assert.h>

#include "service/queue/job_queue.h"
#include "service/rpc/change_job.h"
#include "service/rpc/parked.h"
#include "service/rpc/upload_private.h"

enum { TRIAL_ARENA_MAX = 256 << 20 };

/* What becomes of a change of the upload. */
enum fate {
    FATE_TRY,      /* it is applied with the others */
    FATE_ANSWERED, /* not tried: it is parked already, or waits behind one that is */
    FATE_PARK,
};

/* An upload that is sorted. */
struct park {
    struct upload_turn *turn;
    enum fate *fates;              /* parallel to the upload's changes */
    struct change_result *results; /* the same */
    struct parked_list parked;     /* as loaded */
    size_t park_count;
    struct change *group; /* room for changes of one record … */
    size_t *group_places; /* … and where they are in the upload */
    enum sync_status cause;
};

/* Whether a failure is the service's own, and may be a single change's. */
static bool fault_is_ours(enum sync_status status) {
    return status == SYNC_ERR_CORRUPT || status == SYNC_ERR_IO || status == SYNC_ERR_INTERNAL ||
           status == SYNC_ERR_NO_MEMORY;
}

static struct change_result *result_begin(struct park *park, size_t i) {
    const struct change *change = &park->turn->upload->content.changes[i];
    park->results[i] = (struct change_result){
        .change_id = change->id, .type = change->type, .data_id = change->data_id};
    return &park->results[i];
}

static void result_pending(struct change_result *result, bool is_known) {
    result->outcome = OUTCOME_PENDING;
    result->duplicate = is_known;
    result->reason = "SERVICE_FAULT";
    result->message =
        SLICE("The service could not apply it yet, by a fault of its own: it is kept.");
}

/* Makes the change wait behind another of its record. */
static bool result_behind(struct park *park, size_t i, struct slice change_id) {
    struct change_result *result = result_begin(park, i);
    const char *message = arena_format(park->turn->arena, "It waits behind the change \"%.*s\".",
                                       (int)change_id.size, (const char *)change_id.data);
    result->outcome = OUTCOME_BLOCKED;
    result->reason = "BLOCKED_BY";
    result->message = slice_text(message);
    park->fates[i] = FATE_ANSWERED;
    return message != NULL;
}

/* Answers the change by what is parked, where that says something of it. */
static bool park_sift_one(struct park *park, size_t i) {
    const struct upload *upload = park->turn->upload;
    const struct change *change = &upload->content.changes[i];
    const struct record_key key = {change->type, change->data_id};
    const struct parked *same = parked_find_change(&park->parked, upload->device, change->id);
    if (!same) {
        const struct parked *first = parked_find_record(&park->parked, upload->device, &key);
        return !first || result_behind(park, i, first->change_id);
    }
    struct change_result *result = result_begin(park, i);
    if (memcmp(same->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE) == 0)
        result_pending(result, true);
    else
        change_result_reuse(result);
    park->fates[i] = FATE_ANSWERED;
    return true;
}

/* Loads what is parked, alone: where that fails too, the fault is not a change's. */
static enum sync_status park_begin(struct park *park) {
    struct upload_turn *turn = park->turn;
    size_t count = turn->upload->content.count;
    turn->batch.count = 0;
    enum sync_status status = upload_turn_run(turn);
    if (status == SYNC_OK)
        status = parked_list_read(turn->parked, turn->arena, &park->parked);
    if (status != SYNC_OK)
        return status;
    park->fates = arena_zalloc(turn->arena, count, sizeof *park->fates);
    park->results = arena_zalloc(turn->arena, count, sizeof *park->results);
    park->group = arena_zalloc(turn->arena, count, sizeof *park->group);
    park->group_places = arena_zalloc(turn->arena, count, sizeof *park->group_places);
    if (!park->fates || !park->results || !park->group || !park->group_places)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < count; i++)
        if (!park_sift_one(park, i))
            return SYNC_ERR_NO_MEMORY;
    return SYNC_OK;
}

/* Tries the first changes of the group alone. */
static enum sync_status group_try(const struct park *park, size_t count) {
    struct arena arena;
    arena_init(&arena, TRIAL_ARENA_MAX);
    struct upload_turn trial = *park->turn;
    trial.arena = &arena;
    trial.batch.changes = park->group;
    trial.batch.count = count;
    enum sync_status status = upload_turn_run(&trial);
    arena_done(&arena);
    return status;
}

/* Gathers the changes from `first` on that are of the same record and are to be tried. */
static size_t group_gather(struct park *park, size_t first) {
    const struct upload_content *content = &park->turn->upload->content;
    const struct change *begin = &content->changes[first];
    size_t count = 0;
    for (size_t i = first; i < content->count; i++) {
        const struct change *change = &content->changes[i];
        if (park->fates[i] != FATE_TRY || change->type != begin->type ||
            !slice_equal(change->data_id, begin->data_id))
            continue;
        park->group[count] = *change;
        park->group_places[count++] = i;
    }
    return count;
}

/* Finds the first change of the group that fails, all before it being well, and parks it; the rest
 * waits behind it. */
static enum sync_status group_sort(struct park *park, size_t count) {
    enum sync_status status = group_try(park, count);
    size_t well = 0, bad = count;
    if (!fault_is_ours(status))
        return status;
    park->cause = status;
    while (bad - well > 1) {
        size_t middle = well + (bad - well) / 2;
        status = group_try(park, middle);
        if (status != SYNC_OK && !fault_is_ours(status))
            return status;
        *(status == SYNC_OK ? &well : &bad) = middle;
    }
    size_t guilty = park->group_places[bad - 1];
    park->fates[guilty] = FATE_PARK;
    park->park_count++;
    result_pending(result_begin(park, guilty), false);
    for (size_t i = bad; i < count; i++)
        if (!result_behind(park, park->group_places[i], park->group[bad - 1].id))
            return SYNC_ERR_NO_MEMORY;
    return SYNC_OK;
}

/* Whether a change before `i`, of the same record, has been looked at with it. */
static bool park_has_seen(const struct park *park, size_t i) {
    const struct change *changes = park->turn->upload->content.changes;
    for (size_t before = 0; before < i; before++)
        if (changes[before].type == changes[i].type &&
            slice_equal(changes[before].data_id, changes[i].data_id))
            return true;
    return false;
}

/* Parks the changes that fail by themselves. */
static enum sync_status park_sort(struct park *park) {
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < park->turn->upload->content.count && status == SYNC_OK; i++)
        if (park->fates[i] == FATE_TRY && !park_has_seen(park, i))
            status = group_sort(park, group_gather(park, i));
    return status;
}

/* Applies what is left to try. */
static enum sync_status park_apply_rest(struct park *park) {
    struct upload_turn *turn = park->turn;
    const struct upload_content *content = &turn->upload->content;
    struct change *changes = arena_zalloc(turn->arena, content->count, sizeof *changes);
    size_t count = 0, taken = 0;
    if (!changes)
        return SYNC_ERR_NO_MEMORY;
    for (size_t i = 0; i < content->count; i++)
        if (park->fates[i] == FATE_TRY)
            changes[count++] = content->changes[i];
    turn->batch.changes = changes;
    turn->batch.count = count;
    enum sync_status status = upload_turn_run(turn);
    for (size_t i = 0; i < content->count && status == SYNC_OK; i++)
        if (park->fates[i] == FATE_TRY)
            park->results[i] = turn->results[taken++];
    return status;
}

/* The job of a change, and its entry in the user's list. */
static enum sync_status park_put(struct park *park, const struct change *change,
                                 struct parked_list *list) {
    struct upload_turn *turn = park->turn;
    struct upload *upload = turn->upload;
    struct service *service = upload->service;
    struct parked *entry = &list->items[list->count++];
    struct job job = {.kind = SLICE(CHANGE_JOB_KIND), .user = upload->user};
    struct parked_change stored = {.device = upload->device,
                                   .acknowledged = turn->batch.acknowledged,
                                   .clock_offset_us = upload->content.clock_offset_us,
                                   .received_us = upload->received_us,
                                   .change = *change};
    char *id = arena_alloc(turn->arena, UUID_TEXT_SIZE + 1);
    if (!id || !parked_change_pack(&stored, turn->arena, &job.payload))
        return SYNC_ERR_NO_MEMORY;
    uuid_v7(clock_now_us(service->clock), service->random, id);
    job.id = slice_of(id, UUID_TEXT_SIZE);
    *entry = (struct parked){.device = upload->device,
                             .change_id = change->id,
                             .key = {change->type, change->data_id},
                             .job_id = job.id};
    memcpy(entry->payload_hash, change->payload_hash, PAYLOAD_HASH_SIZE);
    enum sync_status status =
        job_queue_put(service->jobs, &job, turn->arena, &turn->rows[turn->row_count]);
    turn->row_count += status == SYNC_OK;
    log_line(service->log, LOG_ERROR, "change set aside", LOG_SLICE("user", upload->user),
             LOG_SLICE("device", upload->device), LOG_SLICE("change", change->id),
             LOG_SLICE("job", job.id), LOG_TEXT("cause", sync_status_name(park->cause)));
    return status;
}

/* Makes the rows of all changes to park. */
static enum sync_status park_store(struct park *park) {
    struct upload_turn *turn = park->turn;
    const struct upload_content *content = &turn->upload->content;
    struct parked_list list;
    turn->rows = arena_zalloc(turn->arena, park->park_count + 1, sizeof *turn->rows);
    if (!turn->rows ||
        !parked_list_copy(&park->parked, SLICE_EMPTY, park->park_count, turn->arena, &list))
        return SYNC_ERR_NO_MEMORY;
    enum sync_status status = SYNC_OK;
    for (size_t i = 0; i < content->count && status == SYNC_OK; i++)
        if (park->fates[i] == FATE_PARK)
            status = park_put(park, &content->changes[i], &list);
    if (status == SYNC_OK &&
        !parked_list_write(&list, turn->upload->user, turn->arena, &turn->rows[turn->row_count++]))
        status = SYNC_ERR_NO_MEMORY;
    turn->upload->parks = status == SYNC_OK;
    return status;
}

enum sync_status upload_park(struct upload_turn *turn, enum sync_status status) {
    struct park park = {.turn = turn};
    struct upload *upload = turn->upload;
    bool has_failed = status != SYNC_OK;
    if (has_failed && (!fault_is_ours(status) || !upload->service->jobs))
        return status;
    enum sync_status found = park_begin(&park);
    if (found == SYNC_OK && has_failed)
        found = park_sort(&park);
    if (found != SYNC_OK)
        return found;
    if (park.parked.count + park.park_count > USER_PARKED_MAX)
        return status;
    found = park_apply_rest(&park);
    if (found == SYNC_OK && park.park_count > 0 && !upload->store_nothing)
        found = park_store(&park);
    if (found == SYNC_OK)
        upload->results = park.results;
    return found;
}

enum sync_status upload_unpark(struct upload_turn *turn) {
    struct upload *upload = turn->upload;
    const struct change_result *result = &turn->results[0];
    struct parked_list list, rest;
    if (turn->set.settled_count == 0 && !result->duplicate)
        return sync_error_set(&upload->error, SYNC_ERR_BUSY, result->reason, NULL, "%.*s",
                              (int)result->message.size, (const char *)result->message.data);
    enum sync_status status = parked_list_read(turn->parked, turn->arena, &list);
    if (status != SYNC_OK)
        return status;
    turn->rows = arena_zalloc(turn->arena, 1, sizeof *turn->rows);
    if (!turn->rows || !parked_list_copy(&list, upload->retry_of, 0, turn->arena, &rest) ||
        !parked_list_write(&rest, upload->user, turn->arena, turn->rows))
        return SYNC_ERR_NO_MEMORY;
    turn->row_count = 1;
    upload->results = turn->results;
    return SYNC_OK;
}
